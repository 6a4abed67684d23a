//! What has to be installed before something can be measured.

use std::env;
use std::path::Path;

use crate::error::Error;

/// A thing that is needed, and the Debian package it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    what: &'static str,
    package: &'static str,
    is_path: bool,
}

impl Need {
    /// A command.
    pub(crate) const fn command(what: &'static str, package: &'static str) -> Self {
        Self { what, package, is_path: false }
    }

    /// A file or folder that is always in the same place.
    pub(crate) const fn path(what: &'static str, package: &'static str) -> Self {
        Self { what, package, is_path: true }
    }

    fn is_met(&self) -> bool {
        if self.is_path {
            Path::new(self.what).exists()
        } else {
            env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(self.what).is_file())
        }
    }
}

/// All of `needs`, or one line that says which are missing and how to get them.
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
        assert!(check(&[Need::command("sh", "dash"), Need::path("/proc", "linux")]).is_ok());
    }

    #[test]
    fn all_that_is_missing_is_on_one_line() {
        let needs = [
            Need::command("sh", "dash"),
            Need::command("no-such-tool", "tool"),
            Need::path("/no/such/path", "path-dev"),
        ];
        let error = check(&needs).unwrap_err();
        insta::assert_snapshot!(error, @"missing: no-such-tool, /no/such/path (apt-get install tool path-dev)");
        assert_eq!(error.exit_code(), 3);
    }
}
