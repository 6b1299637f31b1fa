//! Asking nginx itself what it has loaded, and asking through it who answers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header::HeaderName;
use reqwest::{Client, Url};

use crate::adapter::LinuxHost;
use crate::adapter::http::{self, Get, Reply, Silence, Trust, Via, shortened};
use crate::adapter::nginx::config;
use crate::adapter::nginx::render::{self, PROBE_HEADER};
use crate::adapter::nginx::servers::{self, Address, Server};
use crate::model::desired::{ServiceSpec, fill};
use crate::model::id::SlotName;
use crate::model::observed::{Loaded, Observation};
use crate::model::route::RouteText;

/// For one question; nginx answers the probe itself, so a slow application does not count.
const LIMIT: Duration = Duration::from_secs(2);

/// One server that is to be asked.
struct Asked {
    /// `nginx.conf:12 (127.0.0.1:80, Host example.org)`
    label: String,
    address: String,
    client: Client,
    get: Get,
}

/// What the servers that use the variable have loaded.
pub(super) async fn loaded(host: &LinuxHost, service: &ServiceSpec, text: &RouteText) -> Observation<Loaded> {
    let proxy = &service.proxy;
    let config = config::load(&host.nginx.config, &proxy.nginx.config);
    let servers = servers::of(&config, proxy);
    if servers.is_empty() {
        let (main, variable) = (proxy.nginx.config.display(), &proxy.variable);
        return Observation::Unknown(format!("no server of {main} includes the route or uses ${variable}"));
    }
    let mut asked = Vec::new();
    for server in &servers {
        match question(host, server, &text.nonce).await {
            Ok(question) => asked.push(question),
            Err(why) => return Observation::Unknown(why),
        }
    }
    let replies = join_all(asked.iter().map(|asked| http::get(&asked.client, &asked.get))).await;
    let answers: Vec<(Asked, Result<Reply, Silence>)> = asked.into_iter().zip(replies).collect();
    agreed(service, text, &answers)
}

async fn question(host: &LinuxHost, server: &Server<'_>, nonce: &str) -> Result<Asked, String> {
    let at = &server.directive.at;
    let listens = server.listens();
    let listen =
        listens.first().ok_or_else(|| format!("{at}: no address of this server can be asked (only QUIC or PROXY protocol)"))?;
    let scheme = if listen.ssl { "https" } else { "http" };
    let name = server.name();
    let (mut url, via) = match (&listen.address, &name) {
        (Address::Unix(path), _) => (format!("{scheme}://{}/", name.as_deref().unwrap_or("localhost")), Via::Unix(path.clone())),
        (Address::Tcp(address, port), Some(name)) if listen.ssl => {
            let there = looked_up(address, *port).await.map_err(|why| format!("{at}: {why}"))?;
            (format!("https://{name}:{port}/"), Via::Pinned(name.clone(), there))
        }
        (Address::Tcp(address, port), _) => (format!("{scheme}://{address}:{port}/"), Via::Url),
    };
    // A path of its own, so that the question is easy to tell in an access log.
    url.push_str("slotd-probe");
    let client = host.http.get(Trust::Anyone, via).map_err(|why| format!("{at}: {why}"))?;
    let header = Some((HeaderName::from_static(PROBE_HEADER), nonce.to_owned()));
    let called = name.as_ref().map_or_else(String::new, |name| format!(", Host {name}"));
    let address = listen.address.to_string();
    let get = Get { url, host: name, header, timeout: LIMIT };
    Ok(Asked { label: format!("{at} ({address}{called})"), address, client, get })
}

async fn looked_up(host: &str, port: u16) -> Result<SocketAddr, String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::time::timeout(LIMIT, tokio::net::lookup_host((host, port))).await;
    let found = found.map_err(|_| format!("no address of {host} within {LIMIT:?}"))?;
    let found = found.map_err(|error| format!("no address of {host}: {error}"))?.next();
    found.ok_or_else(|| format!("no address of {host}"))
}

fn agreed(service: &ServiceSpec, text: &RouteText, answers: &[(Asked, Result<Reply, Silence>)]) -> Observation<Loaded> {
    if answers.iter().all(|(_, reply)| reply.as_ref().is_err_and(|silence| silence.refused)) {
        let addresses: BTreeSet<&str> = answers.iter().map(|(asked, _)| asked.address.as_str()).collect();
        return Observation::Unknown(format!("nobody answers on {}", addresses.into_iter().collect::<Vec<_>>().join(", ")));
    }
    let mut first: Option<(&Asked, Loaded)> = None;
    for (asked, reply) in answers {
        let loaded = match reply.as_ref().map_err(|silence| silence.why.clone()).and_then(|reply| said(service, text, reply)) {
            Ok(loaded) => loaded,
            Err(why) => return Observation::Unknown(format!("the server at {}: {why}", asked.label)),
        };
        match &first {
            Some((other, before)) if *before != loaded => {
                return Observation::Unknown(format!(
                    "the servers of nginx disagree: {} has text {} and goes to {}, {} has text {} and goes to {}",
                    other.label, before.generation, before.slot, asked.label, loaded.generation, loaded.slot
                ));
            }
            Some(_) => {}
            None => first = Some((asked, loaded)),
        }
    }
    first.map_or(Observation::Absent, |(_, loaded)| Observation::Known(loaded))
}

/// `<generation> http://host:port`, or with the name of a pool, to the slot: of the text, else of the manifest, else the port's own
/// name (nginx may still have an older text with other targets).
fn said(service: &ServiceSpec, text: &RouteText, reply: &Reply) -> Result<Loaded, String> {
    let body = reply.body.as_deref().unwrap_or_default();
    let parsed = || {
        let (generation, url) = body.split_once(' ')?;
        Some((generation.parse().ok()?, render::port_of(url.strip_prefix("http://")?)?))
    };
    let Some((generation, port)) = parsed().filter(|_| reply.status == 200) else {
        let (status, body) = (reply.status, shortened(body));
        return Err(format!("it answers {status} `{body}` instead of the route, so it has not loaded the text on disk"));
    };
    let of_text = text.targets.iter().find(|target| target.port == port).map(|target| &target.slot);
    let slot = of_text.or_else(|| service.slot_at(port)).cloned().unwrap_or_else(|| SlotName::unnamed(port));
    Ok(Loaded { generation, slot })
}

/// Which slot answers through the proxy, within `patience` if there is one.
pub(super) async fn proxied(host: &LinuxHost, service: &ServiceSpec, patience: Option<Duration>) -> Observation<SlotName> {
    let Some(url) = &service.proxy.url else { return Observation::Absent };
    let Some(expect) = &service.health.expect else {
        return Observation::Unknown("health.expect is null, so an answer does not tell which slot gave it".to_owned());
    };
    if expect.contains("{version}") {
        return Observation::Unknown(
            "health.expect holds {version}, so an answer cannot be compared without knowing the release".to_owned(),
        );
    }
    let reply = match through(host, service, url, patience).await {
        Ok(reply) => reply,
        Err(why) => return Observation::Unknown(format!("{url}: {why}")),
    };
    let body = reply.body.as_deref().filter(|_| reply.status == service.health.status);
    let gave = |slot: &SlotName, port| body == Some(fill(expect, &service.name, slot, port, "").trim());
    let slots: Vec<&SlotName> = service.slots.iter().filter(|slot| gave(&slot.name, slot.port)).map(|slot| &slot.name).collect();
    match slots.as_slice() {
        [slot] => Observation::Known((*slot).clone()),
        [] => Observation::Unknown(stranger(service, url, &reply)),
        _ => Observation::Unknown(
            "health.expect is the same for several slots, so an answer does not tell which gave it".to_owned(),
        ),
    }
}

fn stranger(service: &ServiceSpec, url: &str, reply: &Reply) -> String {
    let to = reply.location.as_ref().map(|to| format!(" to {}", shortened(to)));
    let body = || reply.body.as_deref().map_or_else(|| " with a large page".to_owned(), |body| format!(" `{}`", shortened(body)));
    let hint = if service.proxy.host.is_none() { "; is proxy.host needed?" } else { "" };
    format!("{url} answers {}{}: proxy.url does not reach this service{hint}", reply.status, to.unwrap_or_else(body))
}

async fn through(host: &LinuxHost, service: &ServiceSpec, url: &str, patience: Option<Duration>) -> Result<Reply, String> {
    let mut url = Url::parse(url).map_err(|error| error.to_string())?;
    let tls = url.scheme() == "https";
    let trust = match (&service.proxy.ca, tls) {
        (_, false) => Trust::Anyone,
        (None, true) => Trust::Machine,
        (Some(ca), true) => {
            Trust::Authority(std::fs::read(ca).map_err(|error| format!("cannot read {}: {error}", ca.display()))?)
        }
    };
    let mut via = Via::Url;
    // The name of TLS is the URL's host, so the URL gets the name and the connection is pinned to where the URL led.
    if let Some(name) = service.proxy.host.as_ref().filter(|_| tls) {
        let name = name.rsplit_once(':').map_or(name.as_str(), |(name, _)| name);
        let there = looked_up(url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443)).await?;
        url.set_host(Some(name)).map_err(|error| format!("proxy.host {name}: {error}"))?;
        via = Via::Pinned(name.to_owned(), there);
    }
    let client = host.http.get(trust, via)?;
    let get = Get {
        url: url.to_string(),
        host: service.proxy.host.clone(),
        header: None,
        timeout: patience.map_or(LIMIT, |patience| patience.min(LIMIT)),
    };
    http::get(&client, &get).await.map_err(|silence| silence.why)
}
