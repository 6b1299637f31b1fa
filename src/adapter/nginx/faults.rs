//! What stands in the way of a cutover by flag: one check for each case that was measured to go wrong.

use std::path::Path;

use crate::adapter::nginx::config::{self, Config, Problem, same_file};
use crate::adapter::nginx::index::Stand;
use crate::adapter::nginx::lexer::{Directive, Place};
use crate::adapter::nginx::servers::{self, Server};
use crate::adapter::nginx::{Memory, access, binary};
use crate::model::desired::{ProxySpec, Upstream};
use crate::model::observed::Nginx;
use crate::model::setup::{Check, Fault, Spot};

/// Every fault, in the order of the configuration.
pub(super) fn find(memory: &Memory, proxy: &ProxySpec, nginx: Option<&Nginx>) -> Vec<Fault> {
    let config = config::load(&memory.config, &proxy.nginx.config);
    let pools = Some(&proxy.pool_include).filter(|_| proxy.upstream == Upstream::Pool);
    let ours = |problem: &&Problem| [Some(&proxy.include), pools].into_iter().flatten().any(|own| same_file(&problem.file, own));
    let missing = config.problems.iter().filter(|problem| !ours(problem));
    let mut faults: Vec<Fault> = missing.map(unreadable).collect();
    // A configuration that could not be read says nothing about where the include stands.
    if faults.is_empty() {
        faults.extend(nowhere(&config, proxy));
        faults.extend(pools.and_then(|pools| poolless(&config, proxy, pools)));
    }
    faults.extend(misplaced(&config, proxy));
    for server in &servers::of(&config, proxy) {
        faults.extend(in_server(server, proxy));
    }
    faults.extend(of_folder(memory, &config, proxy, nginx));
    faults
}

fn fault(check: Check, at: Option<&Place>, found: String, means: impl Into<String>, mend: impl Into<String>) -> Fault {
    Fault { check, at: at.map(Spot::from), found, means: means.into(), mend: mend.into() }
}

fn unreadable(problem: &Problem) -> Fault {
    let means = "the rest of the configuration cannot be checked for a cutover by flag";
    fault(Check::ConfigUnreadable, problem.at.as_ref(), problem.what.clone(), means, "mend it or make it readable")
}

/// Every `include` of the route.
fn stands<'a>(config: &'a Config, proxy: &ProxySpec) -> Vec<&'a Stand> {
    let names = |stand: &&Stand| stand.files.iter().any(|file| same_file(file, &proxy.include));
    config.index.including(&proxy.include).filter(names).collect()
}

fn nowhere(config: &Config, proxy: &ProxySpec) -> Option<Fault> {
    let (include, main) = (proxy.include.display(), proxy.nginx.config.display());
    let mend = || {
        let location = format!("location / {{ proxy_pass ${}; }}", proxy.variable);
        format!("put `include {include};` into the server block, above `{location}`")
    };
    stands(config, proxy).is_empty().then(|| {
        let what = format!("include {include} stands in no server of {main}");
        fault(Check::IncludeNowhere, None, what, "nginx would never look at the route", mend())
    })
}

/// The pools are no pools but at http level: `conf.d/*.conf` of nginx's own packages takes them in there.
fn poolless(config: &Config, proxy: &ProxySpec, pools: &Path) -> Option<Fault> {
    let main = &proxy.nginx.config;
    let mut http = config.tree.iter().filter(|d| d.name == "http").filter_map(|d| d.block.as_deref()).flatten();
    if http.any(|directive| config::takes_in(main, directive, pools)) {
        return None;
    }
    let elsewhere = config.index.including(pools).next();
    let (pools, main) = (pools.display(), main.display());
    let found = format!("the http block of {main} does not include {pools}");
    let mend = format!("put `include {pools};` into the http block, outside of any server");
    Some(fault(Check::PoolsNowhere, elsewhere.map(|stand| &stand.at), found, "nginx would know no pool", mend))
}

fn misplaced(config: &Config, proxy: &ProxySpec) -> Vec<Fault> {
    let misplaced = stands(config, proxy).into_iter().filter(|stand| stand.level != ["http", "server"]);
    misplaced
        .map(|stand| {
            let level = stand.level.last().map_or("main level".to_owned(), |name| format!("`{name}`"));
            let found = format!("include {} stands in {level}", proxy.include.display());
            let means = "nginx refuses it there or answers 403, 404 or 500 for some requests";
            let mend = "it belongs directly into the server block";
            fault(Check::IncludeMisplaced, Some(&stand.at), found, means, mend)
        })
        .collect()
}

fn in_server(server: &Server<'_>, proxy: &ProxySpec) -> Vec<Fault> {
    let uses = server.uses(&proxy.variable, &proxy.include);
    let Some(at) = server.include_at(&proxy.include) else {
        let elsewhere = |d: &Directive| d.block.as_deref().is_some_and(|block| within(block, &proxy.include));
        let misplaced = server.body.iter().any(elsewhere);
        return uses.first().filter(|_| !misplaced).map(|(using, _)| without_include(server, using, proxy)).into_iter().collect();
    };
    let before = server.body.get(..at).unwrap_or_default();
    let mut faults: Vec<Fault> = stopped_before(before, &server.body[at], proxy).into_iter().collect();
    faults.extend(uses.iter().filter_map(|(using, around)| with_uri(using, *around, proxy)));
    faults.extend(cached(server, proxy));
    faults.extend(linked(server, proxy));
    faults
}

fn within(block: &[Directive], include: &Path) -> bool {
    let mut found = false;
    servers::walk(block, &mut |directive, _| found |= servers::includes(directive, include));
    found
}

fn without_include(server: &Server<'_>, using: &Directive, proxy: &ProxySpec) -> Fault {
    let (name, variable, server, include) = (&using.name, &proxy.variable, &server.directive.at, proxy.include.display());
    let found = format!("{name} uses ${variable} in a server ({server}) without include {include}");
    let means = "nginx accepts that and answers 500";
    fault(Check::IncludeMissing, Some(&using.at), found, means, "add the include to that server")
}

/// `rewrite … last`, `rewrite … break` and `break` end the rewrite phase, so that what follows is never run.
/// <https://nginx.org/en/docs/http/ngx_http_rewrite_module.html>
fn stopped_before(before: &[Directive], include: &Directive, proxy: &ProxySpec) -> Option<Fault> {
    let ends = |d: &Directive| match d.name.as_str() {
        "rewrite" => d.args.get(2).is_some_and(|flag| flag == "last" || flag == "break"),
        name => name == "break",
    };
    let conditional =
        |d: &Directive| d.block.as_deref().filter(|_| d.name == "if").unwrap_or_default().iter().find(|d| ends(d)).cloned();
    let stop = before.iter().find_map(|d| if ends(d) { Some(d.clone()) } else { conditional(d) })?;
    let found = format!("`{} {}` stands before the include ({})", stop.name, stop.args.join(" "), include.at);
    let means = format!("it ends the rewriting there and leaves ${} empty, and those requests get 500", proxy.variable);
    Some(fault(Check::RewriteBeforeInclude, Some(&stop.at), found, means, "put the include first"))
}

/// With a variable in `proxy_pass` the URI after it is sent as it stands, for every request.
/// <https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass>
fn with_uri(using: &Directive, around: Option<&Directive>, proxy: &ProxySpec) -> Option<Fault> {
    let url = using.args.first().filter(|_| using.name == "proxy_pass")?;
    let named = |name: &str| {
        url.to_ascii_lowercase().strip_prefix(&name.to_ascii_lowercase()).map(|rest| url[url.len() - rest.len()..].to_owned())
    };
    let rest = named(&format!("${}", proxy.variable)).or_else(|| named(&format!("${{{}}}", proxy.variable)))?;
    // `location = /x` has one URI only, and a URI with a variable is somebody's intention.
    let exact = around.is_some_and(|d| d.name == "location" && d.args.first().is_some_and(|modifier| modifier == "="));
    (rest.starts_with('/') && !rest.contains('$') && !exact).then(|| {
        let means = format!("every request is sent to `{rest}` without its query, because the URL holds a variable");
        let mend = format!("write `proxy_pass ${};`", proxy.variable);
        fault(Check::ProxyPassUri, Some(&using.at), format!("`proxy_pass {url}`"), means, mend)
    })
}

fn cached(server: &Server<'_>, proxy: &ProxySpec) -> Option<Fault> {
    let theirs = |d: &&Directive| d.name == "open_file_cache" && !same_file(&d.at.file, &proxy.include);
    let cache = server.body.iter().find(theirs)?;
    let found = format!("open_file_cache is set in the server that includes {}", proxy.include.display());
    let means = "the include must turn it off there (a flag that is gone would be seen for up to a minute), and nginx refuses it \
                 twice as \"duplicate\"";
    Some(fault(Check::OpenFileCache, Some(&cache.at), found, means, "move it to the http block or into a location"))
}

fn linked(server: &Server<'_>, proxy: &ProxySpec) -> Option<Fault> {
    let directive = server.inherited("disable_symlinks", &proxy.include)?;
    let link = access::link_on_the_way(&proxy.flag_dir).filter(|_| directive.args.first().is_some_and(|value| value != "off"))?;
    let found = format!("disable_symlinks is on and {} on the way to the flags is a link", link.display());
    let means = "nginx would see no flag and always take the first slot";
    Some(fault(Check::DisableSymlinks, Some(&directive.at), found, means, "give proxy.flag_dir without links"))
}

/// Whether the folder's name can stand between quotes in nginx's grammar, and means the same folder to everybody.
pub(super) fn unfit_name(dir: &Path) -> Option<Fault> {
    let fit = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let text = dir.to_string_lossy();
    (!dir.is_absolute() || !text.chars().all(fit)).then(|| {
        let found = format!("proxy.flag_dir {text} is not an absolute path of letters, digits and ._/- alone");
        let means = "nginx would look elsewhere and always take the first slot";
        fault(Check::FlagDirName, None, found, means, "give another folder")
    })
}

fn of_folder(memory: &Memory, config: &Config, proxy: &ProxySpec, nginx: Option<&Nginx>) -> Vec<Fault> {
    let dir = &proxy.flag_dir;
    if let Some(fault) = unfit_name(dir) {
        return vec![fault];
    }
    let mut faults = Vec::new();
    faults.extend(nginx.filter(|nginx| access::sees_another(nginx, dir)).map(|nginx| elsewhere(nginx, dir)));
    let built_in = binary::find(&memory.binary, &proxy.nginx.binary).map(|binary| binary.build.user);
    match access::of_workers(nginx, config, built_in.as_deref().unwrap_or("nobody")) {
        Ok(eyes) => faults.extend(eyes.stopped_at(dir).map(|folder| closed(&folder, &eyes.user))),
        Err(found) => faults.push(unknown_user(config, found)),
    }
    faults
}

fn elsewhere(nginx: &Nginx, dir: &Path) -> Fault {
    let (pid, dir) = (nginx.master.pid, dir.display());
    let found = format!("nginx (master {pid}) runs in another mount namespace and has another folder at {dir} than slotd");
    let mend = "mount the folder into both, or use `cutover: reload`";
    fault(Check::MountNamespace, None, found, "it would never see a flag", mend)
}

fn closed(folder: &Path, user: &str) -> Fault {
    let at = Some(Spot { file: folder.to_owned(), line: None });
    let folder = folder.display();
    Fault {
        check: Check::FlagDirClosed,
        at,
        found: format!("the folder cannot be searched by nginx's workers (user {user})"),
        means: "they would see no flag and always take the first slot".to_owned(),
        mend: format!("`chmod o+x {folder}` is enough, or give a proxy.flag_dir elsewhere"),
    }
}

fn unknown_user(config: &Config, found: String) -> Fault {
    let at = config.tree.iter().rev().find(|d| d.name == "user").map(|d| &d.at);
    let means = "nothing can be said about what its workers see";
    fault(Check::WorkersUser, at, found, means, "name a user that exists in nginx's `user`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::nginx::sample;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// Faults of a configuration with DIR for its folder, without the part that only the folder's rights decide.
    fn faults(config: &str, change: impl FnOnce(&mut ProxySpec)) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let main = root.join("nginx.conf");
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        fs::write(&main, format!("user {me};\n{}", config.replace("DIR", root.to_str().unwrap()))).unwrap();
        let mut proxy = sample::service().proxy;
        proxy.include = root.join("service-url.inc");
        proxy.flag_dir = root.join("service-url.inc.live");
        proxy.nginx.config = main;
        change(&mut proxy);
        let found: Vec<String> = find(&Memory::default(), &proxy, None).iter().map(ToString::to_string).collect();
        found.join("\n").replace(root.to_str().unwrap(), "DIR")
    }

    fn server(body: &str) -> String {
        faults(&format!("http {{\nserver {{\n{body}\n}}\n}}"), |_| {})
    }

    const GOOD: &str = "include DIR/service-url.inc; location / { proxy_pass $service_url; }";

    #[test]
    fn the_setup_of_the_book_has_no_fault_even_before_the_include_is_there() {
        assert_eq!(server(GOOD), "");
    }

    #[test]
    fn a_cache_of_http_is_turned_off_by_the_include_itself() {
        let text = format!("http {{ open_file_cache max=9; server {{ {GOOD} }} }}");
        assert_eq!(faults(&text, |proxy| fs::write(&proxy.include, "open_file_cache off;").unwrap()), "");
    }

    #[test]
    fn the_include_is_nowhere() {
        insta::assert_snapshot!(server("location / { proxy_pass http://127.0.0.1:1; }"), @r#"include DIR/service-url.inc stands in no server of DIR/nginx.conf: nginx would never look at the route; put `include DIR/service-url.inc;` into the server block, above `location / { proxy_pass $service_url; }`"#);
    }

    #[test]
    fn the_pools_are_taken_in_at_http_level_alone() {
        let pooled = |proxy: &mut ProxySpec| {
            proxy.upstream = Upstream::Pool;
            proxy.pool_include = proxy.include.with_file_name("service-url.inc.pool.conf");
        };
        let written = |proxy: &mut ProxySpec| {
            pooled(proxy);
            fs::write(&proxy.pool_include, "upstream u { server 127.0.0.1:1; }").unwrap();
        };
        let text = |http: &str, more: &str| format!("http {{ {http}\nserver {{ {GOOD} {more} }} }}");
        for include in ["include *.conf;", "include DIR/*.pool.conf;", "include service-url.inc.pool.conf;"] {
            // A pattern that names the main file too would lead in a circle.
            let include = include.replace("include *.conf", "include *.inc.pool.conf");
            assert_eq!(faults(&text(&include, ""), pooled), "", "before the file is there");
            assert_eq!(faults(&text(&include, ""), written), "");
        }
        insta::assert_snapshot!(faults(&text("include *.inc;", ""), pooled), @r#"the http block of DIR/nginx.conf does not include DIR/service-url.inc.pool.conf: nginx would know no pool; put `include DIR/service-url.inc.pool.conf;` into the http block, outside of any server"#);
        insta::assert_snapshot!(faults(&text("", "include DIR/*.pool.conf;"), written), @r#"DIR/nginx.conf:3: the http block of DIR/nginx.conf does not include DIR/service-url.inc.pool.conf: nginx would know no pool; put `include DIR/service-url.inc.pool.conf;` into the http block, outside of any server"#);
        assert_eq!(faults(&text("", ""), |_| {}), "", "no pools are asked for");
    }

    #[test]
    fn the_include_stands_elsewhere() {
        insta::assert_snapshot!(server("location / { include DIR/service-url.inc; proxy_pass $service_url; }"), @r#"DIR/nginx.conf:4: include DIR/service-url.inc stands in `location`: nginx refuses it there or answers 403, 404 or 500 for some requests; it belongs directly into the server block"#);
        insta::assert_snapshot!(faults("http { include DIR/*.inc; }", |proxy| fs::write(&proxy.include, "").unwrap()), @r#"DIR/nginx.conf:2: include DIR/service-url.inc stands in `http`: nginx refuses it there or answers 403, 404 or 500 for some requests; it belongs directly into the server block"#);
    }

    #[test]
    fn a_second_server_has_the_variable_only() {
        let text = format!("http {{ server {{ {GOOD} }}\nserver {{ location / {{ proxy_pass ${{service_url}}; }} }} }}");
        insta::assert_snapshot!(faults(&text, |_| {}), @r#"DIR/nginx.conf:3: proxy_pass uses $service_url in a server (DIR/nginx.conf:3) without include DIR/service-url.inc: nginx accepts that and answers 500; add the include to that server"#);
    }

    #[test]
    fn something_ends_the_rewriting_before() {
        insta::assert_snapshot!(server(&format!("rewrite ^/a /b last;\n{GOOD}")), @r#"DIR/nginx.conf:4: `rewrite ^/a /b last` stands before the include (DIR/nginx.conf:5): it ends the rewriting there and leaves $service_url empty, and those requests get 500; put the include first"#);
        insta::assert_snapshot!(server(&format!("if ($arg_x) {{ rewrite ^ /b break; }}\n{GOOD}")), @r#"DIR/nginx.conf:4: `rewrite ^ /b break` stands before the include (DIR/nginx.conf:5): it ends the rewriting there and leaves $service_url empty, and those requests get 500; put the include first"#);
        assert_eq!(server(&format!("rewrite ^/a /b permanent; rewrite ^/c /d;\n{GOOD}")), "");
    }

    #[test]
    fn proxy_pass_has_a_uri() {
        insta::assert_snapshot!(server("include DIR/service-url.inc; location / { proxy_pass $service_url/; }"), @r#"DIR/nginx.conf:4: `proxy_pass $service_url/`: every request is sent to `/` without its query, because the URL holds a variable; write `proxy_pass $service_url;`"#);
        assert_eq!(server("include DIR/service-url.inc; location = /h { proxy_pass $service_url/h; }"), "");
        assert_eq!(server("include DIR/service-url.inc; location / { proxy_pass $service_url/v1$request_uri; }"), "");
    }

    #[test]
    fn the_server_has_a_cache_of_its_own() {
        insta::assert_snapshot!(server(&format!("open_file_cache max=9;\n{GOOD}")), @r#"DIR/nginx.conf:4: open_file_cache is set in the server that includes DIR/service-url.inc: the include must turn it off there (a flag that is gone would be seen for up to a minute), and nginx refuses it twice as "duplicate"; move it to the http block or into a location"#);
    }

    #[test]
    fn links_are_forbidden_and_one_is_on_the_way() {
        let text = format!("http {{ disable_symlinks on; server {{ {GOOD} }} }}");
        let linked = |proxy: &mut ProxySpec| {
            let link = proxy.include.with_file_name("link");
            std::os::unix::fs::symlink(proxy.include.parent().unwrap(), &link).unwrap();
            proxy.flag_dir = link.join("flags");
        };
        insta::assert_snapshot!(faults(&text, linked), @r#"DIR/nginx.conf:2: disable_symlinks is on and DIR/link on the way to the flags is a link: nginx would see no flag and always take the first slot; give proxy.flag_dir without links"#);
        assert_eq!(faults(&text, |_| {}), "");
        assert_eq!(faults(&text.replace(" on;", " off;"), linked), "");
    }

    #[test]
    fn the_name_of_the_folder_is_unfit() {
        let text = format!("http {{ server {{ {GOOD} }} }}");
        insta::assert_snapshot!(faults(&text, |proxy| proxy.flag_dir = "live".into()), @r#"proxy.flag_dir live is not an absolute path of letters, digits and ._/- alone: nginx would look elsewhere and always take the first slot; give another folder"#);
        assert!(faults(&text, |proxy| proxy.flag_dir = "/a\"b".into()).contains("proxy.flag_dir"));
    }

    #[test]
    fn the_configuration_cannot_be_read() {
        insta::assert_snapshot!(faults("http {", |_| {}), @r#"DIR/nginx.conf:2: unexpected end of file: the rest of the configuration cannot be checked for a cutover by flag; mend it or make it readable"#);
        insta::assert_snapshot!(faults("include DIR/gone.conf;", |_| {}), @r#"DIR/nginx.conf:2: cannot read DIR/gone.conf: No such file or directory (os error 2): the rest of the configuration cannot be checked for a cutover by flag; mend it or make it readable"#);
    }

    #[test]
    fn the_workers_user_is_not_known() {
        if nix::unistd::geteuid().is_root() {
            let text = format!("user no-such-user;\nhttp {{ server {{ {GOOD} }} }}");
            insta::assert_snapshot!(faults(&text, |_| {}), @r#"DIR/nginx.conf:2: nginx's user `no-such-user` is not known on this machine: nothing can be said about what its workers see; name a user that exists in nginx's `user`"#);
        }
    }
}
