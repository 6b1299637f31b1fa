//! nginx: the include, its flags, who runs it, what it has loaded.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::desired::{ProxySpec, ServiceSpec};
use crate::model::id::SlotName;
use crate::model::observed::{Loaded, Nginx, Observation};
use crate::model::route::{Include, RouteText};

/// The proxy in front of the slots.
pub trait Proxy {
    /// The include file as it is on disk.
    fn include(&self, service: &ServiceSpec) -> Observation<Include>;

    /// The flags that stand: of the manifest's slots in their order, then of slots that only the include's own text names (a slot
    /// that left the manifest still decides while that text is loaded). Other names in the folder are left out.
    fn flags(&self, service: &ServiceSpec) -> Observation<Vec<SlotName>>;

    /// The nginx that serves this configuration, proven to be one. `Absent`: none runs.
    fn nginx(&self, proxy: &ProxySpec) -> Observation<Nginx>;

    /// What stands in the way of a cutover by flag with this configuration, each a sentence; needs no running nginx.
    fn faults(&self, service: &ServiceSpec, nginx: Option<&Nginx>) -> Vec<String>;

    /// Asks nginx itself, in every server that uses the variable, over fresh connections, which text it has loaded and which
    /// way it would go. `Unknown` when one does not say, or when they disagree.
    async fn loaded(&self, service: &ServiceSpec, text: &RouteText) -> Observation<Loaded>;

    /// Which slot answers through `proxy.url`: the one whose expected body comes back, within `patience` where that is given.
    async fn proxied(&self, service: &ServiceSpec, patience: Option<Duration>) -> Observation<SlotName>;

    /// Writes the include atomically, with the flag of `live` set before where the form needs it, and lets nginx test it if
    /// it runs; a text that nginx refuses is put back.
    fn write(&self, service: &ServiceSpec, text: &RouteText, live: &SlotName, nginx: Option<&Nginx>) -> Result<(), ProxyError>;

    /// Moves the route with one system call: `from` and `to` are the flags, `None` being the slot without one.
    fn cut(&self, proxy: &ProxySpec, from: Option<&SlotName>, to: Option<&SlotName>) -> Result<(), ProxyError>;

    /// Tests the configuration and tells the verified master to load it.
    fn reload(&self, proxy: &ProxySpec, nginx: &Nginx) -> Result<(), ProxyError>;

    /// Keeps a hand-edited include's text in the state folder before it is overwritten; gives the place.
    fn keep_edited(&self, service: &ServiceSpec, text: &str) -> Result<PathBuf, ProxyError>;
}

/// Why the route could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// nginx refuses the configuration; ours has been put back.
    #[error("nginx refuses its configuration: {said}")]
    Refused {
        /// nginx's own line.
        said: String,
    },
    /// The master is not the one that was seen.
    #[error("the nginx master {pid} is gone or is another process now; nothing was signalled")]
    MasterGone {
        /// Which pid.
        pid: u32,
    },
    /// The reload command failed.
    #[error("`{command}` ended with {status}: {said}")]
    Command {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        said: String,
    },
    /// The file changed since it was looked at.
    #[error("{path} was changed by somebody else meanwhile")]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("cannot {act} {path}")]
    Io {
        /// `write`, `rename`, …
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
