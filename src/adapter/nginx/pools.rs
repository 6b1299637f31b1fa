//! The file of the pools: one named `upstream` for each slot, which nginx includes at http level, to bytes and back.
//!
//! Pure. A name says slot, port and service, so that an include never leads to a port by a name that meant another one before. The
//! file may hold pools of an include that is still on disk beside those of the one that is about to be: whichever of the two nginx
//! loads, it finds its own, so that slotd may end between the two writes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::adapter::http::bracketed;
use crate::adapter::nginx::render::{Frame, OPENING, STATE, other_state};
use crate::model::id::{Port, SlotName};
use crate::model::route::Target;

const TAIL: &str = ". Do not edit: slotd rewrites this file.";
/// After the name of a pool: no name of the domain name system.
const DOMAIN: &str = ".slotd";
const UPSTREAM: &str = "upstream ";
const SERVER: &str = " { server ";
/// A worker keeps up to so many idle connections, and each for a second only: an old slot is not drained while one is open, and the
/// application, which keeps its side for longer, never closes one that nginx is just using. <https://nginx.org/r/keepalive>
const KEEPS: &str = "; keepalive 64; keepalive_timeout 1s; }";
const MAP: &str = "map \"\" ";
const NOTHING: &str = " { default \"\"; }";

/// What the file was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pools {
    /// Written by this slotd: its lines without the first.
    Ours(BTreeSet<String>),
    /// Written by a slotd with another state folder.
    Elsewhere(String),
    /// Anything else.
    Edited,
}

/// `real1-8081.webservice.slotd`
pub(super) fn name(service: &str, slot: &SlotName, port: Port) -> String {
    format!("{slot}-{port}.{service}{DOMAIN}")
}

/// The port of a name.
pub(super) fn port(name: &str) -> Option<Port> {
    let (slot, _) = name.strip_suffix(DOMAIN)?.split_once('.')?;
    slot.rsplit_once('-')?.1.parse().ok().filter(|port| *port != 0).map(Port)
}

/// `$slotd_webservice`, which is empty and stands in the include: nginx refuses an include whose pools it has not read.
pub(super) fn mark(service: &str) -> String {
    format!("$slotd_{}", service.replace('-', "_"))
}

/// What the file must hold for these targets.
pub(super) fn lines(frame: &Frame<'_>, targets: &[Target]) -> BTreeSet<String> {
    let address = |port| format!("{}:{port}", bracketed(frame.upstream_host));
    let pools = targets.iter().map(|t| pool(&name(frame.service, &t.slot, t.port), &address(t.port)));
    pools.chain([marked(&mark(frame.service))]).collect()
}

fn pool(name: &str, address: &str) -> String {
    format!("{UPSTREAM}{name}{SERVER}{address}{KEEPS}")
}

fn marked(mark: &str) -> String {
    format!("{MAP}{mark}{NOTHING}")
}

/// The bytes of the file.
pub(super) fn render(frame: &Frame<'_>, lines: &BTreeSet<String>) -> String {
    let mut out = format!("{OPENING}{}{STATE}{}{TAIL}\n", frame.service, frame.state);
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    out
}

/// What the file's text is; a service that was renamed still owns what it wrote under its former name.
pub(super) fn parse(frame: &Frame<'_>, former: Option<&str>, text: &str) -> Pools {
    if let Some(state) = other_state(frame, text) {
        return Pools::Elsewhere(state.to_owned());
    }
    let lines: BTreeSet<String> = text.lines().skip(1).map(str::to_owned).collect();
    let written = |service| render(&Frame { service, ..frame.clone() }, &lines) == text;
    let ours = [Some(frame.service), former].into_iter().flatten().any(written);
    if ours && lines.iter().all(|line| is_line(line)) { Pools::Ours(lines) } else { Pools::Edited }
}

/// Takes the values out without much care, writes them again and compares.
fn is_line(line: &str) -> bool {
    let pool = || {
        let (name, rest) = line.strip_prefix(UPSTREAM)?.split_once(SERVER)?;
        let address = rest.strip_suffix(KEEPS)?;
        Some(address.ends_with(&format!(":{}", port(name)?)) && !address.contains([' ', ';', '{']))
    };
    let mark = || Some(!line.strip_prefix(MAP)?.strip_suffix(NOTHING)?.contains([' ', ';', '{']));
    pool().or_else(mark).unwrap_or(false)
}

/// The lines that an include needs.
pub(super) fn used<'a>(lines: &'a BTreeSet<String>, include: &'a str) -> impl Iterator<Item = &'a String> {
    let named = |line: &str| {
        let pool = line.strip_prefix(UPSTREAM).and_then(|rest| rest.split_once(SERVER)).map(|(name, _)| format!("://{name};"));
        let mark = line.strip_prefix(MAP).and_then(|rest| rest.strip_suffix(NOTHING)).map(|mark| format!("{mark}\""));
        pool.or(mark)
    };
    lines.iter().filter(move |line| named(line).is_some_and(|name| include.contains(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame<'_> =
        Frame { service: "web-shop", state: "/var/lib/slotd", variable: "u", upstream_host: "127.0.0.1", flag_dir: "/flags" };

    fn targets(slots: &[(&str, u16)]) -> Vec<Target> {
        slots.iter().map(|(slot, port)| Target { slot: SlotName::new(*slot), port: Port(*port) }).collect()
    }

    fn two() -> BTreeSet<String> {
        lines(&FRAME, &targets(&[("real1", 8081), ("real-2", 8082)]))
    }

    #[test]
    fn two_pools() {
        insta::assert_snapshot!(render(&FRAME, &two()), @r##"
        # slotd: web-shop, state /var/lib/slotd. Do not edit: slotd rewrites this file.
        map "" $slotd_web_shop { default ""; }
        upstream real-2-8082.web-shop.slotd { server 127.0.0.1:8082; keepalive 64; keepalive_timeout 1s; }
        upstream real1-8081.web-shop.slotd { server 127.0.0.1:8081; keepalive 64; keepalive_timeout 1s; }
        "##);
        assert_eq!(
            [port("real-2-8082.web-shop.slotd"), port("127.0.0.1"), port("real1-x.a.slotd")],
            [Some(Port(8082)), None, None]
        );
    }

    #[test]
    fn what_was_written_is_read_and_any_other_byte_is_an_edit() {
        let text = render(&FRAME, &two());
        assert_eq!(parse(&FRAME, None, &text), Pools::Ours(two()));
        for edit in [
            text.replace("64", "65"),
            text.replace("server 127.0.0.1:8082", "server 127.0.0.1:8083"),
            text.replace("8082;", "8082; server 127.0.0.1:8082;"),
            text.clone() + "\n",
            text.clone() + "server { listen 1; }\n",
            text.replace("default \"\"", "default \"x\""),
            text.lines().skip(1).collect(),
            String::new(),
        ] {
            assert_eq!(parse(&FRAME, None, &edit), Pools::Edited, "{edit}");
        }
        let ipv6 = Frame { upstream_host: "::1", ..FRAME };
        let six = lines(&ipv6, &targets(&[("real1", 8081)]));
        assert_eq!(parse(&ipv6, None, &render(&ipv6, &six)), Pools::Ours(six));
    }

    #[test]
    fn another_state_and_a_former_name_are_known() {
        let theirs = render(&Frame { state: "/srv/slotd", ..FRAME }, &two());
        assert_eq!(parse(&FRAME, None, &theirs), Pools::Elsewhere("/srv/slotd".to_owned()));
        let former = render(&Frame { service: "shop", ..FRAME }, &two());
        assert_eq!(parse(&FRAME, None, &former), Pools::Edited);
        assert_eq!(parse(&FRAME, Some("shop"), &former), Pools::Ours(two()));
    }

    #[test]
    fn an_include_uses_its_own_pools_alone() {
        let include = "set $u http://real1-8081.web-shop.slotd;\nif (x) { return 200 \"7 $u$slotd_web_shop\"; }\n";
        let (all, one) = (two(), lines(&FRAME, &targets(&[("real1", 8081)])));
        assert_eq!(used(&all, include).cloned().collect::<BTreeSet<_>>(), one);
    }
}
