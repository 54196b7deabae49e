//! Reads the XML that EC2 answers with: lists are elements with `item` children, fields are elements with text.

use fleet_provider::ErrorClass;

use crate::{error::CallError, launch_template::Parameters, session::Session, signed::Call};

/// An element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a>(roxmltree::Node<'a, 'a>);

impl<'a> Node<'a> {
    /// The document's element.
    pub(crate) fn root(document: &'a roxmltree::Document<'a>) -> Self {
        Self(document.root_element())
    }

    /// The first child of a name.
    pub(crate) fn child(&self, name: &str) -> Option<Self> {
        self.0.children().find(|node| node.tag_name().name() == name).map(Self)
    }

    /// The text of a child.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.child(name)?.0.text().map(str::to_owned)
    }

    /// The number in a child.
    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        self.text(name)?.parse().ok()
    }

    /// The items of a list; none when the list is not there.
    pub(crate) fn items(&self, list: &str) -> impl Iterator<Item = Self> {
        self.child(list)
            .into_iter()
            .flat_map(|list| list.0.children())
            .filter(|node| node.tag_name().name() == "item")
            .map(Self)
    }
}

/// Makes a Describe call of EC2 for all its pages, and reads what is wanted from each.
pub(crate) async fn pages<T>(
    session: &Session,
    operation: &'static str,
    parameters: Parameters,
    read: impl Fn(Node<'_>) -> Vec<T>,
) -> Result<Vec<T>, CallError> {
    let mut found = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut with_page = parameters.0.clone();
        if let Some(token) = next.take() {
            with_page.push(("NextToken".to_owned(), token));
        }
        let text = session.send(&Call::ec2(operation, &with_page)).await?;
        let (mut items, token) = read_page(operation, &text, &read)?;
        found.append(&mut items);
        match token.filter(|token| !token.is_empty()) {
            Some(token) => next = Some(token),
            None => return Ok(found),
        }
    }
}

fn read_page<T>(
    operation: &'static str,
    text: &str,
    read: &impl Fn(Node<'_>) -> Vec<T>,
) -> Result<(Vec<T>, Option<String>), CallError> {
    let document = roxmltree::Document::parse(text).map_err(|error| CallError {
        class: ErrorClass::Unknown,
        operation,
        code: None,
        message: Some("the answer is no XML".to_owned()),
        source: Some(Box::new(error)),
    })?;
    let root = Node::root(&document);
    // Anything else than the operation's own answer, such as a page of a proxy, must not read as an empty list.
    if document.root_element().tag_name().name() != format!("{operation}Response") {
        return Err(CallError {
            class: ErrorClass::Unknown,
            operation,
            code: None,
            message: Some("the answer belongs to no such operation".to_owned()),
            source: None,
        });
    }
    Ok((read(root), root.text("nextToken")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Result<(Vec<String>, Option<String>), CallError> {
        read_page("DescribeVolumes", text, &|page: Node<'_>| {
            page.items("volumeSet").filter_map(|item| item.text("volumeId")).collect()
        })
    }

    #[test]
    fn items_and_the_next_page_are_found() {
        let text = "<DescribeVolumesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><volumeSet><item>\
                    <volumeId>vol-1</volumeId></item><item><volumeId>vol-2</volumeId></item></volumeSet>\
                    <nextToken>n</nextToken></DescribeVolumesResponse>";
        assert_eq!(ids(text).unwrap(), (vec!["vol-1".to_owned(), "vol-2".to_owned()], Some("n".to_owned())));
    }

    #[test]
    fn a_page_of_somebody_else_is_not_an_empty_list() {
        assert_eq!(ids("<html><body/></html>").unwrap_err().class, ErrorClass::Unknown);
        assert_eq!(ids("not xml").unwrap_err().class, ErrorClass::Unknown);
        assert_eq!(ids("<DescribeVolumesResponse/>").unwrap(), (vec![], None));
    }
}
