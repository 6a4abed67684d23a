//! Standard output and standard error.

use std::io::{self, Write};
use std::os::fd::AsFd;

use e2e::report::printable::printable;

/// The width of the terminal in columns, or `None` if the output is not a terminal.
pub(crate) fn width(output: impl AsFd) -> Option<u16> {
    rustix::termios::tcgetwinsize(output).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// Writes a result to standard output. A reader such as `head` may close it early.
pub(crate) fn write(text: &str) -> io::Result<()> {
    match io::stdout().write_all(printable(text).as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a line to standard error.
pub(crate) fn print(text: &str) {
    // Ignore the error, because standard error may be closed.
    let _ = writeln!(io::stderr(), "{}", printable(text));
}
