//! The command line as types. The help text here is the reference of the program: `slotd help VERB` and `slotd man` print it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::model::id::ServiceName;

/// Below the help of slotd itself.
const EXIT_CODES: &str = "\
Exit codes, the same for every verb; over several services the worst wins (4, 5, 1, 3, 2, 0):
  0  done: converged, valid, nothing to do
  1  failed: something broke that is nobody's decision (I/O, permissions, an internal fault)
  2  `plan --detailed-exitcode`: changes are pending
  3  held: not at the desired state; what serves, serves on; the reason is printed
  4  refused: bad usage, a bad manifest, a stale plan id; nothing was touched
  5  locked: another slotd works on this state

Results go to standard output, progress and errors to standard error. NO_COLOR and CLICOLOR are
followed. SLOTD_LOG sets what is traced (`slotd=debug`), stronger than -v.";

/// Zero-downtime deployment of Spring Boot jars behind nginx, as desired state
///
/// A manifest says which jar each service runs and in which slots. slotd looks at the host, plans the way from what is there to
/// what is asked, and takes it in steps after any of which it may be killed: start the new release in the idle slot, wait until it
/// is ready, move the traffic at once, prove that it moved, let the old slot drain. `slotd plan` shows that way and touches
/// nothing; `slotd apply` goes it once; `slotd run` keeps to it.
#[derive(Debug, Parser)]
#[command(name = "slotd", version, max_term_width = 100, after_long_help = EXIT_CODES, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options that may stand on either side of the verb.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The manifest; `-` is standard input [default: ./desired.yaml, then /etc/slotd/desired.yaml]
    #[arg(short, long = "file", value_name = "FILE", global = true)]
    pub file: Option<PathBuf>,
    /// Where slotd keeps its state [default: `$SLOTD_STATE_DIR`, then /var/lib/slotd as root, `$XDG_STATE_HOME/slotd` otherwise]
    #[arg(long, value_name = "DIR", global = true)]
    pub state_dir: Option<PathBuf>,
    /// For whom the result is written: a person, a program (one JSON document), a pull request
    #[arg(short = 'o', long = "format", value_enum, value_name = "FORMAT", default_value_t = Format::Human, global = true, hide_possible_values = true, help = "How the result is written: human, json or markdown")]
    pub format: Format,
    /// Trace what is done instead of showing progress; -vv traces more
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// No progress: the result alone
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// How long to wait for another slotd that works on the same state
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", global = true)]
    pub lock_timeout: Duration,
    /// No colours, whatever the terminal can do
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// For whom the result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A person.
    Human,
    /// A program.
    Json,
    /// A comment on a pull request.
    Markdown,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// With the manifest alone.
    #[command(flatten)]
    Manifest(ManifestVerb),
    /// With the host.
    #[command(flatten)]
    Host(HostVerb),
    /// With slotd's own code.
    #[command(flatten)]
    Generated(GeneratedVerb),
}

/// What is done with the manifest alone.
#[derive(Debug, Subcommand)]
pub enum ManifestVerb {
    /// Check the manifest and say every fault
    Validate,
    /// Print the manifest with every default filled in
    Config,
}

/// What is done with the host.
#[derive(Debug, Subcommand)]
pub enum HostVerb {
    /// The dry run: what differs, on what evidence, and every step to converged; touches nothing
    #[command(visible_alias = "diff")]
    Plan(PlanArgs),
    /// Reconcile until converged or held
    ///
    /// Waits for what goes on by itself (a start, a drain), and for the world to change (a port that is taken, nginx that is down)
    /// until --timeout; what a person must decide ends it at once. Beside a running controller it works on the same manifest only.
    Apply(ApplyArgs),
    /// The controller: reconcile again and again
    ///
    /// Looks on a timer, when the manifest changes, when a slot's process ends, and on SIGHUP. SIGTERM and SIGINT end it and leave
    /// the slots serving. While the manifest is broken or missing, the last good one goes on being followed. What happens is
    /// written to standard error, a line an event.
    Run(RunArgs),
    /// How each service stands, which slot is live and by which evidence, what a rollback would be
    Status(StatusArgs),
    /// What this host guarantees around a cutover, and what to change for more; touches nothing
    ///
    /// Reads nginx's configuration, its running master and the kernel's settings, and says for each service what a deployment costs
    /// users by `cutover: flag` and by `cutover: reload`. Then what stands in the way, each with its place, what it leads to and
    /// what to do: an error keeps the cutover of the manifest from working, a warning can cost requests, a note costs none.
    Doctor(DoctorArgs),
    /// The application's own output
    Logs(LogsArgs),
    /// What was deployed when, how long each phase took, how it ended, and why
    History(Services),
    /// Go back to the previous good release, through the same gates
    ///
    /// The manifest stays as it is written; its release is held (`rolled_back`) until the manifest asks for another one, or until
    /// `slotd retry`.
    Rollback(RollbackArgs),
    /// Let a ready candidate take the traffic, where `slot_policy.promote` is manual
    Promote(Decide),
    /// No new deployments; what serves is still healed
    Pause(Services),
    /// Deployments again
    Resume(Decide),
    /// Try again what is quarantined, rolled back, down or edited by hand
    Retry(Decide),
    /// The same release in a new process, on the other slot, without a gap
    Restart(Decide),
    /// Stop a service and route nothing to it
    ///
    /// It stays down until `slotd retry` or `slotd restart`. A service that no manifest mentions any more is forgotten as well.
    Down(Decide),
}

/// What is generated from the code.
#[derive(Debug, Subcommand)]
pub enum GeneratedVerb {
    /// Print the JSON Schema of the manifest, or of a document of `-o json`
    Schema(SchemaArgs),
    /// Print shell completions
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of slotd, or of a verb
    Man {
        /// Which verb.
        verb: Option<String>,
    },
}

/// Which services.
#[derive(Clone, Debug, Args)]
pub struct Services {
    /// Only these services [default: all]
    #[arg(value_name = "SERVICE", value_parser = service)]
    pub services: Vec<ServiceName>,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Which.
    #[command(flatten)]
    pub services: Services,
    /// End with 2 when changes are pending, with 3 when something holds them
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Plan to retire services that the manifest no longer mentions
    #[arg(long)]
    pub prune: bool,
}

/// `apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Which.
    #[command(flatten)]
    pub services: Services,
    /// Refuse unless this is still the plan: the id that `slotd plan` printed (with the same services and --prune)
    #[arg(long, value_name = "ID")]
    pub plan: Option<String>,
    /// Retire services that the manifest no longer mentions
    #[arg(long)]
    pub prune: bool,
    /// How long to wait.
    #[command(flatten)]
    pub patience: Patience,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, Args)]
pub struct Patience {
    /// Give up waiting after this long [default: the longest `health.deadline` + `drain_deadline`, and 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Look at least this often
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub interval: Duration,
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Which.
    #[command(flatten)]
    pub services: Services,
    /// Show it again and again
    #[arg(long, conflicts_with = "exit_code")]
    pub watch: bool,
    /// End with 3 unless every service of the manifest is converged
    #[arg(long)]
    pub exit_code: bool,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Which.
    #[command(flatten)]
    pub services: Services,
    /// End with 3 when there is an error or a warning
    #[arg(long)]
    pub exit_code: bool,
}

/// `logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Whose
    #[arg(value_name = "SERVICE", value_parser = service)]
    pub service: ServiceName,
    /// Of this slot [default: the one that traffic was last moved to]
    #[arg(long, value_name = "SLOT")]
    pub slot: Option<String>,
    /// Only the last N lines [default: all]
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Of this start of the slot: its number, or -1 for the one before the last [default: the last]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub start: Option<i64>,
    /// Go on as it is written, into the next start of the slot too
    #[arg(long, conflicts_with = "start")]
    pub follow: bool,
}

/// `rollback`
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Which
    #[arg(value_name = "SERVICE", value_parser = service)]
    pub service: ServiceName,
    /// To this version [default: the last one that proved itself]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// How long to wait.
    #[command(flatten)]
    pub patience: Patience,
}

/// A decision that is then carried out.
#[derive(Debug, Args)]
pub struct Decide {
    /// Which.
    #[command(flatten)]
    pub services: Services,
    /// How long to wait.
    #[command(flatten)]
    pub patience: Patience,
}

/// `schema`
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of what `-o json` prints for this verb [default: of the manifest]
    #[arg(long, value_enum, value_name = "VERB")]
    pub output: Option<Document>,
}

/// A document of `-o json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// `status`, and the end of `apply` and its like.
    Status,
    /// `plan`
    Plan,
    /// `history`
    History,
    /// `doctor`
    Doctor,
}

/// `30s`, `2m`, `1h 30m`; as in the manifest a unit is required.
fn duration(text: &str) -> Result<Duration, String> {
    let parser = jiff::fmt::friendly::SpanParser::new();
    parser.parse_unsigned_duration(text).map_err(|_| format!("`{text}` is no time: write a number with a unit, as in 30s or 2m"))
}

/// A name that a manifest could give.
fn service(text: &str) -> Result<ServiceName, String> {
    let is_name = text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if is_name {
        Ok(ServiceName::new(text))
    } else {
        Err("a service is named by up to 32 lower-case letters, digits and hyphens, a letter first".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_on_either_side_of_the_verb() {
        for line in ["slotd -f a.yaml -o json plan web", "slotd plan web -f a.yaml -o json", "slotd -o json diff web -f a.yaml"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!((cli.global.file, cli.global.format), (Some(PathBuf::from("a.yaml")), Format::Json), "{line}");
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        for bad in ["90", "-3s", "", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_service_is_named_as_in_the_manifest() {
        assert!(service("web-2").is_ok());
        for bad in ["", "Web", "2web", "../etc", "a_b", &"a".repeat(33)] {
            assert!(service(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_start_may_be_counted_from_the_last() {
        let cli = Cli::try_parse_from("slotd logs web --start -1 -n 20".split(' ')).unwrap();
        let Verb::Host(HostVerb::Logs(logs)) = cli.verb else { panic!("logs") };
        assert_eq!((logs.start, logs.lines), (Some(-1), Some(20)));
    }
}
