//! Desired state back to a manifest, with every default written out.

use std::path::Path;

use crate::manifest::ordered::Ordered;
use crate::manifest::raw;
use crate::manifest::scalar::{
    CommandLine, ConfigPath, EnvName, FilePath, FlagDir, HostName, IpLiteral, Program, ServiceName, Sha256, SlotName, Span,
    Template, Url, UrlPath, UserName, Variable, Version, Word,
};
use crate::model::desired::{DesiredState, HealthSpec, JarSpec, LaunchSpec, NginxSpec, ProxySpec, ServiceSpec, SlotPolicy};

/// YAML that parses to the same state.
pub(super) fn render(state: &DesiredState) -> String {
    let services = state.services.iter().map(|(name, spec)| (ServiceName(name.as_str().to_owned()), service(spec)));
    let manifest = raw::Manifest { api_version: raw::ApiVersion::V1, services: Ordered(services.collect()) };
    // Only a map with keys that are no texts cannot be written, and the types hold none.
    serde_yaml::to_string(&manifest).unwrap_or_else(|error| format!("# this manifest cannot be written as YAML: {error}\n"))
}

fn service(spec: &ServiceSpec) -> raw::Service {
    let slots = spec.slots.iter().map(|slot| (SlotName(slot.name.as_str().to_owned()), raw::Slot { port: slot.port.0 }));
    raw::Service {
        moved_from: spec.moved_from.as_ref().map(|old| ServiceName(old.as_str().to_owned())),
        jar: jar(&spec.jar),
        slots: Ordered(slots.collect()),
        slot_policy: policy(&spec.slot_policy),
        launch: launch(&spec.launch),
        health: health(&spec.health),
        proxy: proxy(&spec.proxy),
    }
}

fn jar(spec: &JarSpec) -> raw::Jar {
    raw::Jar {
        version: Version(spec.version.clone()),
        path: file(&spec.path),
        sha256: spec.sha256.as_ref().map(|digest| Sha256(digest.as_str().to_owned())),
        rollback_safe: spec.rollback_safe,
    }
}

fn policy(spec: &SlotPolicy) -> raw::SlotPolicy {
    raw::SlotPolicy {
        standby: spec.standby,
        standby_for: spec.standby_for.map(Span),
        drain: Span(spec.drain),
        drain_deadline: Span(spec.drain_deadline),
        promote: spec.promote,
        bake: Span(spec.bake),
        on_crash: spec.on_crash,
        max_attempts: spec.max_attempts,
        port_conflict: spec.port_conflict,
    }
}

fn launch(spec: &LaunchSpec) -> raw::Launch {
    let env = spec.env.iter().map(|(name, value)| (EnvName(name.clone()), Template(value.clone())));
    raw::Launch {
        java: Program(spec.java.clone()),
        jvm_args: texts(&spec.jvm_args),
        args: texts(&spec.args),
        profiles: texts(&spec.profiles),
        config_locations: texts(&spec.config_locations),
        env: Ordered(env.collect()),
        env_file: spec.env_file.as_deref().map(file),
        user: spec.user.clone().map(UserName),
        working_dir: spec.working_dir.as_deref().map(file),
        stop_timeout: Span(spec.stop_timeout),
        boot: spec.boot,
    }
}

fn health(spec: &HealthSpec) -> raw::Health {
    let ports = spec.ports.iter().map(|(slot, port)| (SlotName(slot.as_str().to_owned()), raw::PortNumber(port.0)));
    raw::Health {
        scheme: spec.scheme,
        port: (!spec.ports.is_empty()).then(|| Ordered(ports.collect())),
        path: UrlPath(spec.path.clone()),
        status: spec.status,
        expect: spec.expect.clone().map(Template),
        interval: Span(spec.interval),
        timeout: Span(spec.timeout),
        successes: spec.successes,
        deadline: Span(spec.deadline),
    }
}

fn proxy(spec: &ProxySpec) -> raw::Proxy {
    raw::Proxy {
        url: spec.url.clone().map(Url),
        host: spec.host.clone().map(HostName),
        ca: spec.ca.as_deref().map(file),
        include: ConfigPath(text(&spec.include)),
        variable: Variable(spec.variable.clone()),
        upstream_host: IpLiteral(spec.upstream_host.clone()),
        cutover: spec.cutover,
        flag_dir: Some(FlagDir(text(&spec.flag_dir))),
        upstream: spec.upstream,
        pool_include: Some(ConfigPath(text(&spec.pool_include))),
        nginx: nginx(&spec.nginx),
    }
}

fn nginx(spec: &NginxSpec) -> raw::Nginx {
    raw::Nginx {
        binary: Word(spec.binary.clone()),
        config: file(&spec.config),
        pid_file: spec.pid_file.as_deref().map(file),
        reload_command: spec.reload_command.as_ref().map(|words| CommandLine(words.join(" "))),
    }
}

fn texts(list: &[String]) -> Vec<Template> {
    list.iter().cloned().map(Template).collect()
}

fn file(path: &Path) -> FilePath {
    FilePath(text(path))
}

/// The manifest is text, so its paths are; the folder alone could be something else, and then the jar is not found either way.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
