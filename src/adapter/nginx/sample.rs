//! A service for the tests of this folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::desired::*;
use crate::model::id::{Port, ServiceName, SlotName};

/// `webservice` with real1 on 8081 and real2 on 8082, every other value the default of the contract.
pub(super) fn service() -> ServiceSpec {
    let slot = |name: &str, port| SlotSpec { name: SlotName::new(name), port: Port(port) };
    ServiceSpec {
        name: ServiceName::new("webservice"),
        moved_from: None,
        jar: JarSpec { version: "1".into(), path: PathBuf::from("/app.jar"), sha256: None, rollback_safe: true },
        slots: vec![slot("real1", 8081), slot("real2", 8082)],
        slot_policy: SlotPolicy {
            standby: Standby::Running,
            standby_for: None,
            drain: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(120),
            promote: Promote::Auto,
            bake: Duration::from_secs(60),
            on_crash: OnCrash::Standby,
            max_attempts: 3,
            port_conflict: PortConflict::SameApp,
        },
        launch: LaunchSpec {
            java: "java".into(),
            jvm_args: vec![],
            args: vec![],
            profiles: vec!["{slot}".into()],
            config_locations: vec![],
            env: BTreeMap::new(),
            env_file: None,
            user: None,
            working_dir: None,
            stop_timeout: Duration::from_secs(40),
            boot: crate::model::desired::Boot::Auto,
        },
        health: HealthSpec {
            scheme: Scheme::Http,
            ports: BTreeMap::new(),
            path: "/profile".into(),
            status: 200,
            expect: Some("{slot}".into()),
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(2),
            successes: 2,
            deadline: Duration::from_secs(300),
        },
        proxy: proxy(),
    }
}

fn proxy() -> ProxySpec {
    ProxySpec {
        url: None,
        host: None,
        ca: None,
        include: PathBuf::from("/etc/nginx/conf.d/service-url.inc"),
        variable: "service_url".into(),
        upstream_host: "127.0.0.1".into(),
        cutover: CutoverMode::Flag,
        flag_dir: PathBuf::from("/etc/nginx/conf.d/service-url.inc.live"),
        upstream: Upstream::Address,
        pool_include: PathBuf::from("/etc/nginx/conf.d/service-url.inc.pool.conf"),
        nginx: NginxSpec {
            binary: "nginx".into(),
            config: PathBuf::from("/etc/nginx/nginx.conf"),
            pid_file: None,
            reload_command: None,
        },
    }
}
