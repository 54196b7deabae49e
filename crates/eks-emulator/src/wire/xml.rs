//! XML, as little as the query protocols need.

use std::fmt::Write as _;

/// An element with children or with text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    name: String,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(String),
    Children(Vec<Element>),
}

/// An element with text.
pub(crate) fn text(name: &str, text: impl ToString) -> Element {
    Element { name: name.to_owned(), content: Content::Text(text.to_string()) }
}

/// An element with children.
pub(crate) fn node(name: &str, children: Vec<Element>) -> Element {
    Element { name: name.to_owned(), content: Content::Children(children) }
}

/// A list, as EC2 has it: `<name><item>...</item></name>`.
pub(crate) fn items(name: &str, items: Vec<Vec<Element>>) -> Element {
    node(name, items.into_iter().map(|children| node("item", children)).collect())
}

/// A list of texts.
pub(crate) fn text_items<T: ToString>(name: &str, texts: impl IntoIterator<Item = T>) -> Element {
    node(name, texts.into_iter().map(|item| text("item", item)).collect())
}

impl Element {
    /// The document, with a namespace at the root.
    pub(crate) fn document(&self, namespace: &str) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let attribute = match namespace {
            "" => String::new(),
            namespace => format!(" xmlns=\"{namespace}\""),
        };
        self.write(&mut out, &attribute);
        out
    }

    fn write(&self, out: &mut String, attribute: &str) {
        // Writing to a String cannot fail.
        let _ = write!(out, "<{}{attribute}>", self.name);
        match &self.content {
            Content::Text(text) => escape(out, text),
            Content::Children(children) => children.iter().for_each(|child| child.write(out, "")),
        }
        let _ = write!(out, "</{}>", self.name);
    }
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            character => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_an_element() {
        let document = node("R", vec![text("a", "<b>&\""), text_items("s", ["x"])]).document("urn:x");
        assert!(
            document.ends_with("<R xmlns=\"urn:x\"><a>&lt;b&gt;&amp;&quot;</a><s><item>x</item></s></R>"),
            "{document}"
        );
    }
}
