//! The programs that a measurement requires.

use std::env;

use crate::error::Error;

/// A required command, and the Debian package that contains it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    what: &'static str,
    package: &'static str,
}

impl Need {
    pub(crate) const fn command(what: &'static str, package: &'static str) -> Self {
        Self { what, package }
    }

    fn is_met(&self) -> bool {
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(self.what).is_file())
    }
}

/// Checks all of `needs`. The error names the missing commands and how to install them, on one line.
pub(crate) fn check(needs: &[Need]) -> Result<(), Error> {
    let missing: Vec<_> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = |part: fn(&Need) -> &'static str, between| {
        missing.iter().map(|need| part(need)).collect::<Vec<_>>().join(between)
    };
    let (what, packages) = (list(|need| need.what, ", "), list(|need| need.package, " "));
    Err(Error::Environment(format!("missing: {what} (apt-get install {packages})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_there() {
        assert!(check(&[Need::command("sh", "dash"), Need::command("ls", "coreutils")]).is_ok());
    }

    #[test]
    fn all_that_is_missing_is_on_one_line() {
        let needs = [
            Need::command("sh", "dash"),
            Need::command("no-such-tool", "tool"),
            Need::command("no-such-command", "command"),
        ];
        let error = check(&needs).unwrap_err();
        insta::assert_snapshot!(error, @"missing: no-such-tool, no-such-command (apt-get install tool command)");
        assert_eq!(error.exit_code(), 3);
    }
}
