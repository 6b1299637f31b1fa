//! The servers of a configuration: where they listen, what they are called, whether they use the variable and where the include stands.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use crate::adapter::nginx::config::{Config, same_file};
use crate::adapter::nginx::lexer::Directive;
use crate::model::desired::ProxySpec;

/// One `server` of `http`.
#[derive(Debug)]
pub(super) struct Server<'a> {
    /// The `server` directive.
    pub(super) directive: &'a Directive,
    /// What stands between its braces, included files too.
    pub(super) body: &'a [Directive],
    /// What stands around it.
    pub(super) http: &'a [Directive],
}

/// Where a server can be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    /// Host as in a URL, wildcards replaced by loopback.
    Tcp(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// One `listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    /// Where.
    pub(super) address: Address,
    /// TLS.
    pub(super) ssl: bool,
}

/// Every `server` that includes the route of a service or uses its variable.
pub(super) fn of<'a>(config: &'a Config, proxy: &ProxySpec) -> Vec<Server<'a>> {
    let candidates = config.index.servers(&proxy.include, &proxy.variable);
    let servers = candidates.into_iter().filter_map(|(http, server)| at(config, http, server));
    servers.filter(|server| server.concerns(proxy)).collect()
}

fn at(config: &Config, http: usize, server: usize) -> Option<Server<'_>> {
    let http = config.tree.get(http)?.block.as_deref()?;
    let directive = http.get(server)?;
    Some(Server { directive, body: directive.block.as_deref()?, http })
}

/// Every directive of a list and of the blocks in it, except those of one file.
pub(super) fn walk<'a>(list: &'a [Directive], see: &mut dyn FnMut(&'a Directive, &[&'a Directive])) {
    fn descend<'a>(list: &'a [Directive], around: &mut Vec<&'a Directive>, see: &mut dyn FnMut(&'a Directive, &[&'a Directive])) {
        for directive in list {
            see(directive, around);
            around.push(directive);
            descend(directive.block.as_deref().unwrap_or_default(), around, see);
            around.pop();
        }
    }
    descend(list, &mut Vec::new(), see);
}

/// Whether an `include` names this file.
pub(super) fn includes(directive: &Directive, file: &Path) -> bool {
    directive.files.iter().any(|named| same_file(named, file))
}

/// Whether an argument holds `$variable` or `${variable}`; nginx knows no case in the names of variables
/// (`src/http/ngx_http_variables.c` lowers them).
pub(super) fn holds_variable(argument: &str, variable: &str) -> bool {
    let (argument, variable) = (argument.to_ascii_lowercase(), variable.to_ascii_lowercase());
    let whole = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    argument.contains(&format!("${{{variable}}}"))
        || argument.match_indices(&format!("${variable}")).any(|(at, found)| whole(&argument[at + found.len()..]))
}

impl<'a> Server<'a> {
    fn concerns(&self, proxy: &ProxySpec) -> bool {
        self.include_at(&proxy.include).is_some() || !self.uses(&proxy.variable, &proxy.include).is_empty()
    }

    /// The directives that use the variable, other than those of the include itself, with what stands around them in the server.
    pub(super) fn uses(&self, variable: &str, include: &Path) -> Vec<(&'a Directive, Option<&'a Directive>)> {
        let mut uses = Vec::new();
        walk(self.body, &mut |directive, around| {
            // `set $service_url …` outside the include defines, it does not use.
            let args = if directive.name == "set" { directive.args.get(1..) } else { Some(directive.args.as_slice()) };
            let holds = args.unwrap_or_default().iter().any(|argument| holds_variable(argument, variable));
            if holds && !same_file(&directive.at.file, include) {
                uses.push((directive, around.last().copied()));
            }
        });
        uses
    }

    /// Where the include stands at server level, in this server's list.
    pub(super) fn include_at(&self, include: &Path) -> Option<usize> {
        self.body.iter().position(|directive| includes(directive, include))
    }

    /// The value of a directive at server level, else at http level; directives of `except` do not count.
    pub(super) fn inherited(&self, name: &str, except: &Path) -> Option<&'a Directive> {
        let ours = |d: &&Directive| d.name == name && !same_file(&d.at.file, except);
        self.body.iter().find(ours).or_else(|| self.http.iter().find(ours))
    }

    /// The first name that a request can carry; `None`: the server has only patterns, or none.
    pub(super) fn name(&self) -> Option<String> {
        let names = self.body.iter().filter(|d| d.name == "server_name").flat_map(|d| &d.args);
        let usable = |name: &String| {
            // <https://nginx.org/en/docs/http/server_names.html>: `.a.b` and `*.a.b` are wildcards, `~` is a regular expression.
            let name = if name.starts_with("*.") { format!("slotd{}", name.trim_start_matches('*')) } else { name.clone() };
            let name = name.trim_start_matches('.').to_owned();
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
            (plain && !name.is_empty()).then_some(name)
        };
        names.clone().filter(|name| !name.starts_with(['*', '.'])).find_map(usable).or_else(|| names.clone().find_map(usable))
    }

    /// The addresses that can be asked, the cheapest first; without `listen` nginx takes 80 as root and 8000 else.
    /// <https://nginx.org/en/docs/http/ngx_http_core_module.html#listen>
    pub(super) fn listens(&self) -> Vec<Listen> {
        // The old `ssl on;` was valid until 1.25.1.
        let legacy = self.body.iter().any(|d| d.name == "ssl" && d.args.first().is_some_and(|on| on == "on"));
        let mut written = self.body.iter().filter(|d| d.name == "listen").peekable();
        if written.peek().is_none() {
            let port = if nix::unistd::geteuid().is_root() { 80 } else { 8000 };
            return vec![Listen { address: Address::Tcp("127.0.0.1".into(), port), ssl: legacy }];
        }
        let mut listens: Vec<Listen> = written.filter_map(|d| listen(&d.args, legacy)).collect();
        listens.sort_by_key(|l| (matches!(l.address, Address::Unix(_)), l.ssl));
        listens
    }
}

/// `None`: it cannot be asked (QUIC; PROXY protocol, which our client does not speak).
fn listen(args: &[String], legacy: bool) -> Option<Listen> {
    let (address, parameters) = args.split_first()?;
    let has = |name: &str| parameters.iter().any(|p| p == name);
    if has("quic") || has("proxy_protocol") {
        return None;
    }
    Some(Listen { address: address_of(address)?, ssl: legacy || has("ssl") })
}

fn address_of(text: &str) -> Option<Address> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(Address::Unix(PathBuf::from(path)));
    }
    if let Some(port) = port_of(text) {
        return Some(Address::Tcp("127.0.0.1".into(), port));
    }
    let bare = text.ends_with(']') || !text.contains(':');
    let (host, port) = if bare { (text, "80") } else { text.rsplit_once(':')? };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => "127.0.0.1".to_owned(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => "[::1]".to_owned(),
        Ok(IpAddr::V6(literal)) => format!("[{literal}]"),
        Ok(IpAddr::V4(literal)) => literal.to_string(),
        Err(_) if host == "*" => "127.0.0.1".to_owned(),
        Err(_) => host.to_owned(),
    };
    Some(Address::Tcp(host, port_of(port)?))
}

/// `8080`, and of `8080-8090` the first.
fn port_of(text: &str) -> Option<u16> {
    text.split('-').next()?.parse().ok()
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::nginx::index::Index;
    use crate::adapter::nginx::lexer;
    use std::collections::BTreeMap;

    /// How the server of this body listens, and its name.
    fn read(body: &str) -> (Vec<String>, Option<String>) {
        let tree = lexer::parse(&format!("http {{ server {{ {body} }} }}"), Path::new("/f")).unwrap();
        let config = Config { index: Index::of(&tree, &BTreeMap::new()), tree, problems: vec![], files: vec![] };
        let servers = [at(&config, 0, 0).unwrap()];
        let shown = |l: &Listen| format!("{}{}", l.address, if l.ssl { " ssl" } else { "" });
        (servers[0].listens().iter().map(shown).collect(), servers[0].name())
    }

    #[test]
    fn every_way_to_listen() {
        let listens = |body| read(body).0.join(", ");
        let found = listens("listen 443 ssl; listen [::]:8080; listen unix:/s; listen *:81;");
        assert_eq!(found, "[::1]:8080, 127.0.0.1:81, 127.0.0.1:443 ssl, unix:/s");
        let found = listens("listen 10.0.0.1; listen [::1]; listen 443 quic; listen 82 proxy_protocol; listen local:9000-9003;");
        assert_eq!(found, "10.0.0.1:80, [::1]:80, local:9000");
        assert_eq!(listens("listen 0.0.0.0:9; ssl on;"), "127.0.0.1:9 ssl");
        assert!(["127.0.0.1:80", "127.0.0.1:8000"].contains(&listens("").as_str()));
    }

    #[test]
    fn the_first_name_that_a_request_can_carry() {
        let named = |names: &str| read(&format!("server_name {names};")).1;
        assert_eq!(named("_"), None);
        assert_eq!(named("\"\" ~^www *.a.test b.test").as_deref(), Some("b.test"));
        assert_eq!(named("*.a.test").as_deref(), Some("slotd.a.test"));
        assert_eq!(named(".a.test").as_deref(), Some("a.test"));
    }

    #[test]
    fn a_variable_is_a_whole_word_of_any_case() {
        for yes in ["$service_url", "http://$Service_URL/x", "${service_url}y"] {
            assert!(holds_variable(yes, "service_url"), "{yes}");
        }
        for no in ["$service_url2", "service_url", "$service"] {
            assert!(!holds_variable(no, "service_url"), "{no}");
        }
    }
}
