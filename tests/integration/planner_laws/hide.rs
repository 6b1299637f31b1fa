//! One fact of a host after the other, hidden.

use slotd::model::observed::Observation;

use super::chance::unknown;
use super::host::Host;

/// The host with one fact hidden that was there, for each fact, with the name of the fact.
pub(crate) fn hidden(host: &Host) -> Vec<(String, Host)> {
    let mut all = Vec::new();
    let mut one = |what: String, hide: &dyn Fn(&mut Host) -> bool| {
        let mut other = host.clone();
        if hide(&mut other) {
            all.push((what, other));
        }
    };
    one("the memory".to_owned(), &|h| conceal(&mut h.observed.memory));
    one("the jar".to_owned(), &|h| conceal(&mut h.touch().jar));
    one("the include".to_owned(), &|h| conceal(&mut h.touch().route.include));
    one("the flags".to_owned(), &|h| conceal(&mut h.touch().route.flags));
    one("nginx".to_owned(), &|h| conceal(&mut h.touch().route.nginx));
    one("what nginx says".to_owned(), &|h| conceal(&mut h.touch().route.loaded));
    one("what answers through nginx".to_owned(), &|h| conceal(&mut h.touch().route.proxied));
    for slot in host.seen().slots.keys() {
        let place = |h: &mut Host, hide: &dyn Fn(&mut slotd::model::observed::ObservedSlot) -> bool| {
            h.touch().slots.get_mut(slot).is_some_and(hide)
        };
        one(format!("the process of {slot}"), &|h| place(h, &|s| conceal(&mut s.process)));
        one(format!("how {slot} ended"), &|h| place(h, &|s| conceal(&mut s.exit)));
        one(format!("who is on the port of {slot}"), &|h| place(h, &|s| conceal(&mut s.occupants)));
        one(format!("what {slot} answers"), &|h| place(h, &|s| conceal(&mut s.probe)));
        one(format!("what is open towards {slot}"), &|h| place(h, &|s| conceal(&mut s.traffic)));
        one(format!("whether {slot} listens"), &|h| {
            place(h, &|s| match &mut s.process {
                Observation::Known(process) => conceal(&mut process.listens),
                Observation::Absent | Observation::Unknown(_) => false,
            })
        });
    }
    all
}

/// Whether there was something to hide.
fn conceal<T>(fact: &mut Observation<T>) -> bool {
    let told = fact.unknown().is_none();
    *fact = unknown();
    told
}
