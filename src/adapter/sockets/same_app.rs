//! Whether a stranger on a port is the same application, started by others: what may be stopped under `same_app`.
//!
//! Everything here is evidence for one decision that ends a process, so whatever cannot be read counts as "no".

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, geteuid};

use crate::adapter::process::{fault, find, stat};
use crate::adapter::sockets::holders;
use crate::adapter::{clock, jar};
use crate::host::processes::Application;
use crate::model::id::Identity;
use crate::model::observed::Occupant;

/// Options of the JVM that take the next word (java(1)): that word is no main class.
const WITH_VALUE: [&str; 8] = [
    "--module-path",
    "-p",
    "--upgrade-module-path",
    "--add-modules",
    "--add-exports",
    "--add-opens",
    "--add-reads",
    "--limit-modules",
];

/// The process as an occupant, if it is a JVM of the slot's user that runs the same Start-Class, and none of slotd's own: another
/// slot's process may well run the same application.
pub(super) fn recognise(pid: u32, address: &str, application: &Application) -> Option<Occupant> {
    let before = stat::read(pid).ok().filter(|stat| !stat.is_dead())?;
    let java = executable(pid)?;
    let uid = expected_uid(application)?;
    if holders::user_of(pid) != Some(uid) || is_ours(pid) {
        return None;
    }
    let wanted = jar::start_class(&application.jar).ok().flatten()?;
    let theirs = runs(pid, &wanted)?;
    let identity = Identity { boot: clock::boot_id().ok()?, pid, start: before.start, cookie: None };
    // All of this was read of one process only if the number did not change hands.
    let after = stat::read(pid).ok().filter(|after| after.start == before.start)?;
    let evidence = format!(
        "a JVM ({}) of user {}, running for {} s with {theirs} is that of {}; it listens on {address}",
        java.display(),
        holders::name(uid),
        after.age().as_secs(),
        application.jar.display(),
    );
    Some(Occupant::SameApp { identity, evidence, resident: find::resident(pid).unwrap_or(0) })
}

fn executable(pid: u32) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    // The file may have been replaced by an update since (proc(5)).
    let name = path.file_name()?.to_str()?;
    (name.strip_suffix(" (deleted)").unwrap_or(name) == "java").then_some(path)
}

fn expected_uid(application: &Application) -> Option<Uid> {
    match &application.user {
        Some(name) => fault::user(name).ok().map(|user| user.uid),
        None => Some(geteuid()),
    }
}

/// Whether it carries a cookie of slotd; where that cannot be read, as if it did.
fn is_ours(pid: u32) -> bool {
    find::environment(pid).map_or(true, |env| env.is_empty() || find::variable(&env, "SLOTD_COOKIE").is_some())
}

/// What shows that it runs this class: a jar that leads to it, or its own name. One that was unpacked, by slotd or by the tools of
/// Spring Boot, has either the jar or the name.
fn runs(pid: u32, start_class: &str) -> Option<String> {
    let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    let named = named(&holders::words(pid));
    let jar = named.jars.into_iter().map(|path| folder.join(path)).find(|path| names(pid, path, start_class));
    let by_jar = jar.map(|path| format!("{}, whose Start-Class {start_class}", path.display()));
    by_jar.or_else(|| {
        named.main_class.filter(|main| main == start_class).map(|main| format!("the main class, which as Start-Class {main}"))
    })
}

/// What the command line of a JVM names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    jars: Vec<PathBuf>,
    main_class: Option<String>,
}

/// The jar of `-jar`, which is the first word that is no option (the scripts write their `-D` between the two), or the class
/// path and the main class; what stands behind the main class or the jar is the application's.
fn named(words: &[String]) -> Named {
    let (mut by_jar, mut class_path) = (false, Vec::new());
    let mut options = words.iter().skip(1);
    while let Some(option) = options.next() {
        match option.as_str() {
            "-jar" => by_jar = true,
            "-cp" | "-classpath" | "--class-path" => class_path = options.next().map_or_else(Vec::new, |list| split(list)),
            other if WITH_VALUE.contains(&other) => drop(options.next()),
            other if other.starts_with('-') || other.starts_with('@') => {
                if let Some(list) = other.strip_prefix("--class-path=") {
                    class_path = split(list);
                }
            }
            jar if by_jar => return Named { jars: vec![PathBuf::from(jar)], main_class: None },
            main_class => return Named { jars: class_path, main_class: Some(main_class.to_owned()) },
        }
    }
    Named::default()
}

fn split(list: &str) -> Vec<PathBuf> {
    let is_jar = |path: &Path| path.extension().is_some_and(|extension| extension == "jar");
    std::env::split_paths(list).filter(|path| is_jar(path)).collect()
}

/// Looked at through the process's own root: the same path may be another file for us.
fn names(pid: u32, path: &Path, start_class: &str) -> bool {
    let Ok(below_root) = path.strip_prefix("/") else { return false };
    let there = Path::new("/proc").join(pid.to_string()).join("root").join(below_root);
    jar::application_class(&there).ok().flatten().as_deref() == Some(start_class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jar_is_taken_from_the_options_and_never_from_what_follows_them() {
        let all = |line: &str| named(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let of = |line: &str| all(line).jars;
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(of("java -Xmx1g -cp a.jar -jar app.jar --x.jar"), paths(&["app.jar"]));
        assert_eq!(of("java -jar -Dspring.profiles.active=real1 app.jar x"), paths(&["app.jar"]));
        assert_eq!(of("java -cp lib/a.jar:classes:/b.jar com.example.Main -jar no.jar"), paths(&["lib/a.jar", "/b.jar"]));
        assert_eq!(of("java --add-opens java.base/x=ALL --class-path=a.jar Main"), paths(&["a.jar"]));
        assert_eq!(all("java -cp a.jar com.example.Main com.example.No").main_class.as_deref(), Some("com.example.Main"));
        assert_eq!(all("java -jar a.jar com.example.No").main_class, None);
        assert!(of("java Main -jar no.jar").is_empty() && of("java -jar").is_empty() && of("").is_empty());
    }

    #[test]
    fn what_is_no_jvm_is_not_the_same_application() {
        let application = Application { jar: PathBuf::from("/nonexistent.jar"), user: None };
        assert_eq!(recognise(std::process::id(), "127.0.0.1:1", &application), None);
        assert_eq!(recognise(u32::MAX, "127.0.0.1:1", &application), None);
    }
}
