//! The two streams that slotd writes to, and how.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use crate::report::palette::Palette;

/// A stream that whoever reads it may close: `slotd plan | head` is no error, and an `apply` whose reader has gone goes on.
pub struct Out {
    inner: Box<dyn Write>,
    closed: bool,
}

impl Out {
    /// Writes into `inner` for as long as somebody reads it.
    pub fn new(inner: impl Write + 'static) -> Self {
        Self { inner: Box::new(inner), closed: false }
    }

    /// Whether nobody reads it any more: what would be written again and again can stop.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn unless_closed<T>(&mut self, instead: T, result: io::Result<T>) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let result = self.inner.write(bytes);
        self.unless_closed(bytes.len(), result)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.inner.flush();
        self.unless_closed((), result)
    }
}

/// Standard output and standard error.
pub struct Console {
    /// The result, and nothing else.
    pub out: Out,
    /// Errors, hints, warnings.
    pub err: Out,
    /// Colours of `out`.
    pub paint: Palette,
    /// Colours of `err`.
    pub err_paint: Palette,
    /// Whether `err_paint` paints.
    pub err_is_coloured: bool,
    /// Whether a person watches `out`.
    pub out_is_terminal: bool,
    /// Whether a person watches `err`.
    pub err_is_terminal: bool,
}

impl Console {
    /// The streams of this process, coloured as `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and the terminal say.
    pub fn of_process() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        Self {
            paint: palette(AutoStream::choice(&out)),
            err_paint: palette(AutoStream::choice(&err)),
            err_is_coloured: AutoStream::choice(&err) != ColorChoice::Never,
            out_is_terminal: out.is_terminal(),
            err_is_terminal: err.is_terminal(),
            out: Out::new(out),
            err: Out::new(err),
        }
    }

    /// `--no-color`
    pub fn without_colours(&mut self) {
        self.paint = Palette::plain();
        self.err_paint = Palette::plain();
        self.err_is_coloured = false;
    }
}

fn palette(choice: ColorChoice) -> Palette {
    match choice {
        ColorChoice::Never => Palette::plain(),
        ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => Palette::coloured(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_closed_pipe_is_the_end_and_no_error() {
        let mut out = Out::new(Closed(io::ErrorKind::BrokenPipe));
        assert!(writeln!(out, "a plan").is_ok() && out.flush().is_ok() && out.is_closed());
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut out = Out::new(Closed(io::ErrorKind::StorageFull));
        assert!(writeln!(out, "a plan").is_err() && !out.is_closed());
    }
}
