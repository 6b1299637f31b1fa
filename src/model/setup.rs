//! How nginx and the kernel are set up around one service: what `slotd doctor` judges. Facts with their places, no opinion.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::model::observed::{Nginx, Observation};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Which file.
    pub file: PathBuf,
    /// Counted from one; `None`: the file as a whole.
    pub line: Option<usize>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

macro_rules! checks {
    ($($name:ident = $word:literal, $meaning:literal;)*) => {
        /// What was looked at. The list is closed; the words are part of the document of `slotd doctor`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
        pub enum Check {
            $(#[doc = $meaning] #[serde(rename = $word)] $name,)*
        }

        impl Check {
            /// Every check there is.
            pub const ALL: &'static [Check] = &[$(Check::$name,)*];

            /// The word of the document.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it finds, for the README.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

checks! {
    NginxDown = "nginx_down", "no nginx serves the configuration of the manifest";
    NginxUnverified = "nginx_unverified", "which nginx serves it cannot be told for certain";
    ConfigUnreadable = "config_unreadable", "a part of nginx's configuration cannot be read";
    IncludeNowhere = "include_nowhere", "the include stands in no server";
    IncludeMisplaced = "include_misplaced", "the include stands at another level than `server`";
    IncludeMissing = "include_missing", "a server uses the variable without the include";
    RewriteBeforeInclude = "rewrite_before_include", "a `rewrite … last` or `break` before the include leaves the variable empty";
    ProxyPassUri = "proxy_pass_uri", "`proxy_pass $service_url/…` sends every request to one URI";
    OpenFileCache = "open_file_cache", "a cache of open files where the include cannot turn it off: flags are files";
    DisableSymlinks = "disable_symlinks", "links are forbidden and one is on the way to the flags";
    FlagDirName = "flag_dir_name", "the name of the flag folder cannot stand in nginx's configuration";
    FlagDirClosed = "flag_dir_closed", "nginx's workers, as their user, cannot reach the flags";
    MountNamespace = "mount_namespace", "nginx runs in another mount namespace and sees another flag folder";
    WorkersUser = "workers_user", "the user of nginx's workers does not exist";
    PoolsNowhere = "pools_nowhere", "the `http` block does not include the file of the pools (`upstream: pool`)";
    ConfigNotLoaded = "config_not_loaded", "a file of the configuration was changed after nginx last loaded it";
    BinaryReplaced = "binary_replaced", "another nginx runs than the one on disk";
    KeepaliveClosed = "keepalive_closed", "a reload closes idle connections that clients keep";
    TruncatedAnswers = "truncated_answers", "this nginx may truncate answers at a reload";
    WorkerShutdownTimeout = "worker_shutdown_timeout", "old workers are ended too early after a reload, or never";
    Reuseport = "reuseport", "a reload may lose connections that wait in a worker's own socket";
    ProxyCache = "proxy_cache", "answers of the old release are given out of a cache";
    PoolUnused = "pool_unused", "nginx closes each connection of a pool after its answer (`upstream: pool`)";
    EphemeralPort = "ephemeral_port", "an outgoing connection may hold a slot's port";
}

/// Something that was found, with what it means and what to do. As text one sentence: `PLACE: FOUND: MEANS; MEND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was looked at.
    pub check: Check,
    /// Where.
    pub at: Option<Spot>,
    /// What was found.
    pub found: String,
    /// What it leads to.
    pub means: String,
    /// What to do.
    pub mend: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        write!(f, "{}: {}; {}", self.found, self.means, self.mend)
    }
}

/// A directive's arguments and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What follows its name.
    pub args: Vec<String>,
    /// Where.
    pub at: Spot,
}

/// By the directive's name.
pub type Settings = BTreeMap<String, Setting>;

/// Under this name stands the value of `proxy_set_header Connection`, of which there can be one for each header.
pub const CONNECTION: &str = "proxy_set_header Connection";

/// One directive that uses the route's variable (`proxy_pass`), and what is in force there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where it stands.
    pub at: Spot,
    /// What is in force there, of the nearest block that says it.
    pub settings: Settings,
}

/// All that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The nginx that serves the configuration, with the version that runs.
    pub nginx: Observation<Nginx>,
    /// The version of the binary on disk; `None`: there is none.
    pub on_disk: Option<String>,
    /// A configuration file that was changed after nginx last loaded it.
    pub changed: Option<Spot>,
    /// Whether the include that `cutover: flag` needs is on disk already.
    pub installed: bool,
    /// What stands in the way of a route through this configuration, or of a cutover by flag.
    pub faults: Vec<Fault>,
    /// Main level.
    pub main: Settings,
    /// Every use of the variable.
    pub ways: Vec<Way>,
    /// Each `listen … reuseport` of a server that uses the variable.
    pub reuseport: Vec<Spot>,
    /// `net.ipv4.tcp_migrate_req`
    pub migrates: bool,
    /// `net.ipv4.ip_local_port_range`, both ends in it; `None`: it cannot be read.
    pub outgoing: Option<(u16, u16)>,
    /// `net.ipv4.ip_local_reserved_ports`, both ends of each in it.
    pub reserved: Vec<(u16, u16)>,
}
