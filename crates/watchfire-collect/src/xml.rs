//! As much of XML as a page of statistics or the answer of a device has: elements and texts. Attributes, comments and declarations are
//! passed over; entities stay as they are. Nothing outside the text is looked up.

/// Elements that may lie within one another.
const DEPTH_MAX: usize = 32;

/// What stands next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Begin(&'a str),
    Text(&'a str),
    End(&'a str),
}

/// All there is, until something is wrong.
pub(crate) fn events(text: &str) -> Vec<Event<'_>> {
    let (mut found, mut open, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some((before, after)) = rest.split_once('<') {
        let before = before.trim();
        if !before.is_empty() && !open.is_empty() {
            found.push(Event::Text(before));
        }
        if let Some(after) = after.strip_prefix("!--") {
            let Some((_, after)) = after.split_once("-->") else { break };
            rest = after;
            continue;
        }
        if let Some(data) = after.strip_prefix("![CDATA[") {
            let Some((data, after)) = data.split_once("]]>") else { break };
            found.push(Event::Text(data.trim()));
            rest = after;
            continue;
        }
        let Some((tag, after)) = after.split_once('>') else { break };
        rest = after;
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name.trim()) {
                break;
            }
            found.push(Event::End(name.trim()));
            continue;
        }
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split_ascii_whitespace().next().unwrap_or_default();
        if open.len() >= DEPTH_MAX {
            break;
        }
        found.push(Event::Begin(name));
        if empty {
            found.push(Event::End(name));
        } else {
            open.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_and_texts() {
        let found = events("<?xml version=\"1.0\"?><!-- <x> --><a b=\"1\"> <c>12</c><d/>\n<e><![CDATA[ <1> ]]></e></a>");
        use Event::{Begin, End, Text};
        assert_eq!(found, [Begin("a"), Begin("c"), Text("12"), End("c"), Begin("d"), End("d"), Begin("e"), Text("<1>"), End("e"), End("a")]);
        assert_eq!(events("<a></b><c>"), [Begin("a")]);
        assert_eq!(events(&"<a>".repeat(100)).len(), DEPTH_MAX);
    }

    proptest! {
        #[test]
        fn any_text(text in "[<>/a-c!\\-\\[\\]? ]{0,60}") {
            drop(events(&text));
        }
    }
}
