//! Tokens from a scripted endpoint on a real socket.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use watchfire_model::time::{ManualClock, Timestamp};

use super::*;
use crate::tls::ClientTls;

/// Answers each request with the next status and body and keeps head and form of what was asked.
async fn endpoint(answers: Vec<(u16, &'static str)>) -> (Grant, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let token_url = format!("http://{}/token", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    tokio::task::spawn(async move {
        for (status, body) in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            let whole = |text: &str| {
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length: usize = head.lines().find_map(|l| l.strip_prefix("content-length: "))?.parse().ok()?;
                (body.len() >= length).then_some(())
            };
            while whole(&request).is_none() {
                let mut piece = [0; 1024];
                let n = socket.read(&mut piece).await.unwrap();
                request.push_str(&String::from_utf8_lossy(&piece[..n]));
            }
            seen.lock().unwrap().push(request);
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    let params = vec![("audience".to_owned(), "x y".to_owned())];
    let scopes = vec!["a".to_owned(), "b".to_owned()];
    (Grant { token_url, client_id: "me:1".to_owned(), client_secret: "can&ary".into(), scopes, params }, asked)
}

fn tokens() -> (Tokens, Arc<ManualClock>, Client) {
    let clock = ManualClock::new(Timestamp(0));
    (Tokens::new(clock.clone()), clock, Client::new(ClientTls::default()))
}
fn value(credentials: &Credentials) -> &str {
    match credentials {
        Credentials::Header { scheme, value } if scheme == "Bearer" => value.expose(),
        other => panic!("{other:?}"),
    }
}
const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_its_end() {
    let (grant, asked) = endpoint(vec![(200, r#"{"access_token":"t1","expires_in":60}"#), (200, r#"{"access_token":"t2"}"#)]).await;
    let (tokens, clock, client) = tokens();
    for (wait, expected) in [(0, "t1"), (49, "t1"), (1, "t2"), (1_000_000, "t2")] {
        clock.advance(SECOND * wait);
        assert_eq!(value(&tokens.credentials(&client, &grant, TIMEOUT).await.unwrap()), expected);
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    let basic = "authorization: Basic bWUlM0ExOmNhbiUyNmFyeQ==\r\n";
    assert!(asked[0].starts_with("POST /token HTTP/1.1\r\n") && asked[0].contains(basic), "{}", asked[0]);
    assert!(asked[0].contains("content-type: application/x-www-form-urlencoded\r\n"), "{}", asked[0]);
    assert!(asked[0].ends_with("\r\n\r\naudience=x+y&grant_type=client_credentials&scope=a+b"), "{}", asked[0]);
}

#[tokio::test]
async fn a_server_that_wants_the_secret_in_the_form_gets_it_there_and_is_remembered() {
    let (grant, asked) = endpoint(vec![
        (401, r#"{"error":"invalid_client"}"#),
        (200, r#"{"access_token":"t1","expires_in":11}"#),
        (200, r#"{"access_token":"t2"}"#),
        (400, r#"{"error":"invalid_scope"}"#),
        (403, r#"{"error":"denied","error_description":"not can&ary"}"#),
    ])
    .await;
    let (tokens, clock, client) = tokens();
    assert_eq!(value(&tokens.credentials(&client, &grant, TIMEOUT).await.unwrap()), "t1");
    clock.advance(SECOND);
    assert_eq!(value(&tokens.credentials(&client, &grant, TIMEOUT).await.unwrap()), "t2");
    {
        let asked = asked.lock().unwrap();
        assert_eq!(asked.iter().map(|a| a.contains("authorization")).collect::<Vec<_>>(), [true, false, false]);
        assert!(asked[2].ends_with("audience=x+y&client_id=me%3A1&client_secret=can%26ary&grant_type=client_credentials&scope=a+b"), "{}", asked[2]);
    }
    // A changed secret makes what is known void, the way of asking included.
    let changed = Grant { client_secret: "can&ary2".into(), ..grant };
    let error = tokens.credentials(&client, &changed, TIMEOUT).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot get an OAuth2 token: the token endpoint answered 403 Forbidden (denied: not can&ary)");
    assert!(!format!("{error:?} {changed:?}").contains("ary2"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_not_too_often() {
    let (grant, asked) = endpoint(vec![(200, r#"{"access_token":"t1"}"#), (200, r#"{"access_token":"t2"}"#)]).await;
    let (tokens, clock, client) = tokens();
    let first = tokens.credentials(&client, &grant, TIMEOUT).await.unwrap();
    assert!(tokens.renewed(&client, &grant, &first, TIMEOUT).await.unwrap().is_none());
    clock.advance(RENEWAL_MIN);
    // Two who were refused with the same token at once make one request.
    let (a, b) = tokio::join!(tokens.renewed(&client, &grant, &first, TIMEOUT), tokens.renewed(&client, &grant, &first, TIMEOUT));
    assert_eq!((value(&a.unwrap().unwrap()), value(&b.unwrap().unwrap())), ("t2", "t2"));
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_asked_is_an_error() {
    let (tokens, _, client) = tokens();
    let grant = |params: &[(&str, &str)]| Grant {
        token_url: "http://u:canary@127.0.0.1:1/token".to_owned(),
        client_id: "c".to_owned(),
        client_secret: "canary".into(),
        scopes: vec!["s".to_owned()],
        params: params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
    };
    let error = tokens.credentials(&client, &grant(&[]), TIMEOUT).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot get an OAuth2 token: cannot connect to 127.0.0.1:1"), "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"));
    let error = tokens.credentials(&client, &grant(&[("scope", "x")]), TIMEOUT).await.unwrap_err();
    assert!(matches!(error, OauthError::Parameter(name) if name == "scope"));
    assert_eq!(form(&grant(&[("grant_type", "odd")]), Style::Header).unwrap(), "grant_type=odd&scope=s");
}
