//! What an application writes, and how much of it is kept.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::manifest::Manifest;
use crate::support::site::Site;
use crate::support::wait::{PATIENCE, until};

const MIB: u64 = 1 << 20;

/// What the application is told to write: 4 s at its pace.
const SPAM: u64 = 400;

/// The longest that the application may take for it on a busy machine.
const WRITTEN: Duration = Duration::from_secs(60);

fn size(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |metadata| metadata.len())
}

#[test]
fn a_log_that_is_filled_between_two_passes_is_cut_while_it_is_written() {
    let site = Site::new();
    let order = site.path().join("spam");
    site.desire(&Manifest::stub(&site, "1").env("STUB_SPAM", order.to_str().unwrap()));
    let run = site.spawn(&["run", "--interval", "1h"]);
    site.await_converged("1");
    let log = site.state().join("services/webservice/logs/real1.1.log");
    assert!(size(&log) < MIB, "nothing is written yet");

    let aside = site.path().join("spam.new");
    fs::write(&aside, SPAM.to_string()).unwrap();
    fs::rename(aside, &order).unwrap();
    let mut largest = 0;
    until("everything is written", WRITTEN, || {
        largest = largest.max(size(&log));
        !order.exists()
    });
    // 64 MiB, and what is written within the second between two looks; the rest is for a machine that is out of breath.
    assert!(largest < 250 * MIB, "the log had {} MiB of {SPAM}", largest / MIB);
    until("the log is bounded", PATIENCE, || size(&log) <= 64 * MIB);
    assert!(size(&log.with_extension("log.1")) > 0, "the end of what was cut is kept");
    let said = site.slotd(&["logs", "webservice", "-n", "1"]).expect_code(0).stdout;
    assert_eq!(said, "everything is said\n");
    run.terminate().expect_code(0);
}
