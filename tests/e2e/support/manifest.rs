//! desired.yaml, written from settings.

use std::path::Path;

use serde_json::{Value, json};

use super::jar;
use super::nginx;
use super::process::MARK;
use super::site::Site;

/// The option that has a JVM put its temporary files into the folder of the site.
pub(crate) fn temporary(site: &Site) -> String {
    format!("-Djava.io.tmpdir={}", site.path().display())
}

/// A manifest of one service, `webservice`, with the two slots of a site.
#[derive(Clone)]
pub(crate) struct Manifest(Value);

impl Manifest {
    /// For the stub, with times that suit a test; the drain is shorter than any upload of the default load.
    pub(crate) fn stub(site: &Site, version: &str) -> Self {
        Self::stub_with(site, version, &[])
    }

    /// For the stub, with faults ordered through the jar.
    pub(crate) fn stub_with(site: &Site, version: &str, orders: &[(&str, &str)]) -> Self {
        Self::of(site, version, &jar::stub_jar(site.path(), version, orders))
            .set("launch.java", json!(jar::stub_binary()))
            .set("health.interval", json!("50ms"))
            .set("health.deadline", json!("20s"))
    }

    /// For the sample application. What its Tomcat leaves when it is killed goes with the site.
    pub(crate) fn real(site: &Site, stamp: &str) -> Self {
        Self::of(site, &jar::real_version(stamp), &jar::real_jar(stamp))
            .set("health.deadline", json!("90s"))
            .set("launch.jvm_args", json!([temporary(site)]))
    }

    /// For the sample application as a war.
    pub(crate) fn war(site: &Site, stamp: &str) -> Self {
        Self::real(site, stamp).set("jar.path", json!(jar::real_war(stamp, site.path())))
    }

    fn of(site: &Site, version: &str, jar: &Path) -> Self {
        let service = json!({
            "jar": { "version": version, "path": jar },
            "slots": { "real1": { "port": site.port("real1") }, "real2": { "port": site.port("real2") } },
            "slot_policy": { "drain": "3s", "drain_deadline": "15s", "bake": "1s" },
            "launch": { "env": { MARK: site.path() } },
            "health": {},
            "proxy": {
                "url": format!("http://{}/profile", site.address()),
                "include": site.nginx.include(),
                "nginx": { "config": site.nginx.config(), "binary": nginx::binary() },
            },
        });
        Self(json!({ "services": { "webservice": service } }))
    }

    /// Sets what stands below the service, by its dotted path.
    pub(crate) fn set(mut self, path: &str, value: Value) -> Self {
        let place = path.split('.').fold(&mut self.0["services"]["webservice"], |at, key| &mut at[key]);
        *place = value;
        self
    }

    /// Sets an environment variable of the application.
    pub(crate) fn env(self, name: &str, value: &str) -> Self {
        self.set(&format!("launch.env.{name}"), json!(value))
    }

    /// The cutover: flag or reload.
    pub(crate) fn cutover(self, way: &str) -> Self {
        self.set("proxy.cutover", json!(way))
    }

    /// The pause before an old slot may be touched.
    pub(crate) fn drain(self, time: &str) -> Self {
        self.set("slot_policy.drain", json!(time))
    }

    pub(crate) fn yaml(&self) -> String {
        serde_yaml::to_string(&self.0).unwrap()
    }
}
