//! Where a field is inside an object, such as `spec.maintenance.windows[0].duration`.

use std::fmt;

use serde::{Serialize, Serializer};

/// One step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// A field of an object, or a key of a map.
    Field(String),
    /// An item of a list.
    Index(usize),
}

/// The way from the root of an object to a field. It is built from the outside in and never changed in place.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// The object itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// `spec`, where most paths begin.
    pub fn spec() -> Self {
        Self::root().field("spec")
    }

    /// `metadata.name`.
    pub fn name() -> Self {
        Self::root().field("metadata").field("name")
    }

    /// The path with one more field.
    pub fn field(&self, name: impl Into<String>) -> Self {
        let mut longer = self.clone();
        longer.0.push(Segment::Field(name.into()));
        longer
    }

    /// The path with one more index.
    pub fn index(&self, index: usize) -> Self {
        let mut longer = self.clone();
        longer.0.push(Segment::Index(index));
        longer
    }

    /// The steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// True when one of the two leads through the other, or both are the same.
    pub fn touches(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Field(name) => {
                    let plain =
                        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                    match (plain, position) {
                        (true, 0) => f.write_str(name)?,
                        (true, _) => write!(f, ".{name}")?,
                        (false, _) => write!(f, "[{}]", crate::text::shown(name))?,
                    }
                }
            }
        }
        Ok(())
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_people_write_it() {
        let path = FieldPath::spec().field("windows").index(0).field("start");
        assert_eq!(path.to_string(), "spec.windows[0].start");
        let label = FieldPath::root().field("metadata").field("labels").field("example.com/ring");
        assert_eq!(label.to_string(), "metadata.labels[example.com/ring]");
    }

    #[test]
    fn a_path_touches_what_it_leads_through_and_not_its_siblings() {
        let network = FieldPath::spec().field("network");
        assert!(network.touches(&network.field("egress").index(1)));
        assert!(!network.touches(&FieldPath::spec().field("networks")));
    }
}
