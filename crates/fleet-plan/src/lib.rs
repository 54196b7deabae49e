//! The functional core: what should happen next, as data, and why nothing does
