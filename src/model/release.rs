//! A release: the bytes of a jar with everything under `launch` that reaches the process.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::desired::LaunchSpec;
use crate::model::id::{Digest, ReleaseId};

/// Rises when the way the identity is computed changes; a release computed by an older scheme is then never equal by accident.
const SCHEME: &str = "r1";

/// What runs in a slot, and what is needed to run it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Computed from the rest, but for a `version` that reaches nothing.
    pub id: ReleaseId,
    /// What people call it.
    pub version: String,
    /// The jar.
    pub digest: Digest,
    /// How it is started; strings still hold their placeholders.
    pub launch: LaunchSpec,
    /// Digest of the content of `launch.env_file`; the content lies in the store under it.
    pub env_file: Option<Digest>,
}

impl Release {
    /// Puts a release together and computes its identity.
    pub fn new(version: &str, digest: Digest, launch: LaunchSpec, env_file: Option<Digest>) -> Self {
        let id = identify(version, &digest, &launch, env_file.as_ref());
        Self { id, version: version.to_owned(), digest, launch, env_file }
    }
}

/// Feeds only what differs from the default, so that a setting which a later slotd invents changes no release of today.
fn identify(version: &str, digest: &Digest, launch: &LaunchSpec, env_file: Option<&Digest>) -> ReleaseId {
    let mut hash = Sha256::new();
    let mut feed = |key: &str, value: &str| {
        hash.update(key.as_bytes());
        hash.update([0]);
        hash.update(value.as_bytes());
        hash.update([1]);
    };
    feed("jar", digest.as_str());
    for (key, value) in settings(launch) {
        feed(&key, &value);
    }
    if let Some(content) = env_file {
        feed("env_file", content.as_str());
    }
    if uses_version(launch) {
        feed("version", version);
    }
    let text = hex::encode(hash.finalize());
    ReleaseId::new(format!("{SCHEME}-{}", &text[..16]))
}

/// What of `launch` is not at its default and reaches the process.
fn settings(launch: &LaunchSpec) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if launch.java != "java" {
        all.push(("java".to_owned(), launch.java.clone()));
    }
    let lists = [("jvm", &launch.jvm_args), ("arg", &launch.args), ("config", &launch.config_locations)];
    for (key, list) in lists {
        all.extend(list.iter().map(|value| (key.to_owned(), value.clone())));
    }
    if launch.profiles != ["{slot}"] {
        all.push(("profiles".to_owned(), launch.profiles.join(",")));
    }
    all.extend(launch.env.iter().map(|(key, value)| (format!("env.{key}"), value.clone())));
    if let Some(user) = &launch.user {
        all.push(("user".to_owned(), user.clone()));
    }
    if let Some(dir) = &launch.working_dir {
        all.push(("dir".to_owned(), dir.to_string_lossy().into_owned()));
    }
    all
}

/// Whether the version reaches the process: then the same bytes under a new version are another release.
fn uses_version(launch: &LaunchSpec) -> bool {
    settings(launch).iter().any(|(_, value)| value.contains("{version}"))
}

/// The address that the JVM will bind: `server.address` where `launch` sets it, else the wildcard of both families
/// (Java's default is a dual-stack socket on `[::]`).
pub fn bind_address(launch: &LaunchSpec) -> String {
    let from = |list: &[String], prefix: &str| list.iter().rev().find_map(|arg| arg.strip_prefix(prefix).map(str::to_owned));
    from(&launch.args, "--server.address=")
        .or_else(|| from(&launch.jvm_args, "-Dserver.address="))
        .or_else(|| launch.env.get("SERVER_ADDRESS").cloned())
        .unwrap_or_else(|| {
            let ipv4_only = launch.jvm_args.iter().any(|a| a == "-Djava.net.preferIPv4Stack=true");
            if ipv4_only { "0.0.0.0".to_owned() } else { "::".to_owned() }
        })
}
