//! The route on disk: the include and the flags, read and changed.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::adapter::nginx::file::{Real, io_error, sync_folder};
use crate::adapter::nginx::render::{Frame, parse, render};
use crate::adapter::nginx::{Memory, control, faults};
use crate::host::proxy::ProxyError;
use crate::model::desired::ServiceSpec;
use crate::model::id::SlotName;
use crate::model::observed::{Nginx, Observation};
use crate::model::route::{Include, RouteForm, RouteText};

/// The rest of the world must be able to search it: nginx's workers do.
const FLAG_FOLDER: u32 = 0o755;
const FLAG: u32 = 0o644;

/// The include as it is.
pub(super) fn include(state: &Path, service: &ServiceSpec) -> Observation<Include> {
    let path = &service.proxy.include;
    match fs::read(path) {
        Ok(bytes) => Observation::Known(parsed(state, service, &String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Observation::Absent,
        Err(error) => Observation::Unknown(format!("cannot read {}: {error}", path.display())),
    }
}

fn parsed(state: &Path, service: &ServiceSpec, text: &str) -> Include {
    let (state, flag_dir) = (state.to_string_lossy(), service.proxy.flag_dir.to_string_lossy());
    parse(&frame(&state, &flag_dir, service), service, text)
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

/// Writes the include, tested by a running nginx, with the flags such that this text leads to the live slot from its first moment.
pub(super) fn write(order: &Order<'_>) -> Result<(), ProxyError> {
    let proxy = &order.service.proxy;
    let real = Real::of(&proxy.include)?;
    real.check_folder()?;
    real.sweep()?;
    let (state, flag_dir) = (order.state.to_string_lossy(), proxy.flag_dir.to_string_lossy());
    let bytes = render(&frame(&state, &flag_dir, order.service), order.text).into_bytes();
    let before = real.read()?;
    match order.text.form {
        RouteForm::Flag => set_flags(order)?,
        // The text that is loaded now may still look at its flags.
        RouteForm::Static => {}
    }
    if before.as_deref() == Some(bytes.as_slice()) {
        return Ok(());
    }
    real.replace(before.as_deref(), &bytes)?;
    let Some(nginx) = order.nginx else { return Ok(()) };
    let tested = control::test(order.memory, proxy, nginx);
    if tested.is_err() {
        real.put_back(&bytes, before.as_deref())?;
    }
    tested
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
    let of_text = order.text.targets.iter().map(|target| &target.slot);
    let others: BTreeSet<&SlotName> = of_text.chain(order.service.slots.iter().map(|slot| &slot.name)).collect();
    for slot in others.into_iter().filter(|slot| *slot != order.live) {
        lower(dir, slot)?;
    }
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
