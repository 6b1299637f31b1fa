//! Sinks for whoever waits: a spinner a service on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Event, Sink};
use crate::model::id::ServiceName;
use crate::model::status::Status;
use crate::report::palette::Palette;
use crate::report::wording;

/// How often a spinner turns; fast enough to look alive, slow enough to cost nothing.
const TURN: Duration = Duration::from_millis(120);

/// Time since the verb began; handed in, because nothing here may ask a clock.
pub type Elapsed = Box<dyn Fn() -> Duration>;

/// One line an event, with the elapsed seconds: for a CI job, a file, a journal.
pub struct Lines<W> {
    out: W,
    elapsed: Elapsed,
    paint: Palette,
}

impl<W: Write> Lines<W> {
    /// Lines into `out`.
    pub fn new(out: W, elapsed: Elapsed, paint: Palette) -> Self {
        Self { out, elapsed, paint }
    }

    /// Nobody reads what cannot be written: a full disk under the log is no reason to stop a deployment.
    fn say(&mut self, service: Option<&ServiceName>, text: &str, failed: bool) {
        let line = wording::line((self.elapsed)(), service, text);
        let written = if failed { writeln!(self.out, "{}", self.paint.bad(line)) } else { writeln!(self.out, "{line}") };
        drop(written.and_then(|()| self.out.flush()));
    }
}

impl<W: Write> Sink for Lines<W> {
    fn emit(&mut self, service: &ServiceName, event: &Event) {
        if let Some(text) = wording::event(event) {
            self.say(Some(service), &text, matches!(event, Event::StepFailed { .. } | Event::LogsUntrimmed { .. }));
        }
    }

    fn broken(&mut self, error: &str) {
        self.say(None, &format!("no pass: {error}"), true);
    }
}

/// A spinner a service that says what it waits for and for how long; what is done stays above as lines.
pub struct Spinners {
    screen: MultiProgress,
    bars: BTreeMap<ServiceName, ProgressBar>,
    elapsed: Elapsed,
}

impl Spinners {
    /// Spinners on `target`.
    pub fn new(target: ProgressDrawTarget, elapsed: Elapsed) -> Self {
        Self { screen: MultiProgress::with_draw_target(target), bars: BTreeMap::new(), elapsed }
    }

    fn bar(&mut self, service: &ServiceName) -> ProgressBar {
        let fresh = || {
            let bar = self.screen.add(ProgressBar::new_spinner());
            bar.set_style(style());
            bar.set_prefix(service.to_string());
            bar.enable_steady_tick(TURN);
            bar
        };
        self.bars.entry(service.clone()).or_insert_with(fresh).clone()
    }

    /// A line above the spinners; see `Lines::say` for why a failure is dropped.
    fn above(&self, service: Option<&ServiceName>, text: &str) {
        drop(self.screen.println(wording::line((self.elapsed)(), service, text)));
    }

    fn tell(&self, service: &ServiceName, event: &Event) {
        if let Some(text) = wording::event(event) {
            self.above(Some(service), &text);
        }
    }

    fn show(&mut self, service: &ServiceName, text: String) {
        let bar = self.bar(service);
        bar.reset_elapsed();
        bar.set_message(text);
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix}: {wide_msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl Sink for Spinners {
    fn emit(&mut self, service: &ServiceName, event: &Event) {
        match event {
            Event::StepBegan { act, .. } if act.is_visible() => self.show(service, act.to_string()),
            Event::StepBegan { .. } => {}
            Event::StepDone { .. } | Event::StepFailed { .. } | Event::LogsUntrimmed { .. } => {
                self.tell(service, event);
            }
            Event::Held { hold, usual } => {
                let usual = wording::usual(usual.as_ref());
                self.show(service, format!("waits ({}): {}{usual}", hold.reason, hold.detail));
            }
            Event::StatusChanged { to, .. } => {
                self.tell(service, event);
                if *to == Status::Converged {
                    self.bar(service).finish_and_clear();
                    self.bars.remove(service);
                }
            }
        }
    }

    fn broken(&mut self, error: &str) {
        self.above(None, &format!("no pass: {error}"));
    }
}

impl Drop for Spinners {
    /// Leaves no half line on the terminal for the summary to follow.
    fn drop(&mut self) {
        self.bars.values().for_each(ProgressBar::finish_and_clear);
    }
}

/// Whoever wants nothing to be said.
#[derive(Debug, Default)]
pub struct Silent;

impl Sink for Silent {
    fn emit(&mut self, _service: &ServiceName, _event: &Event) {}

    fn broken(&mut self, _error: &str) {}
}
