//! A step in words, for people.

use std::fmt;

use crate::model::boot::BootForm;
use crate::model::route::RouteForm;
use crate::plan::step::Act;

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install { release } => write!(f, "install {} (sha256 {})", release.version, release.digest.short()),
            Self::Unpack { version, digest } => write!(f, "unpack {version} (sha256 {})", digest.short()),
            Self::Relabel { version, .. } => write!(f, "call the running release {version}"),
            Self::Adopt { slot, port, process, .. } => {
                write!(f, "take over process {} as {slot} on port {port}", process.pid)
            }
            Self::WriteInclude { form, live, .. } => write!(f, "write the include{}, leading to {live}", in_form(*form)),
            Self::Reload { generation, moves: None } => {
                write!(f, "reload nginx once (route {generation}; idle keep-alive connections may be closed)")
            }
            Self::Reload { generation, moves: Some(to) } => {
                write!(
                    f,
                    "reload nginx once, which moves traffic to {} (route {generation}; idle keep-alive connections may be closed)",
                    to.to
                )
            }
            Self::TidyFlags { slots } => write!(f, "remove flags without effect: {}", list(slots)),
            Self::Start { slot, port, version, boot, .. } => write!(f, "start {version} on {slot} (port {port}){}", how(boot)),
            Self::Train { version, .. } => {
                write!(
                    f,
                    "train an archive of the classes of {version} (the application is prepared once more, and ends before it serves)"
                )
            }
            Self::Cutover { from, to, .. } => write!(f, "cut over from {from} to {to} (no reload)"),
            Self::Stop { slot, process, cut: 0 } => write!(f, "stop {slot} (pid {})", process.pid),
            Self::Stop { slot, process, cut } => {
                write!(f, "stop {slot} (pid {}), cutting {cut} open connections", process.pid)
            }
            Self::Freeze { slot, process, cut: 0 } => write!(f, "freeze {slot} (pid {})", process.pid),
            Self::Freeze { slot, process, cut } => {
                write!(f, "freeze {slot} (pid {}) with {cut} open connections, which nobody answers any more", process.pid)
            }
            Self::Thaw { slot, process } => write!(f, "thaw {slot} (pid {})", process.pid),
            Self::Kill { slot, processes } => {
                let pids: Vec<_> = processes.iter().map(|p| p.pid).collect();
                write!(f, "kill {slot} (pids {})", list(&pids))
            }
            Self::RecordFailure { slot, cause, .. } => write!(f, "note the failure on {slot}: {cause}"),
            Self::Forget { slot } => write!(f, "note that {slot} is empty"),
            Self::Quarantine { release, cause } => write!(f, "quarantine {release}: {cause}"),
            Self::Mark { release, one_way: None } => write!(f, "note that {release} is safe to go back from"),
            Self::Mark { release, one_way: Some(_) } => write!(f, "note that {release} is not safe to go back from"),
            Self::Settle { .. } => write!(f, "note that the live release has proved itself"),
            Self::Prove { generation } => write!(f, "note that nginx has loaded route {generation}"),
            Self::RecordHealth => write!(f, "note the health settings that the live slot meets"),
            Self::Finish { .. } => write!(f, "write the deployment into the history"),
            Self::Collect { releases, digests } => {
                write!(f, "remove {} old releases and {} artifacts", releases.len(), digests.len())
            }
            Self::Retire => write!(f, "forget the service"),
        }
    }
}

/// The form of an include, behind its name.
fn in_form(form: RouteForm) -> &'static str {
    match form {
        RouteForm::Flag => " in its flag form",
        RouteForm::Pool => " in its flag form with a file of pools",
        RouteForm::Static => "",
    }
}

/// How a JVM is started, behind the rest of the sentence.
fn how(boot: &BootForm) -> &'static str {
    match boot {
        BootForm::Jar => "",
        BootForm::Extracted => ", unpacked",
        BootForm::Archived { .. } => ", unpacked and with the archive of its classes",
    }
}

/// `a, b, c`
fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
