//! What a pool of kept connections is worth: small answers through nginx, by pool and by address, in alternating pairs.

use std::process::Command;

use serde_json::json;

use crate::record::{self, Spread};
use crate::stamp;
use crate::support::manifest::Manifest;
use crate::support::site::Site;

const PAIRS: usize = 7;
/// Of `wrk`: one thread, so that nginx has the rest of two cores.
const LOAD: [&str; 3] = ["-t1", "-c16", "-d3s"];

/// By the stand-in, which leaves most of the processor to nginx, and by the sample application.
pub(crate) fn pool() {
    let real = |site: &Site| Manifest::real(site, &stamp(0));
    let stub = |site: &Site| Manifest::stub(site, "1");
    for (name, manifest) in [("stand-in", &stub as &dyn Fn(&Site) -> Manifest), ("sample", &real)] {
        let (by_address, by_pool) = (Site::new(), Site::pooled());
        by_address.deploy(&manifest(&by_address));
        by_pool.deploy(&manifest(&by_pool).set("proxy.upstream", json!("pool")));
        // what a JVM has not compiled yet, and what a first run finds cold, is no part of it
        let _warm = (answers(&by_address), answers(&by_pool));
        let pairs: Vec<[f64; 2]> = (0..PAIRS).map(|_| [answers(&by_address), answers(&by_pool)]).collect();
        for [address, pool] in &pairs {
            println!("{name}: {address:.0} answers a second by address, {pool:.0} by pool: {:.2} times", pool / address);
        }
        let of = |figure: fn(&[f64; 2]) -> f64| Spread::of(pairs.iter().map(figure));
        let [address, pool, times] = [of(|pair| pair[0]), of(|pair| pair[1]), of(|pair| pair[1] / pair[0])];
        println!("{name}: {:.2} times (median; {:.2} to {:.2})", times.median, times.least, times.most);
        record::put(&format!("pool, {name}"), &json!({ "address": address, "pool": pool, "times": times }));
    }
}

/// Answers of `/profile` a second; a run in which one fails ends the measurement.
fn answers(site: &Site) -> f64 {
    let url = format!("http://{}/profile", site.address());
    let output = Command::new("wrk").args(LOAD).arg(url).output().expect("`apt-get install wrk`");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
    let line = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")).expect("wrk says it");
    line.trim().parse().unwrap()
}
