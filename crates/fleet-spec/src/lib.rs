//! Reads a fleet spec (YAML files) into a ValidatedFleet, with every finding located
