//! Names of labels that queries over logs can write. What names of metrics and their labels become is told by their protocols.

/// A name as queries can write it: other characters become underscores.
pub(crate) fn label_name(key: &str) -> String {
    let mut name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::label_name;

    #[test]
    fn every_name_becomes_one_that_can_be_written() {
        for (key, name) in [("service.name", "service_name"), ("2nd", "_2nd"), ("_a9", "_a9"), ("é-b", "__b"), ("", "")] {
            assert_eq!(label_name(key), name);
        }
    }
}
