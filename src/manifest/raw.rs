//! The manifest as it is written: one struct per map, one field per key, with its default and the words an editor shows. The only
//! description of the format: the schema, the walk over the YAML and `slotd config` all come from here.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::manifest::ordered::Ordered;
use crate::manifest::scalar::{
    CommandLine, ConfigPath, EnvName, FilePath, FlagDir, HostName, IpLiteral, Program, ServiceName, Sha256, SlotName, Span,
    Template, Url, UrlPath, UserName, Variable, Version, Word,
};
use crate::model::desired;

/// Zero-downtime deployment of Spring Boot jars behind nginx, as desired state: what should serve, and how it gets there.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "slotd desired state")]
pub(super) struct Manifest {
    /// The version of this format.
    #[serde(rename = "apiVersion", default)]
    pub(super) api_version: ApiVersion,
    /// The applications, by name.
    #[schemars(extend("minProperties" = 1))]
    pub(super) services: Ordered<ServiceName, Service>,
}

/// Versions of the format.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(super) enum ApiVersion {
    /// The only one so far.
    #[default]
    #[serde(rename = "slotd/v1")]
    V1,
}

/// One application: its jar, the places it may run at, and how traffic reaches it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// The name this service had before: its slots and its history are taken over instead of being orphaned.
    #[serde(default)]
    pub(super) moved_from: Option<ServiceName>,
    /// The jar to run.
    pub(super) jar: Jar,
    /// Two or more named places. One is live; another release is prepared in the next.
    #[serde(default = "default_slots")]
    #[schemars(extend("minProperties" = 2))]
    pub(super) slots: Ordered<SlotName, Slot>,
    /// What becomes of the slots around a cutover.
    #[serde(default)]
    pub(super) slot_policy: SlotPolicy,
    /// How the process is started. A change here (but for `boot` and `stop_timeout`) is another release.
    #[serde(default)]
    pub(super) launch: Launch,
    /// When a slot may take traffic. A change here restarts nothing.
    #[serde(default)]
    pub(super) health: Health,
    /// How users reach the live slot. A change here restarts no slot.
    #[serde(default)]
    pub(super) proxy: Proxy,
}

/// The jar to run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "version": "1.0.1-SNAPSHOT-20261122103000", "path": "build/libs/webservice-1.0.1.jar" }]))]
pub(super) struct Jar {
    /// What people call it. Quote it when it looks like a number.
    pub(super) version: Version,
    /// The file, relative to the folder of the manifest. It is read once for a version, path and sha256.
    pub(super) path: FilePath,
    /// What the file must hash to, verified before it is taken.
    #[serde(default)]
    pub(super) sha256: Option<Sha256>,
    /// false: no earlier release can serve again once this one has, because of what it makes of the data (a migration). slotd then
    /// goes back across it neither by itself nor by slotd rollback, and remembers that as long as it remembers the release.
    #[serde(default = "rollback_safe")]
    pub(super) rollback_safe: bool,
}

/// A named place.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Slot {
    /// Where the process of this slot listens; no other slot of any service may have it.
    #[schemars(range(min = 1, max = 65535))]
    pub(super) port: u16,
}

/// What becomes of the slots around a cutover.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SlotPolicy {
    /// What becomes of the old slot once it has drained.
    #[schemars(with = "Standby")]
    pub(super) standby: desired::Standby,
    /// A running or frozen standby is stopped after this long; null: kept until its slot is needed.
    pub(super) standby_for: Option<Span>,
    /// The old slot stays reachable at least this long after a cutover: nginx may still be receiving an upload for it.
    pub(super) drain: Span,
    /// Connections still open may keep the old slot at most this long after a cutover.
    pub(super) drain_deadline: Span,
    /// Who lets a ready candidate take the traffic.
    #[schemars(with = "Promote")]
    pub(super) promote: desired::Promote,
    /// For this long after a cutover, a live slot that dies or stops being ready goes back to the ready standby, and its release is
    /// quarantined.
    pub(super) bake: Span,
    /// What a crash of the live slot, later than bake, leads to.
    #[schemars(with = "OnCrash")]
    pub(super) on_crash: desired::OnCrash,
    /// Failed starts, or later crashes within 10 minutes, before the release is quarantined.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) max_attempts: u32,
    /// What may be stopped to free an idle slot's port.
    #[schemars(with = "PortConflict")]
    pub(super) port_conflict: desired::PortConflict,
}

/// How the process is started. Every text may use {slot}, {port}, {service} and {version}.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Launch {
    /// A path, or a name looked up in PATH.
    pub(super) java: Program,
    /// Arguments to the JVM, before -jar.
    pub(super) jvm_args: Vec<Template>,
    /// Arguments to the application, after the jar.
    pub(super) args: Vec<Template>,
    /// Passed as -Dspring.profiles.active.
    pub(super) profiles: Vec<Template>,
    /// Passed as -Dspring.config.location, in order, as they are written.
    pub(super) config_locations: Vec<Template>,
    /// Environment variables, beside `SERVER_PORT`, which slotd sets to the port of the slot.
    pub(super) env: Ordered<EnvName, Template>,
    /// A file of KEY=VALUE lines; its content is part of the release.
    pub(super) env_file: Option<FilePath>,
    /// Run the slot as this user (needs root).
    pub(super) user: Option<UserName>,
    /// Where the process starts; null: a folder of its own in the state folder.
    pub(super) working_dir: Option<FilePath>,
    /// How long the process has after TERM before it is killed.
    pub(super) stop_timeout: Span,
    /// How the JVM is started. Not part of the release: a change restarts nothing and counts from the next start.
    #[schemars(with = "Boot")]
    pub(super) boot: desired::Boot,
}

/// When a slot may take traffic.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Health {
    /// How the slot is asked.
    #[schemars(with = "Scheme")]
    pub(super) scheme: desired::Scheme,
    /// A management port for each slot; null: the slot's own.
    #[schemars(extend("minProperties" = 1))]
    pub(super) port: Option<Ordered<SlotName, PortNumber>>,
    /// What the slot is asked for.
    pub(super) path: UrlPath,
    /// The one status that is good.
    #[schemars(range(min = 100, max = 599))]
    pub(super) status: u16,
    /// The whole body, trimmed; null: the status alone decides.
    pub(super) expect: Option<Template>,
    /// Between two questions.
    pub(super) interval: Span,
    /// For one question.
    pub(super) timeout: Span,
    /// Good answers in a row.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) successes: u32,
    /// From the start of the process until it must be ready.
    pub(super) deadline: Span,
}

/// How users reach the live slot.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Proxy {
    /// Asked through nginx: which slot do users reach? null: only what nginx has loaded is asked.
    pub(super) url: Option<Url>,
    /// Host header (and TLS name) for that question.
    pub(super) host: Option<HostName>,
    /// PEM file of a private CA for that question.
    pub(super) ca: Option<FilePath>,
    /// The file that slotd writes and the server block of nginx includes.
    pub(super) include: ConfigPath,
    /// The variable that the include sets and `proxy_pass` uses, without the dollar sign.
    pub(super) variable: Variable,
    /// The address at which nginx reaches the slots.
    pub(super) upstream_host: IpLiteral,
    /// How traffic is moved.
    #[schemars(with = "CutoverMode")]
    pub(super) cutover: desired::CutoverMode,
    /// Where the flags of the flag cutover lie; null: beside the include, with .live added to its name.
    pub(super) flag_dir: Option<FlagDir>,
    /// By which name nginx knows the slots.
    #[schemars(with = "Upstream")]
    pub(super) upstream: desired::Upstream,
    /// The file of the pools, which slotd writes and the http block of nginx includes; null: beside the include, with .pool.conf added to
    /// its name.
    pub(super) pool_include: Option<ConfigPath>,
    /// Which nginx.
    pub(super) nginx: Nginx,
}

/// Which nginx.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Nginx {
    /// A path, or a name looked up in PATH.
    pub(super) binary: Word,
    /// Its main configuration.
    pub(super) config: FilePath,
    /// Its pid file; null: asked of nginx itself.
    pub(super) pid_file: Option<FilePath>,
    /// A command that reloads it, split at blanks, run without a shell; null: a signal.
    pub(super) reload_command: Option<CommandLine>,
}

/// A port behind a key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct PortNumber(pub(super) u16);

impl JsonSchema for PortNumber {
    fn schema_name() -> Cow<'static, str> {
        "PortNumber".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }
}

/// The words of an enum of the model, with what each means. A variant without words does not compile.
macro_rules! choices {
    ($($name:ident { $($variant:ident: $words:literal,)+ })+) => { $(
        enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let words = |choice| match choice { $(desired::$name::$variant => $words,)+ };
                let one = |choice| json_schema!({ "const": choice, "description": words(choice) });
                json_schema!({ "oneOf": [$(one(desired::$name::$variant)),+] })
            }
        }
    )+ };
}

choices! {
    Standby {
        Running: "It goes on running: a warm way back.",
        Frozen: "It is stopped in place (SIGSTOP) and uses no CPU: no timer of it runs twice beside the new release. For a way back it goes on and is asked before any traffic returns; what others keep for it meanwhile (pooled connections, leases, sessions, locks) may have ended by then.",
        Stopped: "It is stopped.",
    }
    Promote {
        Auto: "slotd, as soon as it is ready.",
        Manual: "A person, with slotd promote; until then the candidate is held ready.",
    }
    OnCrash {
        Standby: "Traffic goes to the ready standby at once; the release is started again and goes forward when it is ready.",
        Restart: "The release is started again where it was.",
    }
    PortConflict {
        Nothing: "Nothing: the port must be freed by a person.",
        Own: "A leftover that slotd itself started.",
        SameApp: "That, and a process of the same application and user that others started.",
    }
    Boot {
        Jar: "java -jar.",
        Extracted: "From jars that slotd unpacks beside the artifact, once: faster, because no jar is read inside a jar. A jar that slotd does not understand is started by java -jar, and plan says why.",
        Cds: "Extracted, with an archive of the loaded classes, which makes a start about half as long. slotd trains it once for a jar, a JVM and its options, at low priority after a deployment has settled (under slotd run, or by a later apply), and the next start uses it. A training run prepares the application in a process of its own and ends before it serves, so it connects to everything that the application connects to when it starts (databases, migrations, brokers); it binds no port. It needs Java 13 and Spring Framework 6.1 (Spring Boot 3.2); from Java 24 on it is the JVM's AOT cache.",
        Auto: "The fastest way that is safe: extracted where slotd understands the jar, with the archive where cds has made one.",
    }
    Scheme {
        Http: "Plain.",
        Https: "TLS; the certificate of a slot on the loopback address is not verified.",
    }
    CutoverMode {
        Flag: "A file whose existence nginx looks at for each request: one system call and no reload.",
        Reload: "One line in the include, and one reload of nginx for a cutover.",
    }
    Upstream {
        Address: "Its address: nginx makes a connection for each request.",
        Pool: "A named upstream for each slot, whose connections nginx keeps from one request to the next. The http block has to include the file of the pools, and the location needs proxy_http_version 1.1 and an empty Connection header; an idle connection is closed after a second. For cutover: flag alone.",
    }
}

fn rollback_safe() -> bool {
    true
}

fn seconds(count: u64) -> Span {
    Span(Duration::from_secs(count))
}

fn default_slots() -> Ordered<SlotName, Slot> {
    let slot = |name: &str, port| (SlotName(name.to_owned()), Slot { port });
    Ordered(vec![slot("real1", 8081), slot("real2", 8082)])
}

impl Default for SlotPolicy {
    fn default() -> Self {
        Self {
            standby: desired::Standby::Running,
            standby_for: None,
            drain: seconds(30),
            drain_deadline: seconds(120),
            promote: desired::Promote::Auto,
            bake: seconds(60),
            on_crash: desired::OnCrash::Standby,
            max_attempts: 3,
            port_conflict: desired::PortConflict::SameApp,
        }
    }
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            java: Program("java".to_owned()),
            jvm_args: Vec::new(),
            args: Vec::new(),
            profiles: vec![Template("{slot}".to_owned())],
            config_locations: Vec::new(),
            env: Ordered(Vec::new()),
            env_file: None,
            user: None,
            working_dir: None,
            stop_timeout: seconds(40),
            boot: desired::Boot::Auto,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            scheme: desired::Scheme::Http,
            port: None,
            path: UrlPath("/profile".to_owned()),
            status: 200,
            expect: Some(Template("{slot}".to_owned())),
            interval: Span(Duration::from_millis(100)),
            timeout: seconds(2),
            successes: 2,
            deadline: seconds(300),
        }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            url: Some(Url("http://127.0.0.1/profile".to_owned())),
            host: None,
            ca: None,
            include: ConfigPath("/etc/nginx/conf.d/service-url.inc".to_owned()),
            variable: Variable("service_url".to_owned()),
            upstream_host: IpLiteral("127.0.0.1".to_owned()),
            cutover: desired::CutoverMode::Flag,
            flag_dir: None,
            upstream: desired::Upstream::Address,
            pool_include: None,
            nginx: Nginx::default(),
        }
    }
}

impl Default for Nginx {
    fn default() -> Self {
        Self {
            binary: Word("nginx".to_owned()),
            config: FilePath("/etc/nginx/nginx.conf".to_owned()),
            pid_file: None,
            reload_command: None,
        }
    }
}
