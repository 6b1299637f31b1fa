//! What stands in the way of a cutover by flag: one check for each case that was measured to go wrong. Each sentence says what was
//! found and where, why it matters, and what to do.

use std::path::Path;

use crate::adapter::nginx::config::{self, Config, same_file};
use crate::adapter::nginx::lexer::Directive;
use crate::adapter::nginx::servers::{self, Server};
use crate::adapter::nginx::{Memory, access, binary};
use crate::model::desired::ProxySpec;
use crate::model::observed::Nginx;

/// Every fault, in the order of the configuration.
pub(super) fn find(memory: &Memory, proxy: &ProxySpec, nginx: Option<&Nginx>) -> Vec<String> {
    let config = config::load(&memory.config, &proxy.nginx.config);
    let missing = config.problems.iter().filter(|problem| !same_file(&problem.file, &proxy.include));
    let mut faults: Vec<String> = missing.map(|problem| unreadable(&problem.what)).collect();
    let servers = servers::all(&config);
    // A configuration that could not be read says nothing about where the include stands.
    if faults.is_empty() {
        faults.extend(nowhere(&config, &servers, proxy));
    }
    faults.extend(misplaced(&config, proxy));
    for server in &servers {
        faults.extend(in_server(server, proxy));
    }
    faults.extend(of_folder(memory, &config, proxy, nginx));
    faults
}

fn unreadable(what: &str) -> String {
    format!("{what}: the rest of the configuration cannot be checked for a cutover by flag; mend it or make it readable")
}

fn nowhere(config: &Config, servers: &[Server<'_>], proxy: &ProxySpec) -> Option<String> {
    let mut found = servers.iter().any(|server| server.include_at(&proxy.include).is_some());
    servers::walk(&config.tree, &mut |directive, _| found |= servers::includes(directive, &proxy.include));
    let (include, main) = (proxy.include.display(), proxy.nginx.config.display());
    (!found).then(|| {
        format!(
            "include {include} stands in no server of {main}, so nginx would never look at the route; put `include {include};` into \
             the server block, above `location / {{ proxy_pass ${}; }}`",
            proxy.variable
        )
    })
}

fn misplaced(config: &Config, proxy: &ProxySpec) -> Vec<String> {
    let mut faults = Vec::new();
    servers::walk(&config.tree, &mut |directive, around| {
        let level: Vec<&str> = around.iter().map(|d| d.name.as_str()).collect();
        if servers::includes(directive, &proxy.include) && level != ["http", "server"] {
            let level = level.last().map_or("main level".to_owned(), |name| format!("`{name}`"));
            faults.push(format!(
                "{}: include {} stands in {level}, where nginx refuses it or answers 403, 404 or 500 for some requests; it belongs \
                 directly into the server block",
                directive.at,
                proxy.include.display()
            ));
        }
    });
    faults
}

fn in_server(server: &Server<'_>, proxy: &ProxySpec) -> Vec<String> {
    let uses = server.uses(&proxy.variable, &proxy.include);
    let Some(at) = server.include_at(&proxy.include) else {
        let elsewhere = |d: &Directive| d.block.as_deref().is_some_and(|block| within(block, &proxy.include));
        let misplaced = server.body.iter().any(elsewhere);
        return uses.first().filter(|_| !misplaced).map(|(using, _)| without_include(server, using, proxy)).into_iter().collect();
    };
    let before = server.body.get(..at).unwrap_or_default();
    let mut faults: Vec<String> = stopped_before(before, &server.body[at], proxy).into_iter().collect();
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

fn without_include(server: &Server<'_>, using: &Directive, proxy: &ProxySpec) -> String {
    format!(
        "{}: {} uses ${} in a server ({}) without include {}: nginx accepts that and answers 500; add the include to that server",
        using.at,
        using.name,
        proxy.variable,
        server.directive.at,
        proxy.include.display()
    )
}

/// `rewrite … last`, `rewrite … break` and `break` end the rewrite phase, so that what follows is never run.
/// <https://nginx.org/en/docs/http/ngx_http_rewrite_module.html>
fn stopped_before(before: &[Directive], include: &Directive, proxy: &ProxySpec) -> Option<String> {
    let ends = |d: &Directive| match d.name.as_str() {
        "rewrite" => d.args.get(2).is_some_and(|flag| flag == "last" || flag == "break"),
        name => name == "break",
    };
    let conditional =
        |d: &Directive| d.block.as_deref().filter(|_| d.name == "if").unwrap_or_default().iter().find(|d| ends(d)).cloned();
    let stop = before.iter().find_map(|d| if ends(d) { Some(d.clone()) } else { conditional(d) })?;
    Some(format!(
        "{}: `{} {}` stands before the include ({}), ends the rewriting there and leaves ${} empty: those requests get 500; put the \
         include first",
        stop.at,
        stop.name,
        stop.args.join(" "),
        include.at,
        proxy.variable
    ))
}

/// With a variable in `proxy_pass` the URI after it is sent as it stands, for every request.
/// <https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass>
fn with_uri(using: &Directive, around: Option<&Directive>, proxy: &ProxySpec) -> Option<String> {
    let url = using.args.first().filter(|_| using.name == "proxy_pass")?;
    let named = |name: &str| {
        url.to_ascii_lowercase().strip_prefix(&name.to_ascii_lowercase()).map(|rest| url[url.len() - rest.len()..].to_owned())
    };
    let rest = named(&format!("${}", proxy.variable)).or_else(|| named(&format!("${{{}}}", proxy.variable)))?;
    // `location = /x` has one URI only, and a URI with a variable is somebody's intention.
    let exact = around.is_some_and(|d| d.name == "location" && d.args.first().is_some_and(|modifier| modifier == "="));
    (rest.starts_with('/') && !rest.contains('$') && !exact).then(|| {
        format!(
            "{}: `proxy_pass {url}` sends every request to `{rest}` and drops its query, because the URL holds a variable; write \
             `proxy_pass ${};`",
            using.at, proxy.variable
        )
    })
}

fn cached(server: &Server<'_>, proxy: &ProxySpec) -> Option<String> {
    let theirs = |d: &&Directive| d.name == "open_file_cache" && !same_file(&d.at.file, &proxy.include);
    let cache = server.body.iter().find(theirs)?;
    Some(format!(
        "{}: open_file_cache is set in the server that includes {}, which must turn it off there (a flag that is gone would be seen \
         for up to a minute), and nginx refuses it twice as \"duplicate\"; move it to the http block or into a location",
        cache.at,
        proxy.include.display()
    ))
}

fn linked(server: &Server<'_>, proxy: &ProxySpec) -> Option<String> {
    let directive = server.inherited("disable_symlinks", &proxy.include)?;
    let link = access::link_on_the_way(&proxy.flag_dir).filter(|_| directive.args.first().is_some_and(|value| value != "off"))?;
    Some(format!(
        "{}: disable_symlinks is on and {} on the way to the flags is a link: nginx would see no flag and always take the first slot; \
         give proxy.flag_dir without links",
        directive.at,
        link.display()
    ))
}

/// Whether the folder's name can stand between quotes in nginx's grammar, and means the same folder to everybody.
pub(super) fn unfit_name(dir: &Path) -> Option<String> {
    let fit = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let text = dir.to_string_lossy();
    (!dir.is_absolute() || !text.chars().all(fit)).then(|| {
        format!(
            "proxy.flag_dir {text} is not an absolute path of letters, digits and ._/- alone: nginx would look elsewhere and always \
             take the first slot; give another folder"
        )
    })
}

fn of_folder(memory: &Memory, config: &Config, proxy: &ProxySpec, nginx: Option<&Nginx>) -> Vec<String> {
    let dir = &proxy.flag_dir;
    if let Some(fault) = unfit_name(dir) {
        return vec![fault];
    }
    let mut faults = Vec::new();
    if let Some(nginx) = nginx.filter(|nginx| access::sees_another(nginx, dir)) {
        faults.push(format!(
            "nginx (master {}) runs in another mount namespace and has another folder at {} than slotd, so it would never see a flag; \
             mount the folder into both, or use `cutover: reload`",
            nginx.master.pid,
            dir.display()
        ));
    }
    let built_in = binary::find(&memory.binary, &proxy.nginx.binary).map(|binary| binary.build.user);
    match access::of_workers(nginx, config, built_in.as_deref().unwrap_or("nobody")) {
        Ok(eyes) => faults.extend(eyes.stopped_at(dir).map(|folder| {
            let (folder, user) = (folder.display(), &eyes.user);
            format!(
                "{folder} cannot be searched by nginx's workers (user {user}): they would see no flag and always take the first slot; \
                 `chmod o+x {folder}` is enough, or give a proxy.flag_dir elsewhere"
            )
        })),
        Err(why) => faults.push(why),
    }
    faults
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
        find(&Memory::default(), &proxy, None).join("\n").replace(root.to_str().unwrap(), "DIR")
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
        insta::assert_snapshot!(server("location / { proxy_pass http://127.0.0.1:1; }"), @r#"include DIR/service-url.inc stands in no server of DIR/nginx.conf, so nginx would never look at the route; put `include DIR/service-url.inc;` into the server block, above `location / { proxy_pass $service_url; }`"#);
    }

    #[test]
    fn the_include_stands_elsewhere() {
        insta::assert_snapshot!(server("location / { include DIR/service-url.inc; proxy_pass $service_url; }"), @r#"DIR/nginx.conf:4: include DIR/service-url.inc stands in `location`, where nginx refuses it or answers 403, 404 or 500 for some requests; it belongs directly into the server block"#);
        insta::assert_snapshot!(faults("http { include DIR/*.inc; }", |proxy| fs::write(&proxy.include, "").unwrap()), @r#"DIR/nginx.conf:2: include DIR/service-url.inc stands in `http`, where nginx refuses it or answers 403, 404 or 500 for some requests; it belongs directly into the server block"#);
    }

    #[test]
    fn a_second_server_has_the_variable_only() {
        let text = format!("http {{ server {{ {GOOD} }}\nserver {{ location / {{ proxy_pass ${{service_url}}; }} }} }}");
        insta::assert_snapshot!(faults(&text, |_| {}), @r#"DIR/nginx.conf:3: proxy_pass uses $service_url in a server (DIR/nginx.conf:3) without include DIR/service-url.inc: nginx accepts that and answers 500; add the include to that server"#);
    }

    #[test]
    fn something_ends_the_rewriting_before() {
        insta::assert_snapshot!(server(&format!("rewrite ^/a /b last;\n{GOOD}")), @r#"DIR/nginx.conf:4: `rewrite ^/a /b last` stands before the include (DIR/nginx.conf:5), ends the rewriting there and leaves $service_url empty: those requests get 500; put the include first"#);
        insta::assert_snapshot!(server(&format!("if ($arg_x) {{ rewrite ^ /b break; }}\n{GOOD}")), @r#"DIR/nginx.conf:4: `rewrite ^ /b break` stands before the include (DIR/nginx.conf:5), ends the rewriting there and leaves $service_url empty: those requests get 500; put the include first"#);
        assert_eq!(server(&format!("rewrite ^/a /b permanent; rewrite ^/c /d;\n{GOOD}")), "");
    }

    #[test]
    fn proxy_pass_has_a_uri() {
        insta::assert_snapshot!(server("include DIR/service-url.inc; location / { proxy_pass $service_url/; }"), @r#"DIR/nginx.conf:4: `proxy_pass $service_url/` sends every request to `/` and drops its query, because the URL holds a variable; write `proxy_pass $service_url;`"#);
        assert_eq!(server("include DIR/service-url.inc; location = /h { proxy_pass $service_url/h; }"), "");
        assert_eq!(server("include DIR/service-url.inc; location / { proxy_pass $service_url/v1$request_uri; }"), "");
    }

    #[test]
    fn the_server_has_a_cache_of_its_own() {
        insta::assert_snapshot!(server(&format!("open_file_cache max=9;\n{GOOD}")), @r#"DIR/nginx.conf:4: open_file_cache is set in the server that includes DIR/service-url.inc, which must turn it off there (a flag that is gone would be seen for up to a minute), and nginx refuses it twice as "duplicate"; move it to the http block or into a location"#);
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
            insta::assert_snapshot!(faults(&text, |_| {}), @r#"nginx's user `no-such-user` is not known on this machine, so nothing can be said about what its workers see"#);
        }
    }
}
