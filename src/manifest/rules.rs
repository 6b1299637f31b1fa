//! What no single value can break: rules between the fields of a service, and between services. A rule is silent where a value it
//! reads is faulty in itself: that fault has been told, and what stands in its place is not what the author meant.

use std::path::Path;
use std::time::Duration;

use crate::manifest::index::{Node, Place};
use crate::manifest::problem::Faults;
use crate::manifest::scalar::{Span, config_path, did_you_mean, flag_dir};
use crate::model::desired::{CutoverMode, DesiredState, ServiceSpec, Upstream};
use crate::model::id::Port;

/// Checks every rule.
pub(super) fn check(state: &DesiredState, root: &Node, faults: &mut Faults) {
    let mut rules = Rules { state, root, faults };
    for service in state.services.values() {
        rules.durations(service);
        rules.drain(service);
        rules.management_ports(service);
        rules.environment(service);
        rules.nginx_paths(service);
        rules.pools(service);
        rules.moved_from(service);
    }
    rules.ports();
    rules.unshared(&["proxy", "include"], |service, other| {
        (service.proxy.include == other.proxy.include).then(|| path_text(&service.proxy.include))
    });
    rules.unshared(&["proxy", "flag_dir"], |service, other| {
        let follows = service.proxy.include == other.proxy.include; // told already
        (service.proxy.flag_dir == other.proxy.flag_dir && !follows).then(|| path_text(&service.proxy.flag_dir))
    });
    rules.unshared(&["proxy", "pool_include"], |service, other| {
        let pooled = |service: &ServiceSpec| service.proxy.upstream == Upstream::Pool;
        let follows = service.proxy.include == other.proxy.include; // told already
        let same = service.proxy.pool_include == other.proxy.pool_include && pooled(service) && pooled(other);
        (same && !follows).then(|| path_text(&service.proxy.pool_include))
    });
    rules.unshared(&["moved_from"], |service, other| {
        service.moved_from.as_ref().filter(|old| other.moved_from.as_ref() == Some(old)).map(ToString::to_string)
    });
}

struct Rules<'a> {
    state: &'a DesiredState,
    root: &'a Node,
    faults: &'a mut Faults,
}

/// A port that something listens on, and for whom: a slot may use its own port for management too.
struct Claim<'a> {
    place: Place,
    port: Port,
    owner: (&'a str, &'a str),
}

fn of(service: &ServiceSpec) -> Place {
    Place::default().key("services").key(service.name.as_str())
}

impl Rules<'_> {
    /// Reports a broken rule at the first place, unless one of the places it reads is doubtful.
    fn broken(&mut self, reads: &[&Place], message: String) {
        let Some(at) = reads.first().filter(|_| reads.iter().all(|place| self.faults.trusts(place))) else { return };
        // Told where something is written: the default of one field may clash with what another says.
        let written = reads.iter().find(|place| self.root.find(place).is_some()).unwrap_or(at);
        self.faults.tell(self.root.mark_of(written), at, message);
    }

    fn durations(&mut self, service: &ServiceSpec) {
        let health = &service.health;
        for (key, span) in [("interval", health.interval), ("timeout", health.timeout), ("deadline", health.deadline)] {
            if span == Duration::ZERO {
                let message = "expected more than 0s, found 0s; give it some time".to_owned();
                self.broken(&[&of(service).key("health").key(key)], message);
            }
        }
    }

    fn drain(&mut self, service: &ServiceSpec) {
        let policy = &service.slot_policy;
        if policy.drain_deadline < policy.drain {
            let (least, found) = (Span(policy.drain), Span(policy.drain_deadline));
            let place = of(service).key("slot_policy");
            let message = format!("expected at least drain ({least}), found {found}; raise drain_deadline or lower drain");
            self.broken(&[&place.key("drain_deadline"), &place.key("drain")], message);
        }
    }

    fn management_ports(&mut self, service: &ServiceSpec) {
        let slots: Vec<&str> = service.slots.iter().map(|slot| slot.name.as_str()).collect();
        for slot in service.health.ports.keys().filter(|slot| !slots.contains(&slot.as_str())) {
            let near = did_you_mean(slot.as_str(), &slots);
            let message = format!("expected one of the slots ({}), found {slot}; name a slot{near}", slots.join(", "));
            let place = of(service).key("health").key("port").key(slot.as_str());
            self.broken(&[&place, &of(service).key("slots")], message);
        }
    }

    /// What slotd puts into the environment itself: a second opinion there would make slot and application disagree.
    fn environment(&mut self, service: &ServiceSpec) {
        for name in service.launch.env.keys().filter(|name| *name == "SERVER_PORT" || name.starts_with("SLOTD_")) {
            let message = format!("expected a variable of the application, found {name}; remove it, slotd sets it");
            self.broken(&[&of(service).key("launch").key("env").key(name)], message);
        }
    }

    /// The paths as nginx will read them, the folder of the manifest included.
    fn nginx_paths(&mut self, service: &ServiceSpec) {
        let place = of(service).key("proxy");
        let include = path_text(&service.proxy.include);
        if let Err(advice) = config_path(&include) {
            let message =
                format!("expected a path without blanks, quotes, semicolons, braces, $, # or \\, found {include}; {advice}");
            self.broken(&[&place.key("include")], message);
        }
        let flags = path_text(&service.proxy.flag_dir);
        if flag_dir(&flags).is_err() {
            let message =
                format!("expected only A-Z, a-z, 0-9, ., _, / and -, found {flags}; set flag_dir, or rename the include");
            self.broken(&[&place.key("flag_dir"), &place.key("include")], message);
        }
    }

    /// Pools are for the flags, and in a file of their own.
    fn pools(&mut self, service: &ServiceSpec) {
        let (place, proxy) = (of(service).key("proxy"), &service.proxy);
        if proxy.upstream == Upstream::Address {
            return;
        }
        if proxy.cutover == CutoverMode::Reload {
            let message = "expected address with cutover: reload, found pool; use cutover: flag, or upstream: address".to_owned();
            self.broken(&[&place.key("upstream"), &place.key("cutover")], message);
        }
        let pools = path_text(&proxy.pool_include);
        if let Err(advice) = config_path(&pools) {
            let message =
                format!("expected a path without blanks, quotes, semicolons, braces, $, # or \\, found {pools}; {advice}");
            self.broken(&[&place.key("pool_include"), &place.key("include")], message);
        }
        if self.state.services.values().any(|other| other.proxy.include == proxy.pool_include) {
            let message = format!("expected a file of its own, found {pools}, which is a proxy.include; name another file");
            self.broken(&[&place.key("pool_include"), &place.key("include")], message);
        }
    }

    fn moved_from(&mut self, service: &ServiceSpec) {
        if let Some(old) = service.moved_from.as_ref().filter(|old| self.state.services.contains_key(*old)) {
            let message = format!("expected a name that is gone, found {old}, which is in this manifest; remove one of the two");
            self.broken(&[&of(service).key("moved_from")], message);
        }
    }

    /// No two things on the host may listen on one port.
    fn ports(&mut self) {
        let state = self.state;
        let claims: Vec<Claim<'_>> = state.services.values().flat_map(claims).collect();
        for (i, claim) in claims.iter().enumerate() {
            let earlier = claims.iter().take(i).find(|c| c.port == claim.port && c.owner != claim.owner);
            if let Some(other) = earlier {
                let (port, there) = (claim.port, self.there(&other.place));
                let message = format!("expected a port of its own, found {port}, which {there} has; choose another port");
                self.broken(&[&claim.place, &other.place], message);
            }
        }
    }

    /// No two services may have the same of something; `same` says what both have.
    fn unshared(&mut self, path: &[&str], same: fn(&ServiceSpec, &ServiceSpec) -> Option<String>) {
        let place = |service| path.iter().fold(of(service), |place, key| place.key(key));
        let key = path.last().copied().unwrap_or_default();
        let services: Vec<&ServiceSpec> = self.state.services.values().collect();
        for (i, service) in services.iter().enumerate() {
            let earlier = services.iter().take(i).find_map(|other| same(service, other).map(|text| (*other, text)));
            if let Some((other, text)) = earlier {
                let (mine, theirs) = (place(service), place(other));
                let there = self.there(&theirs);
                let message =
                    format!("expected one of its own, found {text}, which {there} has; give each service another {key}");
                self.broken(&[&mine, &theirs], message);
            }
        }
    }

    /// A place in words: with its line, or as a default.
    fn there(&self, place: &Place) -> String {
        match self.root.find(place) {
            Some(node) => format!("{place} (line {})", node.mark.line),
            None => format!("{place} (by default)"),
        }
    }
}

/// Every port that a service listens on.
fn claims(service: &ServiceSpec) -> Vec<Claim<'_>> {
    let (slots, ports) = (of(service).key("slots"), of(service).key("health").key("port"));
    let name = service.name.as_str();
    let slot = service.slots.iter().map(|slot| {
        let place = slots.key(slot.name.as_str()).key("port");
        Claim { place, port: slot.port, owner: (name, slot.name.as_str()) }
    });
    let management = service.health.ports.iter().map(|(slot, port)| {
        let place = ports.key(slot.as_str());
        Claim { place, port: *port, owner: (name, slot.as_str()) }
    });
    slot.chain(management).collect()
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
