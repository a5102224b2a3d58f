//! Lists of mail addresses as people write them: `a@example.com, "Name" <b@example.com>`. Groups and comments are not read.

/// The longest list that is read.
pub(super) const LIST_BYTES_MAX: usize = 32 << 10;
/// The longest address of SMTP.
const ADDRESS_BYTES_MAX: usize = 254;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mailbox {
    /// The name, which may be empty.
    pub(crate) name: String,
    /// The address, without anything that means something in a mail dialogue.
    pub(crate) address: String,
}

/// Reads a list; nothing when one of it is no address, or there is none.
pub(crate) fn parse_list(text: &str) -> Option<Vec<Mailbox>> {
    if text.len() > LIST_BYTES_MAX {
        return None;
    }
    let parts = split(text)?;
    let mailboxes: Option<Vec<Mailbox>> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).map(parse).collect();
    mailboxes.filter(|all| !all.is_empty())
}

/// Splits at commas outside of quotes and angle brackets.
fn split(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            ',' if !quoted && !angle => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    (!quoted && !angle).then_some(parts)
}

fn parse(text: &str) -> Option<Mailbox> {
    let (name, address) = match text.strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<')?,
        None => ("", text),
    };
    let fits = is_address(address.trim()) && !name.chars().any(char::is_control);
    fits.then(|| Mailbox { name: unquoted(name.trim()), address: address.trim().to_owned() })
}

fn unquoted(name: &str) -> String {
    let Some(inner) = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) else { return name.to_owned() };
    let mut escaped = false;
    let keep = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    inner.chars().filter(keep).collect()
}

/// Whether a text is an address that can stand in `RCPT TO:<…>` and nowhere else.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let fits = |part: &str, more: &[char]| {
        !part.is_empty()
            && part.chars().all(|c| c.is_alphanumeric() || more.contains(&c))
            && !part.starts_with('.')
            && !part.ends_with('.')
            && !part.contains("..")
    };
    let domain_fits = match domain.strip_prefix('[').and_then(|d| d.strip_suffix(']')) {
        Some(literal) => fits(literal, &['.', ':']),
        None => fits(domain, &['.', '-', '_']),
    };
    text.len() <= ADDRESS_BYTES_MAX && domain_fits && fits(local, &"!#$%&'*+-/=?^_`{|}~.".chars().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |text: &str, expected: Option<&[(&str, &str)]>| {
            let found = parse_list(text);
            let expected = expected.map(|all| all.iter().map(|(n, a)| Mailbox { name: (*n).into(), address: (*a).into() }).collect::<Vec<_>>());
            assert_eq!(found, expected, "{text}");
        };
        check("ops-team@example.com,managers@example.com", Some(&[("", "ops-team@example.com"), ("", "managers@example.com")]));
        check("Ops <a@b.c>, \"X, \\\"Y\\\"\" <d@[127.0.0.1]>, ", Some(&[("Ops", "a@b.c"), ("X, \"Y\"", "d@[127.0.0.1]")]));
        check("Jürgen <jürgen@müller.example>", Some(&[("Jürgen", "jürgen@müller.example")]));
        check("a+b/c=d@localhost", Some(&[("", "a+b/c=d@localhost")]));
        for bad in
            ["", " , ", "a", "a@", "@b", "a@b>", "<a@b", "a b@c", "a@b\r\nRCPT TO:<x@y>", "<a@b> SIZE=1", "a@b c", "\"a@b", "a..b@c", ".a@b", "a@b<c@d>e"]
        {
            check(bad, None);
        }
        check(&format!("{}@b.c", "x".repeat(300)), None);
    }
}
