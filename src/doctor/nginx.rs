//! nginx's own notions: versions, and times as its configuration writes them.

use std::time::Duration;

use crate::model::setup::{CONNECTION, Settings, Way};

/// nginx's default. <https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_timeout>
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(75);

/// `1.22.1`; a part that is no number counts as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u32; 3]);

impl Version {
    pub(super) fn of(text: &str) -> Self {
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        Self([(); 3].map(|()| parts.next().unwrap_or(0)))
    }
}

/// From here on a kept connection can be spared at a reload: `keepalive_min_timeout`.
/// <https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_min_timeout>
pub(super) const SPARES_KEPT: Version = Version([1, 27, 4]);
/// "a proxied response might be truncated": since 1.17.5, mended in 1.23.1. <https://nginx.org/en/CHANGES>
pub(super) const TRUNCATES: [Version; 2] = [Version([1, 17, 5]), Version([1, 23, 1])];
/// Before, `nginx -t` itself took connections of `reuseport` sockets with it. <https://nginx.org/en/CHANGES>
pub(super) const TESTS_QUIETLY: Version = Version([1, 13, 4]);

/// From here on nginx speaks HTTP/1.1 to upstreams and keeps their connections by itself. <https://nginx.org/en/CHANGES>
const KEEPS_UPSTREAMS: Version = Version([1, 29, 7]);

/// `75`, `10s`, `1h 30m`, `500ms`; a bare number is seconds. <https://nginx.org/en/docs/syntax.html>
pub(super) fn time(text: &str) -> Option<Duration> {
    let (mut rest, mut all) = (text.trim(), Duration::ZERO);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u32 = rest.get(..digits)?.parse().ok()?;
        let behind = &rest[digits..];
        let unit = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        all += number * one(&behind[..unit])?;
        rest = behind[unit..].trim_start();
    }
    Some(all)
}

fn one(unit: &str) -> Option<Duration> {
    const DAY: u64 = 24 * 3600;
    Some(match unit {
        "ms" => Duration::from_millis(1),
        "" | "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        "d" => Duration::from_secs(DAY),
        "w" => Duration::from_secs(7 * DAY),
        "M" => Duration::from_secs(30 * DAY),
        "y" => Duration::from_secs(365 * DAY),
        _ => return None,
    })
}

/// A directive whose first argument is a time.
pub(super) fn time_of(settings: &Settings, name: &str) -> Option<Duration> {
    time(settings.get(name)?.args.first()?)
}

/// Whether nginx keeps a client's connection between two requests.
pub(super) fn keeps(way: &Way) -> bool {
    let requests = way.settings.get("keepalive_requests").and_then(|s| s.args.first()?.parse::<u64>().ok());
    let timeout = time_of(&way.settings, "keepalive_timeout").unwrap_or(KEEPALIVE_TIMEOUT);
    requests.is_none_or(|requests| requests > 1) && !timeout.is_zero()
}

/// For how long after its last request a kept connection is spared at a reload.
pub(super) fn spares(way: &Way, version: Option<Version>) -> Option<Duration> {
    let knows = version.is_some_and(|version| version >= SPARES_KEPT);
    time_of(&way.settings, "keepalive_min_timeout").filter(|time| knows && !time.is_zero())
}

/// Whether a connection to an upstream outlives its answer: HTTP/1.1 or later, and no `Connection: close`, which older versions send
/// unless the header is set. What is set to a variable or to `upgrade` is somebody's intention.
pub(super) fn reuses(way: &Way, version: Option<Version>) -> bool {
    let by_itself = version.is_some_and(|version| version >= KEEPS_UPSTREAMS);
    let first = |name: &str| way.settings.get(name).and_then(|setting| setting.args.first()).map(String::as_str);
    let speaks = first("proxy_http_version").map_or(by_itself, |spoken| spoken != "1.0");
    speaks && first(CONNECTION).map_or(by_itself, |value| !value.eq_ignore_ascii_case("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        let ms = |text: &str| time(text).map(|time| time.as_millis());
        assert_eq!(["0", "75", "10s", "1h 30m", "1m30s", "500ms"].map(ms), [0, 75_000, 10_000, 5_400_000, 90_000, 500].map(Some));
        assert_eq!(["", "s", "10x", "-1", "1,5s"].map(ms), [None; 5]);
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        assert!(Version::of("1.9.15") < Version::of("1.22.1") && Version::of("1.27.4") == SPARES_KEPT);
        assert!(Version::of("1.27.4-plus") < SPARES_KEPT, "what is no number promises nothing");
    }
}
