//! Whether nginx's workers can see a flag: as their user and groups, and in their mount namespace. A folder on the way that they
//! cannot search sends every request to the first slot, with one `[crit]` line a request and no error to the user.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, User, geteuid, getgroups};
use procfs::process::Process;

use crate::adapter::nginx::config::Config;
use crate::model::observed::Nginx;

/// `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH` (capabilities(7)): with one of them every folder can be searched.
const SEARCH_ALL: u64 = 1 << 1 | 1 << 2;

/// Who looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Eyes {
    /// The user's name, or its number.
    pub(super) user: String,
    uid: u32,
    gids: BTreeSet<u32>,
    all: bool,
}

/// The workers' user: of a running worker, else of the configuration.
pub(super) fn of_workers(nginx: Option<&Nginx>, config: &Config, built_in: &str) -> Result<Eyes, String> {
    if let Some(eyes) = nginx.and_then(|nginx| nginx.workers.iter().find_map(|worker| of_process(worker.pid))) {
        return Ok(eyes);
    }
    // Without root the `user` directive means nothing: nginx stays who starts it.
    // <https://nginx.org/en/docs/ngx_core_module.html#user>
    if !geteuid().is_root() {
        let gids = getgroups().unwrap_or_default().into_iter().chain([nix::unistd::getegid()]).map(Gid::as_raw).collect();
        return Ok(Eyes { user: "ourselves".to_owned(), uid: geteuid().as_raw(), gids, all: false });
    }
    let args = config.main("user").unwrap_or_default();
    of_user(args.first().map_or(built_in, String::as_str), args.get(1).map(String::as_str))
}

fn of_process(pid: u32) -> Option<Eyes> {
    let status = Process::new(i32::try_from(pid).ok()?).ok()?.status().ok()?;
    let gids = status.groups.iter().copied().chain([status.fgid]).collect();
    let user = User::from_uid(status.fuid.into()).ok().flatten().map_or_else(|| status.fuid.to_string(), |user| user.name);
    Some(Eyes { user, uid: status.fuid, gids, all: status.capeff & SEARCH_ALL != 0 })
}

fn of_user(name: &str, group: Option<&str>) -> Result<Eyes, String> {
    let unknown = || format!("nginx's user `{name}` is not known on this machine");
    let user = User::from_name(name).ok().flatten().ok_or_else(unknown)?;
    let named = group.and_then(|group| Group::from_name(group).ok().flatten()).map(|group| group.gid);
    let gid = named.unwrap_or(user.gid);
    let listed = CString::new(name).ok().and_then(|name| nix::unistd::getgrouplist(&name, gid).ok());
    let gids = listed.unwrap_or_default().into_iter().chain([gid]).map(Gid::as_raw).collect();
    Ok(Eyes { user: user.name, uid: user.uid.as_raw(), gids, all: user.uid.is_root() })
}

impl Eyes {
    /// The first folder on the way to `dir` (itself too) that these eyes cannot search; folders that do not exist yet do not count.
    pub(super) fn stopped_at(&self, dir: &Path) -> Option<PathBuf> {
        let written = way(dir);
        // Where a link leads, the folders there count too.
        let real = written.iter().rev().find_map(|folder| fs::canonicalize(folder).ok());
        let real = real.map(|folder| way(&folder)).unwrap_or_default();
        written.into_iter().chain(real).find(|folder| !self.search(folder))
    }

    fn search(&self, folder: &Path) -> bool {
        let Ok(meta) = fs::metadata(folder) else { return true };
        let bit = if meta.uid() == self.uid {
            0o100
        } else if self.gids.contains(&meta.gid()) {
            0o010
        } else {
            0o001
        };
        self.all || meta.mode() & bit != 0
    }
}

/// `/`, `/a`, `/a/b`
fn way(dir: &Path) -> Vec<PathBuf> {
    let mut way: Vec<PathBuf> = dir.ancestors().map(Path::to_owned).collect();
    way.reverse();
    way
}

/// The first symbolic link on the way to a folder.
pub(super) fn link_on_the_way(dir: &Path) -> Option<PathBuf> {
    way(dir).into_iter().find(|folder| fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_symlink()))
}

/// Whether the master, being in another mount namespace, has another folder at this path than we have. A namespace of its own alone
/// is no fault: a unit with `PrivateTmp=` has one, and the same `/etc/nginx`.
pub(super) fn sees_another(nginx: &Nginx, dir: &Path) -> bool {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let pid = nginx.master.pid.to_string();
    // Not ours to look at when we are not root: the proof in band must do.
    if namespace(&pid).is_none_or(|theirs| namespace("self") == Some(theirs)) {
        return false;
    }
    let Some(there) = dir.ancestors().find(|folder| folder.exists()) else { return false };
    let theirs = Path::new("/proc").join(pid).join("root").join(there.strip_prefix("/").unwrap_or(there));
    let file = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    file(&theirs) != file(there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn stranger() -> Eyes {
        Eyes { user: "stranger".into(), uid: 65_533, gids: BTreeSet::from([65_533]), all: false }
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named_even_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(dir.path(), 0o755);
        let (closed, link) = (dir.path().join("closed"), dir.path().join("link"));
        fs::create_dir_all(closed.join("flags")).unwrap();
        std::os::unix::fs::symlink(closed.join("flags"), &link).unwrap();
        assert_eq!(stranger().stopped_at(&closed.join("flags/to-be-made")), None);
        mode(&closed, 0o700);
        assert_eq!(stranger().stopped_at(&closed.join("flags/to-be-made")), Some(closed.clone()));
        assert_eq!(stranger().stopped_at(&link), Some(fs::canonicalize(&closed).unwrap()));
        assert_eq!(Eyes { all: true, ..stranger() }.stopped_at(&link), None);
        mode(&closed, 0o711);
        assert_eq!(stranger().stopped_at(&link), None);
        assert_eq!(link_on_the_way(&link.join("x")), Some(link));
    }
}
