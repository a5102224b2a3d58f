//! Ways to say who we are to a mail server: PLAIN, LOGIN and CRAM-MD5. It makes the words; the dialogue says them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use watchfire_net::secret::Secret;

/// The block of MD5, in bytes.
const BLOCK_BYTES: usize = 64;

/// Who we are.
pub(super) struct Login {
    pub(super) username: String,
    pub(super) identity: String,
    pub(super) password: Option<Secret>,
    pub(super) secret: Option<Secret>,
}

/// A way that both sides know, and what it needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way<'a> {
    CramMd5(&'a Secret),
    Plain(&'a Secret),
    Login(&'a Secret),
}

impl Login {
    /// The first way that the server offers and that we have a secret for. Over an open connection PLAIN is not taken, as in
    /// Alertmanager.
    pub(super) fn choose(&self, offered: &str, is_private: bool) -> Result<Way<'_>, String> {
        for way in offered.split(' ') {
            match (way.to_ascii_uppercase().as_str(), &self.password, &self.secret) {
                ("CRAM-MD5", _, Some(secret)) => return Ok(Way::CramMd5(secret)),
                ("PLAIN", Some(password), _) if is_private => return Ok(Way::Plain(password)),
                ("LOGIN", Some(password), _) => return Ok(Way::Login(password)),
                _ => {}
            }
        }
        Err(match (is_private, &self.password, &self.secret) {
            (_, None, None) => "there is a user name and no password".to_owned(),
            (false, ..) => format!("the server offers {offered:?}, and no password is sent in the clear"),
            (true, ..) => format!("the server offers {offered:?}, for which there is no secret"),
        })
    }

    /// The word of PLAIN.
    pub(super) fn plain(&self, password: &Secret) -> Secret {
        Secret::new(STANDARD.encode(format!("{}\0{}\0{}", self.identity, self.username, password.expose())))
    }

    /// The answer to a question of CRAM-MD5.
    pub(super) fn cram_md5(&self, question: &[u8], secret: &Secret) -> String {
        let digest: String = hmac_md5(secret.expose().as_bytes(), question).iter().map(|byte| format!("{byte:02x}")).collect();
        STANDARD.encode(format!("{} {digest}", self.username))
    }
}

/// RFC 2104 over MD5, which CRAM-MD5 is made of.
fn hmac_md5(key: &[u8], message: &[u8]) -> [u8; 16] {
    let mut block = [0u8; BLOCK_BYTES];
    let hashed: [u8; 16];
    let key = if key.len() > BLOCK_BYTES {
        hashed = Md5::digest(key).into();
        hashed.as_slice()
    } else {
        key
    };
    block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Md5::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Md5::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(password: Option<&str>, secret: Option<&str>) -> Login {
        Login { username: "tim".into(), identity: String::new(), password: password.map(Secret::from), secret: secret.map(Secret::from) }
    }

    /// The example of RFC 2195.
    #[test]
    fn cram_md5() {
        let answer = login(None, None).cram_md5(b"<1896.697170952@postoffice.reston.mci.net>", &Secret::new("tanstaaftanstaaf"));
        assert_eq!(answer, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
        // RFC 2202, case 6: a key that is longer than a block.
        let long = hmac_md5(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(long.iter().map(|b| format!("{b:02x}")).collect::<String>(), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }

    #[test]
    fn ways() {
        let check = |login: &Login, offered: &str, is_private: bool, expected: Option<&str>| {
            let found = login.choose(offered, is_private).ok().map(|way| match way {
                Way::CramMd5(_) => "CRAM-MD5",
                Way::Plain(_) => "PLAIN",
                Way::Login(_) => "LOGIN",
            });
            assert_eq!(found, expected, "{offered} {is_private}");
        };
        let both = login(Some("p"), Some("s"));
        check(&both, "PLAIN LOGIN CRAM-MD5", true, Some("PLAIN"));
        check(&both, "PLAIN LOGIN CRAM-MD5", false, Some("LOGIN"));
        check(&both, "cram-md5 plain", true, Some("CRAM-MD5"));
        check(&login(Some("p"), None), "CRAM-MD5 PLAIN", true, Some("PLAIN"));
        check(&login(Some("p"), None), "PLAIN", false, None);
        check(&login(None, None), "PLAIN LOGIN", true, None);
        check(&both, "XOAUTH2", true, None);
        assert_eq!(login(None, None).plain(&Secret::new("pw")).expose(), "AHRpbQBwdw==");
    }
}
