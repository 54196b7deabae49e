//! The vocabulary of fleet: custom resources, newtypes, conditions, and what plans are made of
