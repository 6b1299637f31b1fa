//! `slotd doctor` against a real nginx: each set-up that costs requests is found where it stands, and a good one is silent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use slotd::doctor::{self, Diagnosis, Guarantee, Promise, Severity};
use slotd::host::proxy::Proxy;
use slotd::host::survey::Survey;
use slotd::model::desired::{CutoverMode, Upstream};
use slotd::model::id::Port;
use slotd::model::setup::{Check, Setup};

use crate::nginx::{Bench, ROUTE, binary, both, running_as_root, signal, slot, wait};
use crate::support::read;

/// A server of the route with more in it, before the route.
fn server(more: &str) -> String {
    format!("server {{ listen 127.0.0.1:PLAIN;\n{more}\n{ROUTE} }}")
}

/// A bench on which nginx runs with an include as the scripts wrote it, which every configuration takes.
fn running(servers: &str) -> Bench {
    let bench = Bench::with(servers);
    fs::write(&bench.service.proxy.include, "set $service_url http://127.0.0.1:8081;\n").unwrap();
    bench.start();
    bench
}

fn reloading(servers: &str) -> Bench {
    let mut bench = running(servers);
    bench.service.proxy.cutover = CutoverMode::Reload;
    bench
}

fn diagnosis(bench: &Bench) -> Diagnosis {
    doctor::examine(&bench.service, &bench.host.survey(&bench.service))
}

fn checks(diagnosis: &Diagnosis) -> Vec<Check> {
    diagnosis.findings.iter().map(|finding| finding.fault.check).collect()
}

fn guarantee(diagnosis: &Diagnosis, cutover: CutoverMode) -> &Guarantee {
    diagnosis.guarantees.iter().find(|guarantee| guarantee.cutover == cutover).unwrap()
}

/// The finding is there with this severity, alone, and its line of the configuration says `text`.
#[track_caller]
fn found(diagnosis: &Diagnosis, check: Check, severity: Severity, text: &str) {
    let [finding] = diagnosis.findings.as_slice() else { panic!("{diagnosis:#?}") };
    assert_eq!((finding.fault.check, finding.severity), (check, severity), "{diagnosis:#?}");
    let at = finding.fault.at.as_ref().unwrap_or_else(|| panic!("no place: {diagnosis:#?}"));
    let lines = fs::read_to_string(&at.file).unwrap();
    let line = at.line.map_or(lines.as_str(), |line| lines.lines().nth(line - 1).unwrap());
    assert!(line.contains(text), "{at} says {line}");
}

/// What a stock nginx of before `keepalive_min_timeout` cannot do better by reload.
fn of_its_age(check: Check) -> bool {
    [Check::KeepaliveClosed, Check::TruncatedAnswers].contains(&check)
}

#[test]
fn a_good_setup_is_silent_and_no_request_is_lost_by_flag() {
    let bench = Bench::with(&server(""));
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let nginx = bench.start();
    let diagnosis = diagnosis(&bench);
    assert_eq!(checks(&diagnosis), [], "{diagnosis:#?}");
    assert!(diagnosis.is_sound());
    assert_eq!(diagnosis.nginx, format!("nginx {} (master {})", nginx.version, nginx.master.pid));
    let flag = guarantee(&diagnosis, CutoverMode::Flag);
    assert_eq!(flag.promise, Promise::NoneLost);
    assert!(flag.sentence.ends_with("no deployment reloads it") && flag.sentence.contains(&nginx.version), "{}", flag.sentence);
}

#[test]
fn before_the_first_cutover_the_one_reload_is_named() {
    let diagnosis = diagnosis(&running(&server("")));
    assert_eq!(checks(&diagnosis), []);
    let sentence = &guarantee(&diagnosis, CutoverMode::Flag).sentence;
    assert!(sentence.ends_with("only the one reload before the first cutover ever is as for `reload`"), "{sentence}");
}

#[test]
fn where_the_include_does_not_reach_the_route_both_cutovers_are_broken() {
    let cases = [
        (
            format!(
                "{} server {{ listen 127.0.0.1:PLAIN; server_name x;\nlocation / {{ proxy_pass $service_url; }} }}",
                server("")
            ),
            Check::IncludeMissing,
            "proxy_pass",
        ),
        (server("rewrite ^/a /b last;"), Check::RewriteBeforeInclude, "rewrite ^/a"),
        (server("location /x { proxy_pass $service_url/; }"), Check::ProxyPassUri, "$service_url/;"),
        (
            "server { listen 127.0.0.1:PLAIN;\nlocation / { include ROOT/service-url.inc; proxy_pass $service_url; } }"
                .to_owned(),
            Check::IncludeMisplaced,
            "include",
        ),
    ];
    for (servers, check, text) in cases {
        for bench in [running(&servers), reloading(&servers)] {
            let diagnosis = diagnosis(&bench);
            let ours: Vec<_> = diagnosis.findings.iter().filter(|f| f.severity == Severity::Error).cloned().collect();
            found(&Diagnosis { findings: ours, ..diagnosis.clone() }, check, Severity::Error, text);
            for cutover in [CutoverMode::Flag, CutoverMode::Reload] {
                assert_eq!(guarantee(&diagnosis, cutover).promise, Promise::Broken, "{check:?}");
            }
        }
    }
}

/// Pools want a place at http level, and a location that lets nginx keep connections.
#[test]
fn pools_that_nginx_would_not_know_or_not_use_are_found() {
    let pooled = |servers: &str| {
        let mut bench = running(servers);
        bench.service.proxy.upstream = Upstream::Pool;
        (diagnosis(&bench), bench)
    };
    let route = "include ROOT/service-url.inc; location / { proxy_pass $service_url;";
    let kept = "proxy_http_version 1.1; proxy_set_header Connection \"\";";
    let with = |http: &str, server: &str, location: &str| {
        pooled(&format!("{http} server {{ listen 127.0.0.1:PLAIN; {server}\n{route} {location} }} }}"))
    };
    let taken_in = "include ROOT/*.pool.conf;";
    let (nowhere, _bench) = with("", "", kept);
    let [finding] = nowhere.findings.as_slice() else { panic!("{nowhere:#?}") };
    assert_eq!((finding.fault.check, finding.severity), (Check::PoolsNowhere, Severity::Error));
    assert_eq!(guarantee(&nowhere, CutoverMode::Flag).promise, Promise::Broken);
    for (server, location) in [("", kept), (kept, ""), ("proxy_http_version 1.1;", "proxy_set_header Connection $http_upgrade;")]
    {
        assert_eq!(checks(&with(taken_in, server, location).0), [], "{server} {location}");
    }
    // Of a location with any header of its own the ones of the server are none.
    for (server, location) in [("", ""), ("", "proxy_http_version 1.1;"), (kept, "proxy_set_header Host $http_host;")] {
        let (diagnosis, _bench) = with(taken_in, server, location);
        let minor = diagnosis.version.as_deref().and_then(|version| version.split('.').nth(1)?.parse::<u32>().ok());
        if minor.is_some_and(|minor| minor < 29) {
            found(&diagnosis, Check::PoolUnused, Severity::Note, "proxy_pass");
        }
    }
}

#[test]
fn a_route_in_no_server_is_found() {
    let diagnosis = diagnosis(&running("server { listen 127.0.0.1:PLAIN; }"));
    assert_eq!(checks(&diagnosis), [Check::IncludeNowhere]);
}

/// What hides flags from nginx keeps `flag` from working, and is only worth a note where `reload` is asked for.
#[test]
fn what_hides_flags_is_an_error_for_flag_alone() {
    let linked = |bench: &mut Bench| {
        let link = bench.root.join("link");
        std::os::unix::fs::symlink(&bench.root, &link).unwrap();
        bench.service.proxy.flag_dir = link.join("flags");
    };
    let unfit = |bench: &mut Bench| bench.service.proxy.flag_dir = "/a\"b".into();
    for check in [Check::OpenFileCache, Check::DisableSymlinks, Check::FlagDirName] {
        let mut bench = running(&server(match check {
            Check::OpenFileCache => "open_file_cache max=9;",
            Check::DisableSymlinks => "disable_symlinks on;",
            _ => "",
        }));
        match check {
            Check::DisableSymlinks => linked(&mut bench),
            Check::FlagDirName => unfit(&mut bench),
            _ => {}
        }
        let by_flag = diagnosis(&bench);
        assert_eq!((checks(&by_flag), by_flag.findings[0].severity), (vec![check], Severity::Error));
        assert_eq!(guarantee(&by_flag, CutoverMode::Flag).promise, Promise::Broken);
        bench.service.proxy.cutover = CutoverMode::Reload;
        let by_reload = diagnosis(&bench);
        let finding = by_reload.findings.iter().find(|finding| finding.fault.check == check).unwrap();
        assert_eq!(finding.severity, Severity::Note);
        assert_ne!(guarantee(&by_reload, CutoverMode::Reload).promise, Promise::Broken);
    }
}

/// The workers' user is another one only where root starts nginx.
#[test]
fn a_flag_folder_that_the_workers_cannot_reach_is_found() {
    let bench = running(&server(""));
    fs::create_dir(&bench.service.proxy.flag_dir).unwrap();
    fs::set_permissions(&bench.service.proxy.flag_dir, fs::Permissions::from_mode(0o700)).unwrap();
    let diagnosis = diagnosis(&bench);
    assert_eq!(checks(&diagnosis).contains(&Check::FlagDirClosed), running_as_root(), "{diagnosis:#?}");
}

/// nginx does not start with any of these, so what it would do is read from the files alone.
#[test]
fn a_configuration_that_cannot_be_read_and_a_user_that_is_not_there_are_found() {
    let bench = Bench::with(&server(""));
    let config = &bench.service.proxy.nginx.config;
    let text = fs::read_to_string(config).unwrap();
    fs::write(config, text.replace("worker_processes 1;", "worker_processes 1;\ninclude gone.conf;")).unwrap();
    let unread = diagnosis(&bench);
    assert_eq!(checks(&unread), [Check::NginxDown, Check::ConfigUnreadable]);
    assert_eq!(unread.findings[1].fault.at.as_ref().unwrap().to_string(), format!("{}:2", config.display()));
    fs::write(config, format!("user no-such-user;\n{text}")).unwrap();
    assert_eq!(checks(&diagnosis(&bench)).contains(&Check::WorkersUser), running_as_root());
}

#[test]
fn without_nginx_nothing_is_promised() {
    let diagnosis = diagnosis(&Bench::with(&server("")));
    assert_eq!(checks(&diagnosis), [Check::NginxDown]);
    assert!(diagnosis.guarantees.iter().all(|guarantee| guarantee.promise == Promise::Unknown));
}

#[test]
fn an_nginx_that_is_just_being_replaced_is_not_judged() {
    let bench = running(&server(""));
    signal(bench.masters()[0], "USR2");
    wait("the second master", || bench.masters().len() == 2 && bench.root.join("nginx.pid.oldbin").exists());
    let diagnosis = diagnosis(&bench);
    assert_eq!(checks(&diagnosis), [Check::NginxUnverified], "{diagnosis:#?}");
    assert!(diagnosis.guarantees.iter().all(|guarantee| guarantee.promise == Promise::Unknown));
}

#[test]
fn a_file_that_nginx_has_not_loaded_yet_is_found() {
    let bench = running(&server(""));
    let (config, mut diagnosis) = (&bench.service.proxy.nginx.config, diagnosis(&bench));
    let text = fs::read(config).unwrap();
    // A stamp tells whole seconds, so the change is seen once the worker is older than that.
    wait("the change is seen", || {
        fs::write(config, &text).unwrap();
        diagnosis = self::diagnosis(&bench);
        checks(&diagnosis) == [Check::ConfigNotLoaded]
    });
    found(&diagnosis, Check::ConfigNotLoaded, Severity::Warning, "daemon on");
    assert!(guarantee(&diagnosis, CutoverMode::Flag).sentence.contains("not loaded yet"));
    let (master, worker) = (bench.masters()[0], bench.nginx().known().unwrap().workers[0].pid);
    signal(master, "HUP");
    wait("nginx has loaded it", || {
        let nginx = bench.nginx();
        nginx.known().is_some_and(|nginx| !nginx.workers.is_empty() && nginx.workers.iter().all(|w| w.pid != worker))
    });
    assert_eq!(checks(&self::diagnosis(&bench)), []);
}

#[test]
fn a_binary_that_was_replaced_under_the_running_nginx_is_found_and_the_running_one_is_judged() {
    let mut bench = Bench::with(&server(""));
    let (ours, aside) = (bench.root.join("nginx"), bench.root.join("aside"));
    fs::copy(binary(), &ours).unwrap();
    bench.service.proxy.nginx.binary = ours.to_str().unwrap().to_owned();
    fs::write(&bench.service.proxy.include, "set $service_url http://127.0.0.1:8081;\n").unwrap();
    let nginx = bench.start_binary(&ours);
    fs::write(&aside, "#!/bin/sh\necho 'nginx version: nginx/99.1.2'\necho 'configure arguments: --prefix=/nowhere'\n").unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&aside, &ours).unwrap();
    let diagnosis = diagnosis(&bench);
    assert_eq!(checks(&diagnosis), [Check::BinaryReplaced], "{diagnosis:#?}");
    assert_eq!(diagnosis.version, Some(nginx.version.clone()));
    let said = &diagnosis.findings[0].fault.found;
    assert!(said.contains(&nginx.version) && said.contains("99.1.2"), "{said}");
}

#[test]
fn what_a_reload_costs_on_this_nginx_is_said_and_by_flag_it_costs_nothing() {
    let bench = reloading(&server(""));
    let diagnosis = diagnosis(&bench);
    let reload = guarantee(&diagnosis, CutoverMode::Reload);
    assert_eq!(reload.promise, Promise::IdleClosed, "{diagnosis:#?}");
    assert!(checks(&diagnosis).contains(&Check::KeepaliveClosed), "{diagnosis:#?}");
    let unset = diagnosis.findings.iter().find(|finding| finding.fault.check == Check::WorkerShutdownTimeout).unwrap();
    assert_eq!(unset.severity, Severity::Note, "{unset:?}");
    assert_eq!(guarantee(&diagnosis, CutoverMode::Flag).promise, Promise::NoneLost);
}

#[test]
fn without_kept_connections_a_reload_loses_none() {
    for more in ["keepalive_timeout 0;", "keepalive_requests 1;"] {
        let diagnosis = diagnosis(&reloading(&server(more)));
        assert_eq!(guarantee(&diagnosis, CutoverMode::Reload).promise, Promise::NoneLost, "{more}");
        assert!(!checks(&diagnosis).contains(&Check::KeepaliveClosed), "{more}");
    }
    // what a location says counts there
    let location = server("keepalive_timeout 0;").replace("location / {", "location / { keepalive_timeout 5s;");
    assert_eq!(guarantee(&diagnosis(&reloading(&location)), CutoverMode::Reload).promise, Promise::IdleClosed);
}

#[test]
fn a_shutdown_timeout_shorter_than_the_drain_is_found_and_a_longer_one_is_not() {
    let mut bench = Bench::with(&server("keepalive_timeout 0;"));
    bench.service.proxy.cutover = CutoverMode::Reload;
    fs::write(&bench.service.proxy.include, "set $service_url http://127.0.0.1:8081;\n").unwrap();
    let config = &bench.service.proxy.nginx.config;
    let text = fs::read_to_string(config).unwrap();
    let with = |time: &str| {
        fs::write(config, text.replace("worker_processes 1;", &format!("worker_processes 1;\nworker_shutdown_timeout {time};")))
    };
    with("1s").unwrap();
    bench.start();
    let ours = |mut diagnosis: Diagnosis| {
        diagnosis.findings.retain(|finding| !of_its_age(finding.fault.check));
        diagnosis
    };
    found(&ours(diagnosis(&bench)), Check::WorkerShutdownTimeout, Severity::Warning, "worker_shutdown_timeout 1s");
    with("2m").unwrap();
    assert_eq!(checks(&ours(diagnosis(&bench))), []);
}

#[test]
fn a_socket_for_each_worker_is_found_whichever_server_of_the_address_says_so() {
    let other = format!("server {{ listen 127.0.0.1:PLAIN reuseport;\n server_name x; }} {}", server(""));
    for servers in [server("").replace("PLAIN;", "PLAIN reuseport;"), other] {
        found(&diagnosis(&running(&servers)), Check::Reuseport, Severity::Note, "reuseport");
        let bench = reloading(&servers);
        let setup = Setup { migrates: false, ..bench.host.survey(&bench.service) };
        let of = |setup: &Setup| {
            let all = doctor::examine(&bench.service, setup).findings;
            all.into_iter().find(|finding| finding.fault.check == Check::Reuseport).unwrap().severity
        };
        assert_eq!(of(&setup), Severity::Warning);
        assert_eq!(of(&Setup { migrates: true, ..setup }), Severity::Note);
    }
}

#[test]
fn a_cache_of_answers_is_found_where_it_is_in_force() {
    let zone = "proxy_cache_path ROOT/cache keys_zone=z:1m;";
    let cached = format!("{zone} {}", server("proxy_cache z;"));
    found(&diagnosis(&running(&cached)), Check::ProxyCache, Severity::Warning, "proxy_cache z");
    let off = cached.replace("location / {", "location / { proxy_cache off;");
    assert_eq!(checks(&diagnosis(&running(&off))), []);
}

#[test]
fn a_slot_whose_port_any_outgoing_connection_may_take_is_found() {
    let mut bench = running(&server(""));
    let setup = Setup { reserved: vec![], ..bench.host.survey(&bench.service) };
    let (first, _) = setup.outgoing.expect("the kernel's port range");
    bench.service.slots[1].port = Port(first);
    let diagnosis = doctor::examine(&bench.service, &setup);
    found(&diagnosis, Check::EphemeralPort, Severity::Warning, &first.to_string());
    let reserved = Setup { reserved: vec![(first, first)], ..setup };
    assert_eq!(doctor::examine(&bench.service, &reserved).findings, []);
}

/// Facts of another nginx than the one of this machine.
#[test]
fn a_newer_nginx_spares_kept_connections_where_it_is_told_to() {
    let bench = reloading(&server(""));
    let setup = |version: &str, time: Option<&str>| {
        let mut setup = bench.host.survey(&bench.service);
        setup.nginx = setup.nginx.map(|nginx| slotd::model::observed::Nginx { version: version.to_owned(), ..nginx });
        for way in &mut setup.ways {
            let at = way.at.clone();
            let said = time.map(|time| slotd::model::setup::Setting { args: vec![time.to_owned()], at });
            way.settings.extend(said.map(|said| ("keepalive_min_timeout".to_owned(), said)));
        }
        let diagnosis = doctor::examine(&bench.service, &setup);
        let promise = guarantee(&diagnosis, CutoverMode::Reload).promise;
        (promise, checks(&diagnosis).contains(&Check::KeepaliveClosed), checks(&diagnosis).contains(&Check::TruncatedAnswers))
    };
    assert_eq!(setup("1.22.1", None), (Promise::IdleClosed, true, true));
    assert_eq!(setup("1.23.1", None), (Promise::IdleClosed, true, false));
    assert_eq!(setup("1.27.3", Some("10s")), (Promise::IdleClosed, true, false), "it does not know the directive yet");
    assert_eq!(setup("1.27.4", None), (Promise::IdleClosed, true, false));
    assert_eq!(setup("1.27.4", Some("0")), (Promise::IdleClosed, true, false));
    assert_eq!(setup("1.27.4", Some("10s")), (Promise::NoneLost, false, false));
}

#[test]
fn the_readme_lists_every_check() {
    let readme = read("README.md");
    for check in Check::ALL {
        let row = format!("| `{}` | {} |", check.word(), check.meaning());
        assert!(readme.contains(&row), "README.md lacks: {row}");
    }
}

/// As a container's nginx has it: another folder at the same path. Needs leave to make a namespace.
#[test]
fn an_nginx_that_sees_another_flag_folder_is_found() {
    let bench = Bench::with(&server(""));
    fs::write(&bench.service.proxy.include, "set $service_url http://127.0.0.1:8081;\n").unwrap();
    fs::create_dir(&bench.service.proxy.flag_dir).unwrap();
    if !bench.start_with_another(Path::new(&bench.service.proxy.flag_dir)) {
        return;
    }
    assert_eq!(checks(&diagnosis(&bench)), [Check::MountNamespace]);
}
