//! The seam to whatever makes tenant clusters: one trait, its error classes, a fake that injects faults
