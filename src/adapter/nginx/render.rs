//! The include: a route text to bytes and back (contract, section 4).
//!
//! Pure. What `render` writes, `parse` recognises, to the byte; a text with one byte changed is somebody's edit.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::adapter::http::bracketed;
use crate::adapter::nginx::{lexer, pools};
use crate::model::desired::ServiceSpec;
use crate::model::id::{Port, SlotName};
use crate::model::route::{Include, RouteForm, RouteText, Target};

pub(super) const OPENING: &str = "# slotd: ";
pub(super) const STATE: &str = ", state ";
const FLAG_TAIL: &str = " is live, unless a flag names another slot. Do not edit: slotd rewrites this file.";
const STATIC_TAIL: &str = " is live. Do not edit: slotd rewrites this file.";
/// Says what the names of the pools do not: an include that leads elsewhere is another text.
const POOLS: &str = "# The pools stand in a file of their own and lead to ";
const PROBE: &str = "if ($http_x_slotd_probe = \"";
const RETURN: &str = "\") { return 200 \"";
/// The header that asks; nginx turns `$http_x_slotd_probe` into it.
/// <https://nginx.org/en/docs/http/ngx_http_core_module.html#var_http_>
pub(super) const PROBE_HEADER: &str = "x-slotd-probe";

/// What a text is written into, beside the route itself.
#[derive(Clone, Debug)]
pub(super) struct Frame<'a> {
    /// The service.
    pub(super) service: &'a str,
    /// STATE.
    pub(super) state: &'a str,
    /// Without the dollar sign.
    pub(super) variable: &'a str,
    /// Where the slots listen.
    pub(super) upstream_host: &'a str,
    /// The folder of the flags.
    pub(super) flag_dir: &'a str,
}

/// The bytes of a text.
pub(super) fn render(frame: &Frame<'_>, text: &RouteText) -> String {
    let Some(first) = text.targets.first() else { return String::new() };
    let flagged = text.targets.get(1..).unwrap_or_default();
    let tail = tail(text.form);
    let mut out = format!("{OPENING}{}{STATE}{}. {}{tail}\n", frame.service, frame.state, first.slot);
    if text.form == RouteForm::Pool {
        let _ = writeln!(out, "{POOLS}{}.", frame.upstream_host);
    }
    if text.form.has_flags() {
        // The flag is looked up through this cache, which would go on seeing a flag that is gone for up to a minute.
        out.push_str("open_file_cache off;\n");
    }
    let _ = writeln!(out, "{}", set(frame, text.form, first));
    if text.form.has_flags() {
        // 2, 3, …, N, …, 3, 2: in a single run 2, 3 a rename from 3 to 2 between the two checks would be seen by neither.
        for target in flagged.iter().chain(flagged.iter().rev().skip(1)) {
            let _ = writeln!(out, "{}{}\") {{ {} }}", check(frame), target.slot, set(frame, text.form, target));
        }
    }
    let mark = if text.form == RouteForm::Pool { pools::mark(frame.service) } else { String::new() };
    let _ = writeln!(out, "{PROBE}{}{RETURN}{} ${}{mark}\"; }}", text.nonce, text.generation, frame.variable);
    out
}

fn tail(form: RouteForm) -> &'static str {
    match form {
        RouteForm::Flag | RouteForm::Pool => FLAG_TAIL,
        RouteForm::Static => STATIC_TAIL,
    }
}

fn set(frame: &Frame<'_>, form: RouteForm, to: &Target) -> String {
    let upstream = match form {
        RouteForm::Flag | RouteForm::Static => format!("{}:{}", bracketed(frame.upstream_host), to.port),
        RouteForm::Pool => pools::name(frame.service, &to.slot, to.port),
    };
    format!("set ${} http://{upstream};", frame.variable)
}

/// Where an upstream leads, by an address or by the name of a pool.
pub(super) fn port_of(upstream: &str) -> Option<Port> {
    let address = || port(upstream.rsplit_once(':')?.1);
    pools::port(upstream).or_else(address)
}

fn check(frame: &Frame<'_>) -> String {
    format!("if (-f \"{}/", frame.flag_dir)
}

/// What the include's text is.
pub(super) fn parse(frame: &Frame<'_>, service: &ServiceSpec, text: &str) -> Include {
    if let Some(state) = other_state(frame, text) {
        return Include::Elsewhere { state: state.to_owned() };
    }
    // A service that was renamed still owns the text that it wrote under its former name.
    let former = service.moved_from.as_ref().map(|name| Frame { service: name.as_str(), ..frame.clone() });
    let ours = ours(frame, text).or_else(|| former.and_then(|former| ours(&former, text)));
    if let Some(route) = ours {
        return Include::Ours(route);
    }
    plain(frame, service, text).map_or_else(|| Include::Edited { text: text.to_owned() }, Include::Plain)
}

/// The state folder of another slotd that the first line names.
pub(super) fn other_state<'a>(frame: &Frame<'_>, text: &'a str) -> Option<&'a str> {
    let (_, said) = text.lines().next()?.strip_prefix(OPENING)?.split_once(STATE)?;
    let ours = said.strip_prefix(frame.state).is_some_and(|rest| rest.starts_with(". "));
    let head = said.strip_suffix(FLAG_TAIL).or_else(|| said.strip_suffix(STATIC_TAIL));
    let state = head.map_or_else(|| said.split_once(". "), |head| head.rsplit_once(". "))?.0;
    (!ours).then_some(state)
}

/// Takes the values out without much care, writes them again and compares: so no byte can differ.
fn ours(frame: &Frame<'_>, text: &str) -> Option<RouteText> {
    let forms = [RouteForm::Flag, RouteForm::Pool, RouteForm::Static];
    forms.into_iter().find_map(|form| ours_as(frame, text, form))
}

fn ours_as(frame: &Frame<'_>, text: &str, form: RouteForm) -> Option<RouteText> {
    let slot = header_slot(frame, text, form)?;
    let first = text.lines().find_map(|line| port_of(line.strip_prefix(&set_opening(frame))?.strip_suffix(';')?))?;
    let mut targets = vec![Target { slot: SlotName::new(slot), port: first }];
    for target in text.lines().filter_map(|line| flagged(frame, line)) {
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let (nonce, rest) = text.lines().last()?.strip_prefix(PROBE)?.split_once(RETURN)?;
    let generation = rest.split_once(' ')?.0.parse().ok()?;
    let route = RouteText { generation, nonce: nonce.to_owned(), form, targets };
    (render(frame, &route) == text && distinct(&route)).then_some(route)
}

fn header_slot<'a>(frame: &Frame<'_>, text: &'a str, form: RouteForm) -> Option<&'a str> {
    let opening = format!("{OPENING}{}{STATE}{}. ", frame.service, frame.state);
    let slot = text.lines().next()?.strip_prefix(&opening)?.strip_suffix(tail(form))?;
    (!slot.contains(' ')).then_some(slot)
}

fn set_opening(frame: &Frame<'_>) -> String {
    format!("set ${} http://", frame.variable)
}

fn flagged(frame: &Frame<'_>, line: &str) -> Option<Target> {
    let (slot, set) = line.strip_prefix(&check(frame))?.split_once("\") { ")?;
    let port = port_of(set.strip_prefix(&set_opening(frame))?.strip_suffix("; }")?)?;
    Some(Target { slot: SlotName::new(slot), port })
}

fn distinct(route: &RouteText) -> bool {
    let quoted = |text: &str| text.contains(['"', '$', '\\']);
    let twice = |at: usize, target: &Target| route.targets.iter().skip(at + 1).any(|other| other.slot == target.slot);
    !quoted(&route.nonce) && !route.targets.iter().enumerate().any(|(at, target)| twice(at, target))
}

fn port(text: &str) -> Option<Port> {
    text.parse::<u16>().ok().filter(|port| *port != 0).map(Port)
}

/// The one line of `switch.sh`, as nginx reads it: blanks and comments do not count.
fn plain(frame: &Frame<'_>, service: &ServiceSpec, text: &str) -> Option<Target> {
    let directives = lexer::parse(text, &service.proxy.include).ok()?;
    let [line] = directives.as_slice() else { return None };
    let [variable, url] = line.args.as_slice() else { return None };
    if line.name != "set" || line.block.is_some() || variable.strip_prefix('$')? != frame.variable {
        return None;
    }
    let (host, digits) = url.strip_prefix("http://")?.rsplit_once(':')?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let port = port(digits).filter(|_| literal || host == "localhost")?;
    let slot = service.slot_at(port).cloned().unwrap_or_else(|| SlotName::unnamed(port));
    Some(Target { slot, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::nginx::sample;
    use proptest::prelude::*;

    const FRAME: Frame<'_> = Frame {
        service: "webservice",
        state: "/var/lib/slotd",
        variable: "service_url",
        upstream_host: "127.0.0.1",
        flag_dir: "/etc/nginx/conf.d/service-url.inc.live",
    };

    fn text(form: RouteForm, slots: &[(&str, u16)]) -> RouteText {
        let targets = slots.iter().map(|(slot, port)| Target { slot: SlotName::new(*slot), port: Port(*port) }).collect();
        RouteText { generation: 7, nonce: "0123456789abcdef".into(), form, targets }
    }

    #[test]
    fn two_slots_by_flag() {
        insta::assert_snapshot!(render(&FRAME, &text(RouteForm::Flag, &[("real1", 8081), ("real2", 8082)])), @r#"
        # slotd: webservice, state /var/lib/slotd. real1 is live, unless a flag names another slot. Do not edit: slotd rewrites this file.
        open_file_cache off;
        set $service_url http://127.0.0.1:8081;
        if (-f "/etc/nginx/conf.d/service-url.inc.live/real2") { set $service_url http://127.0.0.1:8082; }
        if ($http_x_slotd_probe = "0123456789abcdef") { return 200 "7 $service_url"; }
        "#);
    }

    #[test]
    fn three_slots_by_flag_are_checked_there_and_back() {
        insta::assert_snapshot!(render(&FRAME, &text(RouteForm::Flag, &[("a", 1), ("b", 2), ("c", 3)])), @r#"
        # slotd: webservice, state /var/lib/slotd. a is live, unless a flag names another slot. Do not edit: slotd rewrites this file.
        open_file_cache off;
        set $service_url http://127.0.0.1:1;
        if (-f "/etc/nginx/conf.d/service-url.inc.live/b") { set $service_url http://127.0.0.1:2; }
        if (-f "/etc/nginx/conf.d/service-url.inc.live/c") { set $service_url http://127.0.0.1:3; }
        if (-f "/etc/nginx/conf.d/service-url.inc.live/b") { set $service_url http://127.0.0.1:2; }
        if ($http_x_slotd_probe = "0123456789abcdef") { return 200 "7 $service_url"; }
        "#);
    }

    #[test]
    fn two_slots_by_flag_through_pools() {
        insta::assert_snapshot!(render(&FRAME, &text(RouteForm::Pool, &[("real1", 8081), ("real2", 8082)])), @r#"
        # slotd: webservice, state /var/lib/slotd. real1 is live, unless a flag names another slot. Do not edit: slotd rewrites this file.
        # The pools stand in a file of their own and lead to 127.0.0.1.
        open_file_cache off;
        set $service_url http://real1-8081.webservice.slotd;
        if (-f "/etc/nginx/conf.d/service-url.inc.live/real2") { set $service_url http://real2-8082.webservice.slotd; }
        if ($http_x_slotd_probe = "0123456789abcdef") { return 200 "7 $service_url$slotd_webservice"; }
        "#);
    }

    #[test]
    fn an_include_whose_pools_lead_to_another_host_is_another_text() {
        let text = render(&FRAME, &text(RouteForm::Pool, &[("real1", 8081), ("real2", 8082)]));
        let elsewhere = Frame { upstream_host: "127.0.0.2", ..FRAME };
        assert!(matches!(parse(&elsewhere, &sample::service(), &text), Include::Edited { .. }));
    }

    #[test]
    fn one_target_without_a_flag() {
        insta::assert_snapshot!(render(&FRAME, &text(RouteForm::Static, &[("real2", 8082)])), @r#"
        # slotd: webservice, state /var/lib/slotd. real2 is live. Do not edit: slotd rewrites this file.
        set $service_url http://127.0.0.1:8082;
        if ($http_x_slotd_probe = "0123456789abcdef") { return 200 "7 $service_url"; }
        "#);
    }

    #[test]
    fn the_line_of_the_scripts_is_taken_over() {
        let spec = sample::service();
        let plain = |text| {
            let found = parse(&FRAME, &spec, text);
            let Include::Plain(target) = found else { panic!("{found:?}") };
            target.slot.to_string()
        };
        assert_eq!(plain("set $service_url http://127.0.0.1:8082;\n"), "real2");
        assert_eq!(plain("# by hand\n\n  set\t$service_url   http://localhost:8081 ; # here\n"), "real1");
        assert_eq!(plain("set $service_url http://[::1]:8080;"), "8080");
    }

    #[test]
    fn anything_else_is_shown_as_it_is() {
        let spec = sample::service();
        for text in [
            "",
            "set $service_url http://example.org:8081;",
            "set $service_url https://127.0.0.1:8081;",
            "set $service_url http://127.0.0.1:8081/;",
            "set $service_url http://127.0.0.1:0;",
            "set $other http://127.0.0.1:8081;",
            "set $service_url http://127.0.0.1:8081; set $service_url http://127.0.0.1:8082;",
            "set $service_url http://127.0.0.1:8081",
        ] {
            assert_eq!(parse(&FRAME, &spec, text), Include::Edited { text: text.to_owned() });
        }
    }

    #[test]
    fn another_state_folder_owns_its_text_even_when_edited() {
        let theirs = Frame { state: "/srv/a. b", ..FRAME };
        let rendered = render(&theirs, &text(RouteForm::Flag, &[("real1", 8081), ("real2", 8082)]));
        let elsewhere = Include::Elsewhere { state: "/srv/a. b".into() };
        assert_eq!(parse(&FRAME, &sample::service(), &rendered), elsewhere);
        assert_eq!(parse(&FRAME, &sample::service(), &(rendered + "# more\n")), elsewhere);
    }

    #[test]
    fn a_renamed_service_knows_its_former_text() {
        let mut spec = sample::service();
        spec.moved_from = Some(crate::model::id::ServiceName::new("old"));
        let route = text(RouteForm::Static, &[("real1", 8081)]);
        assert_eq!(parse(&FRAME, &spec, &render(&Frame { service: "old", ..FRAME }, &route)), Include::Ours(route));
    }

    fn routes() -> impl Strategy<Value = RouteText> {
        let slots = proptest::collection::btree_map("[a-z][a-z0-9-]{0,8}", 1..=u16::MAX, 1..6);
        (any::<u64>(), "[0-9a-f]{32}", 0..3_usize, slots).prop_map(|(generation, nonce, form, slots)| {
            let targets = slots.into_iter().map(|(slot, port)| Target { slot: SlotName::new(slot), port: Port(port) });
            let form = [RouteForm::Flag, RouteForm::Pool, RouteForm::Static][form];
            let targets = if form.has_flags() { targets.collect() } else { targets.take(1).collect() };
            RouteText { generation, nonce, form, targets }
        })
    }

    proptest! {
        // A failing case is printed; no file beside the sources keeps it.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_back(route in routes()) {
            prop_assert_eq!(parse(&FRAME, &sample::service(), &render(&FRAME, &route)), Include::Ours(route));
        }

        #[test]
        fn one_other_byte_is_never_the_same_text(route in routes(), at in any::<prop::sample::Index>(), byte in b' '..b'~') {
            let rendered = render(&FRAME, &route);
            let mut bytes = rendered.clone().into_bytes();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let found = parse(&FRAME, &sample::service(), &String::from_utf8(bytes).unwrap());
            prop_assert_ne!(found, Include::Ours(route));
        }
    }
}
