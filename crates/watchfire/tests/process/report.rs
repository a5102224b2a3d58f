//! `watchfire report`: what is printed in which form, that nothing is sent by it, and how the command ends.

use crate::server::{Server, run};

#[test]
fn a_report_is_printed_and_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("watchfire.yml");
    std::fs::write(
        &file,
        "reports:\n- {name: day, schedule: daily, to: a@example.com, smtp: {from: w@example.com, smarthost: '127.0.0.1:9'}}\n- {name: bare, schedule: weekly, to: a@example.com}\n",
    )
    .unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", &file.to_string_lossy()], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")]);
    let url = server.url();
    let report = |arguments: &[&str]| {
        let output = run(&[&["report"][..], arguments, &["--url", &url]].concat(), dir.path());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, listed, _) = report(&[]);
    assert_eq!((code, listed.as_str()), (Some(0), "day  daily  never sent\nbare  weekly  never sent\n"));
    for arguments in [&["day"][..], &["day", "--print"], &["day", "--print", "text"]] {
        let (code, text, error) = report(arguments);
        assert!(code == Some(0) && text.starts_with("Daily report: ") && text.lines().count() > 3 && !text.contains("</"), "{arguments:?}: {text}{error}");
    }
    let (code, html, _) = report(&["day", "--print", "html"]);
    assert!(code == Some(0) && html.starts_with("<!doctype html>") && html.ends_with("</html>\n"), "{html}");
    let (code, mail, _) = report(&["day", "--print=mail"]);
    assert!(
        code == Some(0) && mail.starts_with("Date: ") && mail.contains("\r\nTo: a@example.com\r\n") && mail.contains("\r\nFrom: w@example.com\r\n"),
        "{mail}"
    );
    assert_eq!(report(&[]).1, "day  daily  never sent\nbare  weekly  never sent\n");
    for (arguments, code, words) in [
        (&["nobody"][..], 1, "404 Not Found: there is no report of this name"),
        (&["bare", "--print", "mail"], 1, "there is no sender"),
        (&["day", "--send"], 1, "503 Service Unavailable: cannot send the report"),
        (&["day", "--print", "pdf"], 2, "invalid value 'pdf'"),
        (&["day", "--print", "--send"], 2, "cannot be used with"),
        (&["--send"], 2, "required"),
    ] {
        let (ended, out, error) = report(arguments);
        assert!(ended == Some(code) && out.is_empty() && error.contains(words), "{arguments:?}: {ended:?} {out}{error}");
    }
}
