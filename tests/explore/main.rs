//! The explorer: every reachable state of the shipped planner on a small host, with faults.

mod act;
mod check;
mod config;
mod fair;
mod graph;
mod intern;
mod label;
mod ledger;
mod liveness;
mod model;
mod moves;
mod mutants;
mod request;
mod see;
mod pass;
mod story;

use slotd::model::desired as d;

#[test]
fn speed() {
    use config::*;
    let config = Config { name: "x".into(), slots: 2, cutover: d::CutoverMode::Flag, standby: d::Standby::Stopped, standby_for: false, promote: d::Promote::Auto, on_crash: d::OnCrash::Standby, port_conflict: d::PortConflict::SameApp, proxied: true, begin: Begin::Serving, wishes: vec![wish(0), wish(1)], slotds: 1, request: false, window: std::env::var("WIN").is_ok(), budget: 1 };
    let mut given = config.given();
    let begin = graph::beginning(&mut given);
    let t = |name: &str, f: &mut dyn FnMut()| { let b = std::time::Instant::now(); for _ in 0..2000 { f(); } println!("{name} {:?}", b.elapsed() / 2000); };
    let seen = see::see(&given, &begin, Default::default());
    let (desired, orphans) = &given.desired[1];
    t("see", &mut || { std::hint::black_box(see::see(&given, &begin, Default::default())); });
    t("expand", &mut || { std::hint::black_box(ledger::expand(&given, &begin)); });
    t("next", &mut || { std::hint::black_box(slotd::plan::next(desired, &seen, *orphans, &given.service)); });
    t("plan", &mut || { std::hint::black_box(slotd::plan::plan(desired, &seen, *orphans)); });
    t("release", &mut || { std::hint::black_box(slotd::model::release::Release::new("a", config::digest(1), given.specs[0].launch.clone(), None)); });
    let l = ledger::expand(&given, &begin);
    t("absorb", &mut || { let mut w = begin; ledger::absorb(&given, &l, &mut w); std::hint::black_box(w); });
    let mut mind = act::Mind::new(&given, Default::default());
    t("successors", &mut || { std::hint::black_box(graph::successors(&mut mind, &begin, &mut Vec::new())); });
}

#[test]
fn first() {
    use config::*;
    use model::*;
    let budget = std::env::var("B").ok().and_then(|b| b.parse().ok()).unwrap_or(0);
    let config = Config {
        name: "x".into(),
        slots: 2,
        cutover: if std::env::var("R").is_ok() { d::CutoverMode::Reload } else { d::CutoverMode::Flag },
        standby: d::Standby::Stopped,
        standby_for: false,
        promote: d::Promote::Auto,
        on_crash: d::OnCrash::Standby,
        port_conflict: d::PortConflict::SameApp,
        proxied: true,
        begin: match std::env::var("I").as_deref() { Ok("E") => Begin::Empty, Ok("S") => Begin::Scripts, _ => Begin::Serving },
        wishes: vec![wish(FIRST), wish(std::env::var("W").ok().and_then(|b| b.parse().ok()).unwrap_or(SECOND))],
        slotds: 1,
        request: false, window: std::env::var("WIN").is_ok(),
        budget,
    };
    let mut given = config.given();
    let begin = graph::beginning(&mut given);
    println!("begin {}", story::shown(&begin));
    let mut graph = graph::Graph::explore(&given, Default::default(), begin, graph::Bounds { states: std::env::var("N").ok().and_then(|b| b.parse().ok()).unwrap_or(5_000_000), first: false });
    println!("states {} transitions {} plans {} looks {} took {:?}", graph.states.items.len(), graph.transitions, graph.mind.plans(), graph.mind.looks.len(), graph.took);
    println!("size {}", std::mem::size_of::<World>());
    let c = liveness::components(&graph);
    println!("longest {} cyclic {} states on cycles {}", c.longest, c.cyclic.len(), c.cyclic.iter().map(Vec::len).sum::<usize>());
    let mut vs = graph.violations.clone();
    let mut c = c;
    let all = std::mem::take(&mut c.cyclic);
    for m in all { if fair::goes_on(&mut graph, &c.of, &m) { c.cyclic.push(m); } }
    println!("really cyclic {} states on cycles {}", c.cyclic.len(), c.cyclic.iter().map(Vec::len).sum::<usize>());
    if let Some(smallest) = c.cyclic.iter().min_by_key(|m| m.iter().min()) {
        let at = *smallest.iter().min().unwrap();
        vs.push(graph::Violation { what: format!("L3: a fair cycle of {} states", smallest.len()), at, last: None });
        // the cycle itself
        let inside: std::collections::BTreeSet<_> = smallest.iter().copied().collect();
        let mut here = at;
        for _ in 0..30 {
            let next = graph.fair_from(here).iter().copied().find(|t| inside.contains(t)).unwrap();
            let pair = [graph.states.items[here as usize], graph.states.items[next as usize]];
            for (l, w) in story::moves(&mut graph.mind, &pair) { println!("   cycle: {l}{}\n       {}", story::act(&graph.mind, l), story::shown(&w)); }
            here = next;
            if here == at { break; }
        }
    }
    for v in vs.iter().take(6) {
        println!("{}", story::story(&mut graph, v));
    }
    let mut kinds = std::collections::BTreeMap::new();
    for at in 0..(graph.starts.len() - 1) as u32 {
        if graph.fair_from(at).is_empty() {
            let w = graph.states.items[at as usize];
            let i = graph.mind.decide(&w, Default::default());
            let dd = graph.mind.decided(i);
            let reasons: Vec<_> = slotd::model::status::Reason::ALL.iter().enumerate().filter(|(i, _)| dd.holds & (1 << i) != 0).map(|(_, r)| r.word()).collect();
            kinds.entry(format!("{:?} {:?} serves {} ", dd.status, reasons, w.serves())).or_insert((0, at)).0 += 1;
        }
    }
    if let Some(want) = std::env::var("T").ok() {
        if let Some((_, (_, at))) = kinds.iter().find(|(k, _)| k.contains(&want)) {
            let v = graph::Violation { what: want, at: *at, last: None };
            println!("{}", story::story(&mut graph, &v));
        }
    }
    for (k, (n, at)) in &kinds { println!("terminal {n} {k}: {at} {}", story::shown(&graph.states.items[*at as usize])); }
}
