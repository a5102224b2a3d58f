//! What is deployed: the Debian package, the unit's rights, the Compose file and the configurations beside them. Nothing is installed here.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::server::{installed, run};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_debian_package_has_program_unit_and_configuration() {
    if !installed("dpkg-deb") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("watchfire");
    std::fs::copy("/bin/true", &program).unwrap();
    let built = Command::new(root().join("deploy/debian/build.sh")).args([&program, dir.path()]).output().unwrap();
    assert!(built.status.success(), "{}", said(&built));
    let package = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "deb")).unwrap();
    let ask = |flag: &str| said(&Command::new("dpkg-deb").arg(flag).arg(&package).output().unwrap());
    let contents = ask("--contents");
    for file in [
        "./usr/bin/watchfire",
        "./usr/lib/systemd/system/watchfire.service",
        "./etc/watchfire/watchfire.yml",
        "./usr/share/doc/watchfire/README.md",
        "./usr/share/doc/watchfire/docs/guides/first-start.md",
        "./usr/share/doc/watchfire/docs/reference/configuration.md",
        "./usr/share/doc/watchfire/changelog.gz",
        "./usr/share/doc/watchfire/copyright",
        "./usr/share/man/man1/watchfire.1.gz",
    ] {
        assert!(contents.lines().any(|l| l.ends_with(file)), "{file} in {contents}");
    }
    assert!(contents.lines().all(|l| l.contains("root/root")), "{contents}");
    // What dpkg runs as root is a sound script, and a binary for another machine says so.
    let control = dir.path().join("control");
    assert!(Command::new("dpkg-deb").arg("--control").args([&package, &control]).status().unwrap().success());
    for script in ["postinst", "prerm", "postrm"] {
        assert!(Command::new("sh").arg("-n").arg(control.join(script)).status().unwrap().success(), "{script}");
    }
    let told = ask("--info");
    assert!(told.contains(&format!("Version: {}", env!("CARGO_PKG_VERSION"))) && told.contains("conffiles"), "{told}");
}

#[test]
fn the_manual_page_has_every_command() {
    let manual = std::fs::read_to_string(root().join("deploy/debian/watchfire.1")).unwrap();
    let help = said(&run(&["--help"], &root()));
    let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let names: Vec<&str> = commands.filter(|l| !l.starts_with("   ")).filter_map(|l| l.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(manual.contains(&format!("\n.B {name}\n")), "{name} is not in watchfire.1");
    }
}

#[test]
fn the_unit_gives_few_rights() {
    if !installed("systemd-analyze") {
        return;
    }
    let output =
        Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=30"]).arg(root().join("deploy/watchfire.service")).output().unwrap();
    assert!(output.status.success(), "more than 3.0 of 10: {}", said(&output));
}

#[test]
fn the_configurations_beside_it_are_sound() {
    for file in ["deploy/debian/watchfire.yml", "deploy/container.yml"] {
        let path = root().join(file).display().to_string();
        let output = run(&["check", "--config", &path], &root());
        assert_eq!(output.status.code(), Some(0), "{file}: {}", said(&output));
    }
    // Nothing of a monitoring stack is left in our own Compose file.
    let output = run(&["adopt", "deploy/compose.yml"], &root());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).starts_with("0 of 1 containers can go\n"), "{}", said(&output));
}

#[test]
fn the_installer_keeps_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let install = || Command::new(root().join("deploy/install.sh")).arg("/bin/true").env("PREFIX", dir.path()).output().unwrap();
    assert!(install().status.success());
    let config = dir.path().join("etc/watchfire/watchfire.yml");
    std::fs::write(&config, "mine: true\n").unwrap();
    let again = install();
    assert!(again.status.success() && said(&again).contains("stays as it is"), "{}", said(&again));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "mine: true\n");
    let files = ["usr/bin/watchfire", "usr/lib/systemd/system/watchfire.service", "etc/watchfire/watchfire.yml"].map(|f| dir.path().join(f));
    assert!(files.iter().all(|f| f.exists()) && !dir.path().join("usr/bin/watchfire.new").exists());
    let script = |arguments: &[&str]| Command::new(root().join("deploy/install.sh")).args(arguments).env("PREFIX", dir.path()).output().unwrap();
    let dry = script(&["--dry-run", "--uninstall"]);
    assert!(dry.status.success() && files.iter().all(|f| f.exists()), "{}", said(&dry));
    let gone = script(&["--uninstall"]);
    assert!(gone.status.success() && said(&gone).contains("stay"), "{}", said(&gone));
    assert_eq!(files.map(|f| f.exists()), [false, false, true], "the configuration is the user's");
    let twice = script(&["--uninstall"]);
    assert!(twice.status.success() && said(&twice).contains("is not there"), "{}", said(&twice));
    assert_eq!(script(&["--unheard-of"]).status.code(), Some(2));
    assert_eq!(script(&["/bin/true", "/bin/false"]).status.code(), Some(2));
    let missing = Command::new(root().join("deploy/install.sh")).arg("/nonexistent").env("PREFIX", dir.path()).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn the_installer_looks_at_what_it_installs() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("watchfire");
    std::fs::copy("/bin/true", &program).unwrap();
    let target = dir.path().join("root");
    let install = |prefix: &Path| Command::new(root().join("deploy/install.sh")).arg(&program).env("PREFIX", prefix).output().unwrap();
    std::fs::write(dir.path().join("watchfire.sha256"), format!("{}  watchfire\n", "0".repeat(64))).unwrap();
    let wrong = install(&target);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("its checksum is") && !target.exists(), "{}", said(&wrong));
    let sum = Command::new("sha256sum").arg(&program).output().unwrap();
    std::fs::write(dir.path().join("watchfire.sha256"), sum.stdout).unwrap();
    let right = install(&target);
    assert!(right.status.success() && target.join("usr/bin/watchfire").exists(), "{}", said(&right));
    // Of another architecture: nothing is put into the machine itself.
    std::fs::remove_file(dir.path().join("watchfire.sha256")).unwrap();
    std::fs::write(&program, b"\x7fELF\x02\x01\x01not for this machine").unwrap();
    let foreign = Command::new(root().join("deploy/install.sh")).args(["--dry-run".as_ref(), program.as_os_str()]).env_remove("PREFIX").output().unwrap();
    assert_eq!(foreign.status.code(), Some(2));
    assert!(said(&foreign).contains("does not run here"), "{}", said(&foreign));
}
