//! Whether commands may be taken from a file: only when nobody else can have written them. It looks at owner and mode, never at content.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// `Ok` when the file belongs to root or to us and neither group nor others may write it, nor put another in its place.
pub fn commands_from(file: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(file).map_err(|error| format!("cannot look at {}: {error}", file.display()))?;
    examine(file, &metadata, false)?;
    let real = file.canonicalize().map_err(|error| format!("cannot look at {}: {error}", file.display()))?;
    // A link is trusted as far as the folder it lies in, too.
    for path in [real.as_path(), file] {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let metadata = std::fs::metadata(folder).map_err(|error| format!("cannot look at {}: {error}", folder.display()))?;
        examine(folder, &metadata, true)?;
    }
    Ok(())
}

fn examine(path: &Path, metadata: &Metadata, folder: bool) -> Result<(), String> {
    const OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let (owner, mode) = (metadata.uid(), metadata.mode());
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(format!("commands are taken only from a file that belongs to root or to us; {} belongs to user {owner}", path.display()));
    }
    // In a folder such as /tmp nobody can replace what is not theirs.
    if mode & OTHERS_WRITE != 0 && !(folder && mode & STICKY != 0) {
        let mode = mode & 0o7777;
        return Err(format!("commands are taken only from a file that nobody else may write; {} has mode {mode:04o}", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn r54_a_file_that_others_may_write_gives_no_commands() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.yml");
        std::fs::write(&file, "x").unwrap();
        let mode = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        for (bits, trusted) in [(0o600, true), (0o644, true), (0o444, true), (0o664, false), (0o646, false), (0o666, false)] {
            mode(&file, bits);
            assert_eq!(commands_from(&file).is_ok(), trusted, "{bits:o}");
        }
        mode(&file, 0o600);
        for (bits, trusted) in [(0o755, true), (0o775, false), (0o777, false), (0o1777, true)] {
            mode(dir.path(), bits);
            assert_eq!(commands_from(&file).is_ok(), trusted, "folder {bits:o}");
        }
        mode(dir.path(), 0o700);
        assert!(commands_from(&dir.path().join("none")).is_err());
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
            assert!(commands_from(&file).unwrap_err().contains("belongs to user 65534"));
        } else {
            eprintln!("SKIPPED: only root can give a file away, so a foreign owner was not tested");
        }
    }
}
