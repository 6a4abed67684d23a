//! What moves on a terminal while something goes on.

use std::time::Duration;

use indicatif::style::TemplateError;
use indicatif::{ProgressBar, ProgressStyle};

/// How long it has been going on, a spinner, a name, and what is said of it.
const STYLE: &str = "{elapsed:>7} {spinner} {prefix:.bold}  {wide_msg:.dim}";

/// One for something of this name.
pub(super) fn spinner(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    // A template that is wrong falls back to indicatif's own; the test holds that this one is not.
    bar.set_style(style().unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn style() -> Result<ProgressStyle, TemplateError> {
    ProgressStyle::with_template(STYLE)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_style_is_understood() {
        assert!(super::style().is_ok());
    }
}
