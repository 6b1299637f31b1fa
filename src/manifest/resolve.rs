//! From the manifest as written to desired state: paths become absolute, and what follows from other values is filled in. Refuses
//! nothing: the types have checked each value, and `rules` looks at the result.

use std::path::{Component, Path, PathBuf};

use crate::manifest::raw;
use crate::manifest::scalar;
use crate::model::desired::{
    DesiredState, HealthSpec, JarSpec, LaunchSpec, NginxSpec, ProxySpec, ServiceSpec, SlotPolicy, SlotSpec,
};
use crate::model::id::{Digest, Port, ServiceName, SlotName};

/// What the manifest asks, with `folder` before every relative path.
pub(super) fn resolve(manifest: raw::Manifest, folder: &Path) -> DesiredState {
    let named = |(name, service): (scalar::ServiceName, raw::Service)| {
        let name = ServiceName::new(name.0);
        (name.clone(), self::service(name, service, folder))
    };
    DesiredState { services: manifest.services.0.into_iter().map(named).collect() }
}

fn service(name: ServiceName, raw: raw::Service, folder: &Path) -> ServiceSpec {
    let slot = |(name, slot): (scalar::SlotName, raw::Slot)| SlotSpec { name: SlotName::new(name.0), port: Port(slot.port) };
    ServiceSpec {
        name,
        moved_from: raw.moved_from.map(|old| ServiceName::new(old.0)),
        jar: jar(raw.jar, folder),
        slots: raw.slots.0.into_iter().map(slot).collect(),
        slot_policy: policy(&raw.slot_policy),
        launch: launch(raw.launch, folder),
        health: health(raw.health),
        proxy: proxy(raw.proxy, folder),
    }
}

fn jar(raw: raw::Jar, folder: &Path) -> JarSpec {
    JarSpec {
        version: raw.version.0,
        path: absolute(folder, &raw.path.0),
        sha256: raw.sha256.map(|digest| Digest::new(digest.0.to_ascii_lowercase())),
        rollback_safe: raw.rollback_safe,
    }
}

fn policy(raw: &raw::SlotPolicy) -> SlotPolicy {
    SlotPolicy {
        standby: raw.standby,
        standby_for: raw.standby_for.map(|span| span.0),
        drain: raw.drain.0,
        drain_deadline: raw.drain_deadline.0,
        promote: raw.promote,
        bake: raw.bake.0,
        on_crash: raw.on_crash,
        max_attempts: raw.max_attempts,
        port_conflict: raw.port_conflict,
    }
}

fn launch(raw: raw::Launch, folder: &Path) -> LaunchSpec {
    let texts = |list: Vec<scalar::Template>| list.into_iter().map(|text| text.0).collect();
    LaunchSpec {
        java: raw.java.0,
        jvm_args: texts(raw.jvm_args),
        args: texts(raw.args),
        profiles: texts(raw.profiles),
        config_locations: texts(raw.config_locations),
        env: raw.env.0.into_iter().map(|(name, value)| (name.0, value.0)).collect(),
        env_file: raw.env_file.map(|path| absolute(folder, &path.0)),
        user: raw.user.map(|user| user.0),
        working_dir: raw.working_dir.map(|path| absolute(folder, &path.0)),
        stop_timeout: raw.stop_timeout.0,
        boot: raw.boot,
    }
}

fn health(raw: raw::Health) -> HealthSpec {
    let ports = raw.port.into_iter().flat_map(|ports| ports.0);
    HealthSpec {
        scheme: raw.scheme,
        ports: ports.map(|(slot, port)| (SlotName::new(slot.0), Port(port.0))).collect(),
        path: raw.path.0,
        status: raw.status,
        expect: raw.expect.map(|text| text.0),
        interval: raw.interval.0,
        timeout: raw.timeout.0,
        successes: raw.successes,
        deadline: raw.deadline.0,
    }
}

fn proxy(raw: raw::Proxy, folder: &Path) -> ProxySpec {
    let include = absolute(folder, &raw.include.0);
    ProxySpec {
        url: raw.url.map(|url| url.0),
        host: raw.host.map(|host| host.0),
        ca: raw.ca.map(|path| absolute(folder, &path.0)),
        flag_dir: raw.flag_dir.map_or_else(|| beside(&include, ".live"), |path| absolute(folder, &path.0)),
        upstream: raw.upstream,
        // A name that the `conf.d/*.conf` of nginx's own packages takes in at http level.
        pool_include: raw.pool_include.map_or_else(|| beside(&include, ".pool.conf"), |path| absolute(folder, &path.0)),
        include,
        variable: raw.variable.0,
        upstream_host: raw.upstream_host.0,
        cutover: raw.cutover,
        nginx: nginx(raw.nginx, folder),
    }
}

fn nginx(raw: raw::Nginx, folder: &Path) -> NginxSpec {
    NginxSpec {
        binary: raw.binary.0,
        config: absolute(folder, &raw.config.0),
        pid_file: raw.pid_file.map(|path| absolute(folder, &path.0)),
        reload_command: raw.reload_command.map(|line| line.0.split_whitespace().map(str::to_owned).collect()),
    }
}

/// The include's path with an ending behind its name.
fn beside(include: &Path, ending: &str) -> PathBuf {
    let mut name = include.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A path of the manifest, absolute and without `.` and `..`. By its text alone: what it names need not exist yet.
fn absolute(folder: &Path, path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => clean.push(component),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_from_the_folder_of_the_manifest() {
        for (path, expected) in [
            ("build/app.jar", "/srv/web/build/app.jar"),
            ("./build/../app.jar", "/srv/web/app.jar"),
            ("../app.jar", "/srv/app.jar"),
            ("/opt/app.jar", "/opt/app.jar"),
            ("../../../../app.jar", "/app.jar"),
        ] {
            assert_eq!(absolute(Path::new("/srv/web"), path), Path::new(expected));
        }
    }
}
