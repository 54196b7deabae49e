//! Items that may stand once.

use std::collections::BTreeMap;

use super::Problem;
use crate::{field_path::FieldPath, finding::Code, text::shown};

/// A problem for every item that stood before in the list; `name` is what must be unique of an item.
pub(super) fn unique<'a, T>(
    items: &'a [T],
    path: &FieldPath,
    noun: &str,
    name: impl Fn(&'a T) -> &'a str,
) -> Vec<Problem> {
    let mut first = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let name = name(item);
        if let Some(before) = first.get(name) {
            problems.push(
                Problem::error(
                    Code::DuplicateItem,
                    path.index(index),
                    format!("{noun} `{}` stands twice in the list", shown(name)),
                )
                .hint(format!("keep one of the two: the first is item [{before}]")),
            );
        } else {
            first.insert(name, index);
        }
    }
    problems
}
