//! Inputs to located documents.

use crate::{
    finding::Finding,
    input::{self, Input, Source},
    limits,
    node::Node,
    parse,
};

/// A spec that was read and not judged yet.
#[derive(Debug)]
pub struct Loaded {
    pub(crate) sources: Vec<Source>,
    pub(crate) documents: Vec<Document>,
    /// What could not be read.
    pub(crate) findings: Vec<Finding>,
}

/// One document of a source.
#[derive(Debug)]
pub(crate) struct Document {
    /// The index of its source.
    pub(crate) source: usize,
    pub(crate) root: Node,
}

impl Loaded {
    /// How many objects were read.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// True when no object was read.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }
}

/// Reads every input. What cannot be read becomes a finding of [`crate::check`], and the rest is read all the same.
pub fn load(inputs: &[Input]) -> Loaded {
    let (sources, mut findings) = input::read(inputs);
    let mut documents = Vec::new();
    let mut room = limits::TOTAL_NODES;
    for (index, source) in sources.iter().enumerate() {
        let parsed = parse::parse(source, room);
        room = room.saturating_sub(parsed.nodes);
        findings.extend(parsed.findings);
        documents.extend(parsed.documents.into_iter().map(|root| Document { source: index, root }));
    }
    Loaded { sources, documents, findings }
}
