//! Where the launch settings lead: which program, which user, and why one of them cannot be used.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, User, access, geteuid};

use crate::model::desired::LaunchSpec;

/// Why this cannot be launched, with what to do; `None` when it can.
pub(super) fn fault(launch: &LaunchSpec) -> Option<String> {
    java_fault(&launch.java).or_else(|| launch.user.as_deref().and_then(user_fault))
}

fn java_fault(java: &str) -> Option<String> {
    let error = program(java).err()?;
    Some(match (error.kind(), java.contains('/')) {
        (io::ErrorKind::NotFound, true) => format!("launch.java is {java}, which is not there; install it or change the path"),
        (io::ErrorKind::NotFound, false) => {
            format!("`{java}` is in no folder of the PATH of slotd; install it, or set launch.java to its path")
        }
        _ => format!("launch.java is {java}, which cannot be executed ({error}); make it executable or change the path"),
    })
}

fn user_fault(user: &str) -> Option<String> {
    match self::user(user) {
        Ok(_) if geteuid().is_root() => None,
        Ok(found) if found.uid == geteuid() => None,
        Ok(_) => Some(format!("launch.user is {user}, and only root may start a process as another user; run slotd as root")),
        Err(error) => Some(format!("launch.user is {user}: {error}; create that user or change the setting")),
    }
}

/// A user of this machine.
pub(in crate::adapter) fn user(name: &str) -> io::Result<User> {
    User::from_name(name)?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such user"))
}

/// The program that a name leads to: a path as it is, a bare name through the PATH of this process, as execvp(3) looks.
pub(in crate::adapter) fn program(name: &str) -> io::Result<PathBuf> {
    if name.contains('/') {
        return executable(&std::path::absolute(name)?);
    }
    search(name, &std::env::var_os("PATH").unwrap_or_default())
}

fn search(name: &str, path: &OsStr) -> io::Result<PathBuf> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for folder in std::env::split_paths(path) {
        match executable(&folder.join(name)) {
            Ok(found) => return Ok(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn executable(path: &Path) -> io::Result<PathBuf> {
    let is_file = std::fs::metadata(path)?.is_file();
    if !is_file {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is no file"));
    }
    access(path, AccessFlags::X_OK)?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_program_is_searched_as_the_shell_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("java");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(search("java", dir.path().as_os_str()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(java_fault(path.to_str().unwrap()).unwrap().contains("cannot be executed"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(search("java", dir.path().as_os_str()).unwrap(), path);
        assert_eq!(search("java", OsStr::new("/nonexistent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_fault_says_what_to_do() {
        assert!(java_fault("slotd-no-such-java").unwrap().contains("PATH"));
        assert!(java_fault("/nonexistent/java").unwrap().contains("not there"));
        assert!(user_fault("slotd-nobody").unwrap().contains("create that user"));
        assert_eq!(java_fault("sh"), None);
    }
}
