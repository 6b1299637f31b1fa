//! Which Java runtime a program belongs to, told without starting it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::adapter::process::fault;
use crate::model::boot::Jvm;

/// The parts of a runtime that an archive depends on: another one of these is another runtime, even under the same version.
const PARTS: [&str; 4] = ["release", "lib/modules", "lib/server/libjvm.so", "lib/server/classes.jsa"];

/// The runtime of a program, by the file `release` that every JDK and JRE has in its home folder; `None` for a program that lies in
/// none, such as a script around `java`.
pub(super) fn jvm(java: &str) -> Option<Jvm> {
    let program = fault::program(java).ok()?.canonicalize().ok()?;
    let home = program.parent()?.parent()?;
    let release = fs::read_to_string(home.join("release")).ok()?;
    let feature = feature(&value(&release, "JAVA_VERSION")?)?;
    let name = value(&release, "JAVA_RUNTIME_VERSION").unwrap_or_else(|| feature.to_string());
    let stamp: String = PARTS.iter().map(|part| stamp(&home.join(part))).collect();
    Some(Jvm { feature, name: format!("Java {name}"), stamp: format!("{}\n{stamp}", home.display()) })
}

/// `NAME="value"`
fn value(release: &str, name: &str) -> Option<String> {
    let quoted = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(quoted.trim().trim_matches('"').to_owned())
}

/// 17 of `17.0.15`, 8 of `1.8.0_412`.
fn feature(version: &str) -> Option<u32> {
    let digits = version.strip_prefix("1.").unwrap_or(version);
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A part that is not there has none.
fn stamp(path: &Path) -> String {
    fs::metadata(path).map_or_else(|_| "-\n".to_owned(), |meta| format!("{} {} {}\n", meta.len(), meta.mtime(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn home(release: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("bin")).unwrap();
        fs::create_dir_all(home.path().join("lib")).unwrap();
        fs::write(home.path().join("release"), release).unwrap();
        fs::write(home.path().join("bin/java"), "").unwrap();
        fs::set_permissions(home.path().join("bin/java"), fs::Permissions::from_mode(0o755)).unwrap();
        home
    }

    #[test]
    fn a_runtime_is_known_by_its_release_file_and_by_its_parts() {
        let home = home("IMPLEMENTOR=\"x\"\nJAVA_RUNTIME_VERSION=\"17.0.15+6-x\"\nJAVA_VERSION=\"17.0.15\"\n");
        let java = home.path().join("bin/java").to_str().unwrap().to_owned();
        let first = jvm(&java).unwrap();
        assert_eq!((first.feature, first.name.as_str()), (17, "Java 17.0.15+6-x"));
        assert_eq!(jvm(&java), Some(first.clone()));
        fs::write(home.path().join("lib/modules"), "an update").unwrap();
        assert_ne!(jvm(&java).unwrap().stamp, first.stamp);
    }

    #[test]
    fn versions_of_every_age_are_read_and_a_script_is_no_runtime() {
        assert_eq!([feature("17.0.15"), feature("1.8.0_412"), feature("25"), feature("x")], [Some(17), Some(8), Some(25), None]);
        assert_eq!(jvm("sh"), None);
        assert_eq!(jvm("/nonexistent/java"), None);
    }
}
