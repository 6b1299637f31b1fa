//! The nginx binary and what was built into it (`nginx -V`, which opens nothing).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use crate::adapter::nginx::config::Stamp;
use crate::adapter::nginx::run::run;

/// Where distributions put nginx; a user's `PATH` often lacks these.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// What is built in; defaults as in nginx's `auto/options`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Build {
    /// `1.22.1`
    pub(super) version: String,
    /// `--prefix`
    pub(super) prefix: PathBuf,
    /// `--conf-path`, absolute.
    pub(super) config: PathBuf,
    /// `--pid-path`, absolute.
    pub(super) pid_file: PathBuf,
    /// `--user`
    pub(super) user: String,
}

/// A binary that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binary {
    /// With every link followed, as `/proc/PID/exe` shows it.
    pub(super) path: PathBuf,
    /// What is built in.
    pub(super) build: Build,
}

/// `nginx -V` prints constants.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);

/// Builds by path, with the stamp of the binary that was asked.
pub(super) type Kept = BTreeMap<PathBuf, (Stamp, Build)>;

/// Finds the binary and what is built in; asked once for each binary.
pub(super) fn find(kept: &Mutex<Kept>, name: &str) -> Result<Binary, String> {
    let path = resolve(name).ok_or_else(|| format!("there is no nginx binary `{name}` (proxy.nginx.binary)"))?;
    let stamp = Stamp::of(&path).ok_or_else(|| format!("{} cannot be looked at", path.display()))?;
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, build)) = kept.get(&path).filter(|(then, _)| *then == stamp) {
        return Ok(Binary { path, build: build.clone() });
    }
    let ended = run(Command::new(&path).arg("-V"), TIME_TO_ANSWER);
    let ended = ended.map_err(|error| format!("{} -V: {error}", path.display()))?;
    let build = read(&ended.said).ok_or_else(|| format!("{} -V does not answer as nginx does", path.display()))?;
    kept.insert(path.clone(), (stamp, build.clone()));
    Ok(Binary { path, build })
}

/// The version that this command says; `None`: it is no nginx, or cannot be run.
pub(super) fn version(command: &mut Command) -> Option<String> {
    run(command, TIME_TO_ANSWER).ok().and_then(|ended| read(&ended.said)).map(|build| build.version)
}

fn resolve(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return fs::canonicalize(name).ok();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SYSTEM_FOLDERS.iter().map(PathBuf::from));
    // Every pass comes here: one question for each folder, where resolving it would ask for each part of its path.
    let mut there = folders.filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).filter(|file| file.exists());
    there.find_map(|file| fs::canonicalize(file).ok())
}

fn read(said: &str) -> Option<Build> {
    let version = said.lines().find_map(|line| line.strip_prefix("nginx version: "))?.split_once('/')?.1;
    let options = said.lines().find_map(|line| line.strip_prefix("configure arguments:")).unwrap_or_default();
    let value = |name: &str| options.split_whitespace().find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
    let prefix = PathBuf::from(value("--prefix").unwrap_or("/usr/local/nginx"));
    let within = |name: &str, default: &str| prefix.join(Path::new(value(name).unwrap_or(default)));
    Some(Build {
        version: version.split_whitespace().next()?.to_owned(),
        config: within("--conf-path", "conf/nginx.conf"),
        pid_file: within("--pid-path", "logs/nginx.pid"),
        user: value("--user").unwrap_or("nobody").to_owned(),
        prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_and_what_is_not_said() {
        let said = "nginx version: nginx/1.22.1\nconfigure arguments: --with-x='-g -O2' --prefix=/p --pid-path=/run/nginx.pid\n";
        let build = read(said).unwrap();
        assert_eq!((build.version.as_str(), build.user.as_str()), ("1.22.1", "nobody"));
        assert_eq!(
            (build.config.as_path(), build.pid_file.as_path()),
            (Path::new("/p/conf/nginx.conf"), Path::new("/run/nginx.pid"))
        );
        assert_eq!(read("bash: no\n"), None);
    }
}
