//! Restarts for real: a process that is killed comes back, `systemctl` is called as configured, nothing else is ever run.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use watchfire_pipeline::supervision::policy::{AuditOutcome, Who};

use crate::bench::{eventually, look, supervise, why};

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn pid_in(path: &Path) -> Option<Pid> {
    Pid::from_raw(std::fs::read_to_string(path).ok()?.trim().parse().ok()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn hlt_02_a_process_that_is_killed_is_restarted_by_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let (start, pid_file) = (dir.path().join("start"), dir.path().join("pid"));
    script(&start, &format!("sleep 3600 </dev/null >/dev/null 2>&1 & echo $! > {}", pid_file.display()));
    assert!(std::process::Command::new(&start).status().unwrap().success());
    let text = format!(
        "watch:\n  - {{name: worker, check: {{process: {{pid_file: {}}}}}, restart: {{command: [{}]}}, interval: 1s, timeout: 1s, backoff_base: 0.1}}\n",
        pid_file.display(),
        start.display()
    );
    let (supervisor, told) = supervise(&text);
    let has = |what: &str| told.lock().unwrap().iter().any(|line| line == what);
    eventually("the first check", || has("worker healthy: Service is healthy")).await;
    let first = pid_in(&pid_file).unwrap();
    kill_process(first, Signal::KILL).unwrap();
    eventually("the recovery", || has("worker healthy: Service recovered")).await;
    let second = pid_in(&pid_file).unwrap();
    assert_ne!(first, second);
    let expected = [
        "worker healthy: Service is healthy",
        "worker unhealthy: Health check failed",
        "worker restarting: Restart attempt 1 of 3",
        "worker healthy: Service recovered",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    let audit = supervisor.audit(10).unwrap();
    assert_eq!((audit.len(), &audit[0].outcome), (1, &AuditOutcome::Done("exit status 0".to_owned())));
    let history = supervisor.history("worker", 10).unwrap().unwrap();
    assert_eq!(history.iter().map(|e| e.status.as_str()).collect::<Vec<_>>(), ["healthy", "restarting", "unhealthy"]);
    kill_process(second, Signal::KILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn r54_names_that_are_asked_for_never_run_anything() {
    let dir = tempfile::tempdir().unwrap();
    let ran = dir.path().join("ran");
    let command = dir.path().join("command");
    script(&command, &format!("echo \"$# [$*] [$HOME$USER$LANG]\" >> {}", ran.display()));
    let text =
        format!("watch:\n  - {{name: x, check: {{process: {{name: no-such-process}}}}, restart: {{command: [{}, fixed]}}, interval: 1h}}\n", command.display());
    let (supervisor, _) = supervise(&text);
    let who = Who { name: "somebody", via: "token" };
    let corpus = [
        "",
        "X",
        "x ",
        " x",
        "x\0",
        "x;id",
        "x && id",
        "x|id",
        "$(id)",
        "`id`",
        "x\nid",
        "../x",
        "/x",
        "x/../x",
        "--help",
        "-x",
        "x'",
        "x\"",
        "x\\",
        "%78",
        "x%00",
        "{x}",
        "x*",
        "\u{202e}x",
        "ｘ",
        "x\u{301}",
        "audit",
        "@steady",
    ];
    for name in corpus {
        assert!(supervisor.restart(name, who).is_err(), "{name:?}");
        assert!(supervisor.history(name, 1).unwrap().is_none(), "{name:?}");
    }
    assert!(!ran.exists() && supervisor.audit(10).unwrap().is_empty());
    supervisor.restart("x", who).unwrap();
    eventually("the command", || supervisor.audit(1).unwrap()[0].outcome == AuditOutcome::Done("exit status 0".to_owned())).await;
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "1 [fixed] []\n", "the words of the file and no environment");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_are_checked_and_restarted_through_systemctl() {
    let dir = tempfile::tempdir().unwrap();
    let (systemctl, said, state) = (dir.path().join("systemctl"), dir.path().join("said"), dir.path().join("state"));
    script(&systemctl, &format!("echo \"$*\" >> {}; [ \"$1\" = is-active ] && {{ cat {}; exit 3; }}; exit 0", said.display(), state.display()));
    let text = format!(
        "systemctl: {}\nwatch:\n  - {{name: x, check: {{systemd: rtdetr.service}}, restart: {{systemd: rtdetr.service}}, interval: 1h}}\n",
        systemctl.display()
    );
    for (word, expected) in [
        ("active", ""),
        ("failed", "the unit rtdetr.service is failed"),
        ("activating", "unknown: the unit rtdetr.service is starting"),
        ("Failed to connect to bus", "unknown: systemd does not tell the state of rtdetr.service: exit status 3"),
    ] {
        std::fs::write(&state, format!("{word}\n")).unwrap();
        assert_eq!(why(look(&text).await), expected);
    }
    let (supervisor, _) = supervise(&text);
    supervisor.restart("x", Who { name: "somebody", via: "token" }).unwrap();
    eventually("the restart", || matches!(supervisor.audit(1).unwrap()[0].outcome, AuditOutcome::Done(_))).await;
    let said = std::fs::read_to_string(&said).unwrap();
    let said: std::collections::BTreeSet<&str> = said.lines().collect();
    assert_eq!(said.into_iter().collect::<Vec<_>>(), ["is-active -- rtdetr.service", "restart --no-block --no-ask-password -- rtdetr.service"]);
}
