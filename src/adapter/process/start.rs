//! Starting a slot's process, detached, so that it outlives us.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::adapter::process::find::STATE;
use crate::adapter::process::{fault, stat};
use crate::adapter::{LinuxHost, clock, files, launch, training};
use crate::host::processes::{ProcessError, StartOrder, environment};
use crate::model::boot::BootForm;
use crate::model::id::Identity;

/// What systemd hands to slotd alone (`sd_notify(3)`, `sd_listen_fds(3)`): with these an application could speak in our name.
const NOT_INHERITED: [&str; 6] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

impl LinuxHost {
    pub(super) fn launched(&self, order: &StartOrder) -> Result<Identity, ProcessError> {
        self.reap();
        let java = fault::program(&order.launch.java).map_err(start_error(&order.launch.java))?;
        let (jar, archive) = self.proven(order)?;
        let mut command = self.command(order, launch::SUBCOMMAND, launcher_args(order, &java, &jar, archive.as_deref()))?;
        let child = command.spawn().map_err(start_error(&order.launch.java))?;
        let pid = child.id();
        // Not yet reaped, so the number is still this process's, even if it has ended already.
        let identity = identify(pid, order).map_err(|source| ProcessError::Signal { pid, source });
        self.children.borrow_mut().push(child);
        identity
    }

    /// slotd itself with this hidden subcommand, as everything is started that outlives us.
    pub(super) fn command(&self, order: &StartOrder, subcommand: &str, args: Vec<OsString>) -> Result<Command, ProcessError> {
        let env_file = order.env_file.as_ref().map_or(Ok(Vec::new()), |digest| self.proven_env(digest))?;
        let work = self.work(order)?;
        let (out, err) = log(&order.log)?;
        let mut command = Command::new(&self.launcher);
        command.arg(subcommand).args(args).current_dir(work).stdin(Stdio::null()).stdout(out).stderr(err);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        // What slotd itself sets comes last: a cookie from an env file would hide the process from us.
        command.envs(env_file).envs(environment(order)).env(STATE, &self.state);
        Ok(command)
    }

    /// The jar to start on, and the archive to start with.
    fn proven(&self, order: &StartOrder) -> Result<(PathBuf, Option<PathBuf>), ProcessError> {
        Ok(match &order.boot {
            BootForm::Jar => (self.whole_jar(&order.digest)?, None),
            BootForm::Extracted => (self.proven_unpacked(&order.digest)?, None),
            BootForm::Archived { archive } => {
                (self.proven_unpacked(&order.digest)?, Some(self.proven_archive(&order.digest, archive)?))
            }
        })
    }

    /// The working folder; one of ours is made, and opened to the user that the slot runs as.
    fn work(&self, order: &StartOrder) -> Result<PathBuf, ProcessError> {
        let service = self.service(&order.service);
        let (path, is_ours) = match &order.launch.working_dir {
            Some(path) => (path.clone(), false),
            None => (service.join("work"), true),
        };
        if is_ours {
            files::private_dir(&path).map_err(file_error("create", &path))?;
        }
        // Else the failure would name java, not the folder.
        fs::read_dir(&path).map_err(file_error("enter", &path))?;
        if let Some(user) = &order.launch.user {
            self.open_to_others(&self.folder(&order.digest), is_ours.then_some(service.as_path()))?;
            if is_ours {
                give(&path, user).map_err(file_error("give away", &path))?;
            }
        }
        Ok(path)
    }

    /// Another user must pass through our folders to its jar and its working folder. It can list none of them, and ledgers,
    /// logs and env files stay readable by us alone.
    fn open_to_others(&self, artifact: &Path, service: Option<&Path>) -> Result<(), ProcessError> {
        let (artifacts, services) = (self.artifacts(), self.services());
        let below = [artifact].into_iter().chain(service).chain(service.map(|_| services.as_path()));
        for folder in below.chain([artifacts.as_path(), self.state.as_path()]) {
            fs::set_permissions(folder, Permissions::from_mode(0o711)).map_err(file_error("open", folder))?;
        }
        Ok(())
    }
}

pub(super) fn give(path: &Path, user: &str) -> io::Result<()> {
    let user = fault::user(user)?;
    std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}

fn identify(pid: u32, order: &StartOrder) -> io::Result<Identity> {
    let (boot, start) = (clock::boot_id()?, stat::read(pid)?.start);
    Ok(Identity { boot, pid, start, cookie: Some(order.cookie.clone()) })
}

/// A file, not a pipe: a JVM stops when nobody reads its pipe, and loses its output when slotd ends. Appending, so that the log
/// can be cut while it is written.
fn log(path: &Path) -> Result<(File, File), ProcessError> {
    if let Some(folder) = path.parent() {
        files::private_dir(folder).map_err(file_error("create", folder))?;
    }
    let out = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(file_error("open", path))?;
    let err = out.try_clone().map_err(file_error("open", path))?;
    Ok((out, err))
}

/// What the hidden subcommand is told (see [`launch`]).
fn launcher_args(order: &StartOrder, java: &Path, jar: &Path, archive: Option<&Path>) -> Vec<OsString> {
    let user = order.launch.user.iter().flat_map(|user| ["--user".into(), user.into()]);
    user.chain(["--".into(), java.into()]).chain(command_line(order, jar, archive)).collect()
}

/// The arguments of the JVM, in the order that its launcher wants: options, jar, arguments of the application. Our own options come
/// first: of two words about the same thing the JVM takes the manifest's.
pub(super) fn command_line(order: &StartOrder, jar: &Path, archive: Option<&Path>) -> Vec<OsString> {
    let launch = &order.launch;
    let property =
        |name: &str, values: &[String]| (!values.is_empty()).then(|| OsString::from(format!("-D{name}={}", values.join(","))));
    let mut all: Vec<OsString> = archive.map(training::flag).into_iter().collect();
    all.extend(launch.jvm_args.iter().map(OsString::from));
    all.extend(property("spring.profiles.active", &launch.profiles));
    all.extend(property("spring.config.location", &launch.config_locations));
    all.extend(["-jar".into(), jar.into()]);
    all.extend(launch.args.iter().map(OsString::from));
    all
}

pub(super) fn start_error(program: &str) -> impl FnOnce(io::Error) -> ProcessError {
    let program = program.to_owned();
    move |source| ProcessError::Start { program, source }
}

pub(super) fn file_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProcessError {
    let path = path.to_owned();
    move |source| ProcessError::File { act, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::desired::{Boot, LaunchSpec};
    use crate::model::id::{Cookie, Digest, Port, ReleaseId, ServiceName, SlotName};
    use std::time::Duration;

    #[test]
    fn the_command_line_is_the_one_of_the_scripts() {
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let launch = LaunchSpec {
            java: "java".to_owned(),
            jvm_args: list(&["-Xmx256m"]),
            args: list(&["--debug"]),
            profiles: list(&["real1", "oauth"]),
            config_locations: list(&["classpath:/", "/etc/app/"]),
            env: std::collections::BTreeMap::new(),
            env_file: None,
            user: Some("app".to_owned()),
            working_dir: None,
            stop_timeout: Duration::from_secs(40),
            boot: Boot::Auto,
        };
        let order = StartOrder {
            service: ServiceName::new("web"),
            slot: SlotName::new("real1"),
            release: ReleaseId::new("r1-0"),
            cookie: Cookie::new("c"),
            port: Port(8081),
            digest: Digest::new("0"),
            boot: BootForm::Jar,
            launch,
            env_file: None,
            log: PathBuf::from("/log"),
            gives_way: false,
        };
        let expected = "--user app -- /usr/bin/java -Xmx256m -Dspring.profiles.active=real1,oauth \
                        -Dspring.config.location=classpath:/,/etc/app/ -jar /store/app.jar --debug";
        let words: Vec<OsString> = expected.split_ascii_whitespace().map(OsString::from).collect();
        assert_eq!(launcher_args(&order, Path::new("/usr/bin/java"), Path::new("/store/app.jar"), None), words);
    }
}
