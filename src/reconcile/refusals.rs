//! A step that the world refuses is tried again, ever more slowly: each try of a cutover writes a file and runs `nginx -t`.

use std::time::Duration;

use crate::model::id::Moment;
use crate::model::status::{Reason, Status};
use crate::observe::watch::{Refusal, Watch};
use crate::plan::hold::Hold;
use crate::plan::step::Act;
use crate::plan::{Next, ServicePlan};

/// After a step that failed the next look comes this late: what keeps it from being done is seldom gone at once.
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Each further try comes after twice the pause of before, up to this.
const LONGEST: Duration = Duration::from_secs(30);

/// The same while nobody serves: what users wait for at most once the cause is gone.
const LONGEST_DOWN: Duration = Duration::from_secs(4);

/// Whether a step was refused just now and is to wait; its reason is then the service's.
pub(super) fn puts_off(service: &mut ServicePlan, act: &Act, watch: &Watch, now: Moment) -> bool {
    let Some(refusal) = watch.refused(&service.name, &act.to_string()) else { return false };
    let rest = pause(refusal.times, service.status).saturating_sub(now.since(refusal.at));
    if rest.is_zero() {
        return false;
    }
    hold(service, refusal, rest);
    true
}

/// A step was refused (once more): the reason is a hold, and no failure.
pub(super) fn held(service: &mut ServicePlan, act: &Act, (reason, detail): (Reason, String), watch: &mut Watch, at: Moment) {
    let what = act.to_string();
    let times = watch.refused(&service.name, &what).map_or(0, |before| before.times) + 1;
    let refusal = Refusal { what, reason, detail, times, at };
    hold(service, &refusal, pause(times, service.status));
    watch.refuses(&service.name, Some(refusal));
}

fn hold(service: &mut ServicePlan, refusal: &Refusal, again: Duration) {
    service.next = Next::Hold;
    service.status = if service.status == Status::Degraded { Status::Degraded } else { Status::Held };
    service.again = Some(service.again.map_or(again, |earlier| earlier.min(again)));
    service.holds.push(Hold {
        reason: refusal.reason,
        detail: refusal.detail.clone(),
        until: "slotd tries again by itself".to_owned(),
        again,
        wakes: Vec::new(),
    });
}

fn pause(refusals: u32, status: Status) -> Duration {
    let longest = if status == Status::Degraded { LONGEST_DOWN } else { LONGEST };
    (AFTER_FAILURE * (1 << refusals.saturating_sub(1).min(10))).min(longest)
}
