//! The route on disk: the include and the flags, read and changed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::adapter::nginx::file::{Real, io_error, sync_folder};
use crate::adapter::nginx::pools::{self, Pools};
use crate::adapter::nginx::render::{Frame, parse, render};
use crate::adapter::nginx::{Memory, control, faults};
use crate::host::proxy::ProxyError;
use crate::model::desired::{ServiceSpec, Upstream};
use crate::model::id::{ServiceName, SlotName};
use crate::model::observed::{Nginx, Observation};
use crate::model::route::{Include, RouteForm, RouteText};

/// The rest of the world must be able to search it: nginx's workers do.
const FLAG_FOLDER: u32 = 0o755;
const FLAG: u32 = 0o644;

/// The include as it is, with its pools where the manifest wants any.
pub(super) fn include(state: &Path, service: &ServiceSpec) -> Observation<Include> {
    let (state, flag_dir) = (state.to_string_lossy(), service.proxy.flag_dir.to_string_lossy());
    let frame = frame(&state, &flag_dir, service);
    let include = read(&service.proxy.include).map(|text| parse(&frame, service, &text));
    match service.proxy.upstream {
        Upstream::Address => include,
        Upstream::Pool => with_pools(&frame, service, include),
    }
}

/// Pools that somebody else has written make the whole route theirs. An include whose pools are not all there is none: nginx refuses
/// it, and both are written again.
fn with_pools(frame: &Frame<'_>, service: &ServiceSpec, include: Observation<Include>) -> Observation<Include> {
    let former = service.moved_from.as_ref().map(ServiceName::as_str);
    let found = read(&service.proxy.pool_include);
    let pools = found.clone().map(|found| pools::parse(frame, former, &found));
    let needed = include.known().map_or(&[][..], |include| match include {
        Include::Ours(route) if route.form == RouteForm::Pool => &route.targets,
        Include::Ours(_) | Include::Plain(_) | Include::Elsewhere { .. } | Include::Edited { .. } => &[],
    });
    let is_whole = |lines: &BTreeSet<String>| {
        let has = |service| pools::lines(&Frame { service, ..frame.clone() }, needed).is_subset(lines);
        needed.is_empty() || [Some(frame.service), former].into_iter().flatten().any(has)
    };
    match pools {
        Observation::Unknown(why) => Observation::Unknown(why),
        Observation::Known(Pools::Elsewhere(state)) => Observation::Known(Include::Elsewhere { state }),
        Observation::Known(Pools::Edited) => found.map(|text| Include::Edited { text }),
        Observation::Known(Pools::Ours(lines)) if is_whole(&lines) => include,
        Observation::Absent if needed.is_empty() => include,
        Observation::Known(Pools::Ours(_)) | Observation::Absent => Observation::Absent,
    }
}

fn read(path: &Path) -> Observation<String> {
    match fs::read(path) {
        Ok(bytes) => Observation::Known(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Observation::Absent,
        Err(error) => Observation::Unknown(format!("cannot read {}: {error}", path.display())),
    }
}

fn frame<'a>(state: &'a str, flag_dir: &'a str, service: &'a ServiceSpec) -> Frame<'a> {
    let (variable, upstream_host) = (&service.proxy.variable, &service.proxy.upstream_host);
    Frame { service: service.name.as_str(), state, variable, upstream_host, flag_dir }
}

/// The flags that stand: of the manifest's slots in their order, then of slots that only the include's own text names (a flag of a
/// slot that was taken out of the manifest still decides while that text is loaded).
pub(super) fn flags(state: &Path, service: &ServiceSpec) -> Observation<Vec<SlotName>> {
    let dir = &service.proxy.flag_dir;
    let unknown = |path: &Path, error: &io::Error| Observation::Unknown(format!("cannot look at {}: {error}", path.display()));
    match fs::metadata(dir) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Observation::Absent,
        Err(error) => return unknown(dir, &error),
    }
    let mut slots: Vec<SlotName> = service.slots.iter().map(|slot| slot.name.clone()).collect();
    if let Observation::Known(Include::Ours(text)) = include(state, service) {
        slots.extend(text.targets.into_iter().map(|target| target.slot).filter(|slot| service.port_of(slot).is_none()));
    }
    let mut standing = Vec::new();
    for slot in slots {
        // `-f` is true for a regular file, also behind a link.
        match fs::metadata(dir.join(slot.as_str())) {
            Ok(meta) if meta.is_file() => standing.push(slot),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return unknown(&dir.join(slot.as_str()), &error),
        }
    }
    Observation::Known(standing)
}

/// All that a write needs.
pub(super) struct Order<'a> {
    pub(super) memory: &'a Memory,
    pub(super) state: &'a Path,
    pub(super) service: &'a ServiceSpec,
    pub(super) text: &'a RouteText,
    pub(super) live: &'a SlotName,
    pub(super) nginx: Option<&'a Nginx>,
}

/// Writes the include, tested by a running nginx, with the flags such that this text leads to the live slot from its first moment,
/// and before it the pools that it names. What nginx refuses leaves all of them as they were, and any other failure the flags.
pub(super) fn write(order: &Order<'_>) -> Result<(), ProxyError> {
    let changes = changes(order)?;
    if !order.text.form.has_flags() {
        // Before a static line they stay: the text that is loaded now may still look at them.
        return put(order, &changes);
    }
    let before = flags(order.state, order.service);
    let written = set_flags(order).and_then(|()| put(order, &changes));
    // Flags that could not be read stay as they are now: none of them is known to be too many.
    if written.is_err() && before.unknown().is_none() {
        set_back_flags(order, before.known().map_or(&[], Vec::as_slice))?;
    }
    written
}

/// The files that are to be another than they are, in the order in which they are written.
fn changes(order: &Order<'_>) -> Result<Vec<Change>, ProxyError> {
    let proxy = &order.service.proxy;
    let (state, flag_dir) = (order.state.to_string_lossy(), proxy.flag_dir.to_string_lossy());
    let frame = frame(&state, &flag_dir, order.service);
    let include = Change::of(&proxy.include, |_| render(&frame, order.text))?;
    let pools = match order.text.form {
        RouteForm::Pool => Some(Change::of(&proxy.pool_include, |before| with_those_in_use(&frame, order, before, &include))?),
        RouteForm::Flag | RouteForm::Static => None,
    };
    Ok(pools.into_iter().chain([include]).filter(Change::differs).collect())
}

fn put(order: &Order<'_>, changes: &[Change]) -> Result<(), ProxyError> {
    changes.iter().try_for_each(Change::make)?;
    let Some(nginx) = order.nginx.filter(|_| !changes.is_empty()) else { return Ok(()) };
    let tested = control::test(order.memory, &order.service.proxy, nginx);
    if tested.is_err() {
        changes.iter().rev().try_for_each(Change::undo)?;
    }
    tested
}

/// The pools of the text, and those of the include that is still there: slotd may end before it has replaced that.
fn with_those_in_use(frame: &Frame<'_>, order: &Order<'_>, before: &str, include: &Change) -> String {
    let mut lines = pools::lines(frame, &order.text.targets);
    if let Pools::Ours(there) = pools::parse(frame, order.service.moved_from.as_ref().map(ServiceName::as_str), before) {
        lines.extend(pools::used(&there, &include.before()).cloned());
    }
    pools::render(frame, &lines)
}

/// A file, its bytes and those that it is to have.
struct Change {
    real: Real,
    before: Option<Vec<u8>>,
    after: Vec<u8>,
}

impl Change {
    /// `after` makes the new text of the one that is there; of an empty one, where none is.
    fn of(path: &Path, after: impl FnOnce(&str) -> String) -> Result<Self, ProxyError> {
        let real = Real::of(path)?;
        real.check_folder()?;
        real.sweep()?;
        let before = real.read()?;
        let mut change = Self { real, before, after: Vec::new() };
        change.after = after(&change.before()).into_bytes();
        Ok(change)
    }

    fn before(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.before.as_deref().unwrap_or_default())
    }

    fn differs(&self) -> bool {
        self.before.as_deref() != Some(self.after.as_slice())
    }

    fn make(&self) -> Result<(), ProxyError> {
        self.real.replace(self.before.as_deref(), &self.after)
    }

    fn undo(&self) -> Result<(), ProxyError> {
        self.real.put_back(&self.after, self.before.as_deref())
    }
}

/// Raises the live slot's flag, then takes the others away, both before the text is there: a text that is loaded by somebody's
/// reload in the next instant already leads to the live slot. The live slot's own flag is never taken away, even where the new text
/// needs none, because the text that is loaded now may.
fn set_flags(order: &Order<'_>) -> Result<(), ProxyError> {
    let dir = &order.service.proxy.flag_dir;
    let invalid = |why: String| io_error("use", dir)(io::Error::new(ErrorKind::InvalidInput, why));
    if let Some(why) = faults::unfit_name(dir).map(|fault| fault.to_string()) {
        return Err(invalid(why));
    }
    let Some(at) = order.text.targets.iter().position(|target| target.slot == *order.live) else {
        return Err(invalid(format!("the route would not lead to the live slot {}", order.live)));
    };
    make_folder(dir)?;
    if at > 0 {
        raise(dir, order.live)?;
    }
    for slot in flagged(order).into_iter().filter(|slot| *slot != order.live) {
        lower(dir, slot)?;
    }
    sync_folder(dir)
}

/// The slots that may have a flag beside or under the new text.
fn flagged<'a>(order: &Order<'a>) -> BTreeSet<&'a SlotName> {
    let of_text = order.text.targets.iter().map(|target| &target.slot);
    of_text.chain(order.service.slots.iter().map(|slot| &slot.name)).collect()
}

/// The flags as they stood: those of a text that is not there lead nowhere, or elsewhere than before by the text that is.
fn set_back_flags(order: &Order<'_>, before: &[SlotName]) -> Result<(), ProxyError> {
    let dir = &order.service.proxy.flag_dir;
    if !dir.is_dir() {
        return Ok(());
    }
    before.iter().try_for_each(|slot| raise(dir, slot))?;
    flagged(order).into_iter().filter(|slot| !before.contains(slot)).try_for_each(|slot| lower(dir, slot))?;
    sync_folder(dir)
}

fn make_folder(dir: &Path) -> Result<(), ProxyError> {
    match fs::create_dir(dir) {
        // Whatever the umask of the caller: a folder that the workers cannot search means the first slot for everybody.
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(FLAG_FOLDER)).map_err(io_error("open up", dir))?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error("create", dir)(error)),
    }
    let mode = fs::metadata(dir).map_err(io_error("look at", dir))?.mode();
    // No sticky bit helps here: a flag that anybody creates moves the route.
    if mode & 0o002 != 0 {
        let why = "everybody can write into it, and so could move the route";
        return Err(io_error("use", dir)(io::Error::new(ErrorKind::PermissionDenied, why)));
    }
    dir.parent().map_or(Ok(()), sync_folder)
}

fn raise(dir: &Path, slot: &SlotName) -> Result<(), ProxyError> {
    let flag = dir.join(slot.as_str());
    match OpenOptions::new().write(true).create_new(true).mode(FLAG).open(&flag) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_error("create", &flag)(error)),
    }
}

fn lower(dir: &Path, slot: &SlotName) -> Result<(), ProxyError> {
    let flag = dir.join(slot.as_str());
    match fs::remove_file(&flag) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("remove", &flag)(error)),
    }
}

/// One system call moves the route; the folder is synced afterwards, so that a power loss does not move it back.
pub(super) fn cut(dir: &Path, from: Option<&SlotName>, to: Option<&SlotName>) -> Result<(), ProxyError> {
    match (from, to) {
        (None, None) => return Ok(()),
        (None, Some(to)) => raise(dir, to)?,
        (Some(from), None) => lower(dir, from)?,
        (Some(from), Some(to)) if from == to => raise(dir, to)?,
        (Some(from), Some(to)) => moved(dir, from, to)?,
    }
    sync_folder(dir)
}

fn moved(dir: &Path, from: &SlotName, to: &SlotName) -> Result<(), ProxyError> {
    let (from, to) = (dir.join(from.as_str()), dir.join(to.as_str()));
    match fs::rename(&from, &to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound && to.is_file() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ProxyError::Changed { path: from }),
        Err(error) => Err(io_error("rename", &from)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::nginx::sample;
    use crate::model::id::Port;
    use crate::model::route::Target;

    struct Place {
        dir: tempfile::TempDir,
        service: ServiceSpec,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let mut service = sample::service();
        service.proxy.include = dir.path().join("service-url.inc");
        service.proxy.flag_dir = dir.path().join("service-url.inc.live");
        Place { dir, service }
    }

    fn slot(name: &str) -> SlotName {
        SlotName::new(name)
    }

    fn text(form: RouteForm, slots: &[(&str, u16)]) -> RouteText {
        let targets = slots.iter().map(|(name, port)| Target { slot: slot(name), port: Port(*port) }).collect();
        RouteText { generation: 1, nonce: "n".into(), form, targets }
    }

    impl Place {
        fn write(&self, text: &RouteText, live: &str) -> Result<(), ProxyError> {
            let (memory, live) = (Memory::default(), slot(live));
            write(&Order { memory: &memory, state: Path::new("/s"), service: &self.service, text, live: &live, nginx: None })
        }

        fn flags(&self) -> Vec<String> {
            flags(Path::new("/s"), &self.service).known().unwrap().iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn what_was_written_is_what_is_read() {
        let place = place();
        assert_eq!(include(Path::new("/s"), &place.service), Observation::Absent);
        assert_eq!(flags(Path::new("/s"), &place.service), Observation::Absent);
        let text = text(RouteForm::Flag, &[("real1", 8081), ("real2", 8082)]);
        place.write(&text, "real2").unwrap();
        assert_eq!(include(Path::new("/s"), &place.service), Observation::Known(Include::Ours(text)));
        assert_eq!(place.flags(), ["real2"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&place.service.proxy.flag_dir), mode(&place.service.proxy.include)), (0o755, 0o644));
    }

    #[test]
    fn stale_flags_go_and_the_same_bytes_are_not_written_again() {
        let place = place();
        fs::create_dir(&place.service.proxy.flag_dir).unwrap();
        fs::write(place.service.proxy.flag_dir.join("real2"), "").unwrap();
        let text = text(RouteForm::Flag, &[("real1", 8081), ("real2", 8082)]);
        place.write(&text, "real1").unwrap();
        assert_eq!(place.flags(), Vec::<String>::new());
        let inode = || fs::metadata(&place.service.proxy.include).unwrap().ino();
        let first = inode();
        place.write(&text, "real1").unwrap();
        assert_eq!(inode(), first);
    }

    #[test]
    fn a_new_order_of_slots_keeps_the_flag_that_the_loaded_text_needs() {
        let place = place();
        place.write(&text(RouteForm::Flag, &[("real1", 8081), ("real2", 8082)]), "real2").unwrap();
        place.write(&text(RouteForm::Flag, &[("real2", 8082), ("real1", 8081)]), "real2").unwrap();
        assert_eq!(place.flags(), ["real2"]);
        place.write(&text(RouteForm::Static, &[("real2", 8082)]), "real2").unwrap();
        assert_eq!(place.flags(), ["real2"]);
    }

    #[test]
    fn the_flag_of_a_slot_that_left_the_manifest_is_still_seen() {
        let mut place = place();
        place.write(&text(RouteForm::Flag, &[("real1", 8081), ("real2", 8082)]), "real2").unwrap();
        place.service.slots.pop();
        assert_eq!(place.flags(), ["real2"]);
    }

    #[test]
    fn a_text_that_does_not_name_the_live_slot_is_not_written() {
        let place = place();
        assert!(place.write(&text(RouteForm::Flag, &[("real1", 8081)]), "real2").is_err());
        assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_of_flags_that_everybody_can_write_is_refused() {
        let place = place();
        fs::create_dir(&place.service.proxy.flag_dir).unwrap();
        fs::set_permissions(&place.service.proxy.flag_dir, Permissions::from_mode(0o1777)).unwrap();
        assert!(place.write(&text(RouteForm::Flag, &[("real1", 8081)]), "real1").is_err());
        assert!(!place.service.proxy.include.exists());
    }

    /// A place with pools, and what its two files say.
    fn pooled() -> Place {
        let mut place = place();
        place.service.proxy.upstream = Upstream::Pool;
        place.service.proxy.pool_include = place.dir.path().join("service-url.inc.pool.conf");
        place
    }

    impl Place {
        fn read(&self) -> Observation<Include> {
            include(Path::new("/s"), &self.service)
        }

        fn pools(&self) -> String {
            fs::read_to_string(&self.service.proxy.pool_include).unwrap()
        }
    }

    const TWO: &[(&str, u16)] = &[("real1", 8081), ("real2", 8082)];
    const MOVED: &[(&str, u16)] = &[("real1", 8081), ("real2", 9082)];

    #[test]
    fn an_include_and_its_pools_are_read_as_one() {
        let place = pooled();
        let text = text(RouteForm::Pool, TWO);
        place.write(&text, "real2").unwrap();
        assert_eq!((place.read(), place.flags()), (Observation::Known(Include::Ours(text.clone())), vec!["real2".to_owned()]));
        assert_eq!(place.pools().matches("upstream ").count(), 2);

        fs::remove_file(&place.service.proxy.pool_include).unwrap();
        assert_eq!(place.read(), Observation::Absent, "nginx would refuse the include");
        place.write(&text, "real2").unwrap();
        assert_eq!(place.read(), Observation::Known(Include::Ours(text)));

        let ours = place.pools();
        let edit = ours.replace("keepalive 64", "keepalive 640");
        fs::write(&place.service.proxy.pool_include, &edit).unwrap();
        assert_eq!(place.read(), Observation::Known(Include::Edited { text: edit }));
        fs::write(&place.service.proxy.pool_include, ours.replace("state /s", "state /t")).unwrap();
        assert_eq!(place.read(), Observation::Known(Include::Elsewhere { state: "/t".into() }));
    }

    #[test]
    fn a_file_of_somebody_else_in_the_place_of_the_pools_is_never_written_over_unasked() {
        let place = pooled();
        fs::write(&place.service.proxy.pool_include, "server { listen 80; }").unwrap();
        assert!(matches!(place.read(), Observation::Known(Include::Edited { .. })), "although there is no include yet");
    }

    /// slotd may end, and nginx be started again, between any two of the writes.
    #[test]
    fn the_include_on_disk_finds_its_pools_at_every_moment_of_a_change() {
        let place = pooled();
        place.write(&text(RouteForm::Pool, TWO), "real1").unwrap();
        let (before, next) = (fs::read(&place.service.proxy.include).unwrap(), text(RouteForm::Pool, MOVED));
        place.write(&next, "real1").unwrap();
        assert_eq!(place.read(), Observation::Known(Include::Ours(next.clone())));
        assert!(place.pools().contains("real2-8082.") && place.pools().contains("real2-9082."), "{}", place.pools());
        let after = fs::read(&place.service.proxy.include).unwrap();
        fs::write(&place.service.proxy.include, before).unwrap();
        assert_eq!(
            place.read(),
            Observation::Known(Include::Ours(text(RouteForm::Pool, TWO))),
            "as after an end between the two"
        );
        fs::write(&place.service.proxy.include, after).unwrap();
        place.write(&next, "real1").unwrap();
        assert!(!place.pools().contains("real2-8082."), "what nothing uses any more goes with the next write: {}", place.pools());
    }

    #[test]
    fn pools_of_a_former_name_stay_while_the_include_names_them() {
        let mut place = pooled();
        place.write(&text(RouteForm::Pool, TWO), "real1").unwrap();
        place.service.moved_from = Some(std::mem::replace(&mut place.service.name, ServiceName::new("shop")));
        assert_eq!(place.read(), Observation::Known(Include::Ours(text(RouteForm::Pool, TWO))));
        let next = RouteText { generation: 2, ..text(RouteForm::Pool, TWO) };
        place.write(&next, "real1").unwrap();
        assert_eq!(place.read(), Observation::Known(Include::Ours(next)));
        for name in ["real1-8081.webservice.slotd", "real1-8081.shop.slotd", "$slotd_webservice ", "$slotd_shop "] {
            assert!(place.pools().contains(name), "{}", place.pools());
        }
    }

    #[test]
    fn every_cut_can_be_made_twice() {
        let mut place = place();
        place.service.slots.push(crate::model::desired::SlotSpec { name: slot("real3"), port: Port(8083) });
        let dir = &place.service.proxy.flag_dir;
        fs::create_dir(dir).unwrap();
        let steps = [
            (None, Some("real2"), vec!["real2"]),
            (Some("real2"), Some("real3"), vec!["real3"]),
            (Some("real3"), Some("real3"), vec!["real3"]),
            (Some("real3"), None, vec![]),
            (None, None, vec![]),
        ];
        for (from, to, left) in steps {
            for _ in 0..2 {
                cut(dir, from.map(slot).as_ref(), to.map(slot).as_ref()).unwrap();
                assert_eq!(place.flags(), left);
            }
        }
        let gone = cut(dir, Some(&slot("real2")), Some(&slot("real3")));
        assert!(matches!(gone, Err(ProxyError::Changed { .. })), "{gone:?}");
    }
}
