//! The spinner of work that is running.

use std::time::Duration;

use indicatif::style::TemplateError;
use indicatif::{ProgressBar, ProgressStyle};

use crate::report::printable::printable;

/// The elapsed time, the spinner, the name of the work, and its last message.
const STYLE: &str = "{elapsed:>7} {spinner} {prefix:.bold}  {wide_msg:.dim}";

/// A spinner for the work with this name.
pub(super) fn spinner(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    // An invalid template falls back to indicatif's own. The test shows that this one is valid.
    bar.set_style(style().unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_prefix(printable(name).into_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn style() -> Result<ProgressStyle, TemplateError> {
    ProgressStyle::with_template(STYLE)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_style_is_valid() {
        assert!(super::style().is_ok());
    }
}
