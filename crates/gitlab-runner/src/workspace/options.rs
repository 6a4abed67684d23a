//! The options of git that jobs may set. git runs outside of the job's container, so only options that are known to be harmless are
//! passed to it. An unknown option could be a short form of one that names a program: git accepts `--upl` for `--upload-pack`.

/// The options of a git command that jobs may set. Only complete names count.
pub(super) struct Allowed {
    /// Options without a value.
    pub(super) flags: &'static [&'static str],
    /// Options with a value, which follows `=` or is the next word.
    pub(super) settings: &'static [&'static str],
    /// Options without a value, or with an optional value after `=`, that have no effect on a new repository. They are dropped silently.
    pub(super) unused_flags: &'static [&'static str],
    /// Options with a value that have no effect on a new repository. They are dropped silently.
    pub(super) unused_settings: &'static [&'static str],
}

impl Allowed {
    /// Splits the options in `text` into those that are passed to git, and those that are not.
    pub(super) fn split(&self, text: &str) -> (Vec<String>, Vec<String>) {
        let (mut passed, mut ignored) = (Vec::new(), Vec::new());
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let name = word.split_once('=').map(|(name, _)| name);
            let is_named = |names: &[&str]| name.is_some_and(|name| names.contains(&name));
            if self.flags.contains(&word) || is_named(self.settings) {
                passed.push(word.to_owned());
            } else if self.unused_flags.contains(&word) || is_named(self.unused_flags) || is_named(self.unused_settings)
            {
                // It has no effect.
            } else if self.settings.contains(&word) || self.unused_settings.contains(&word) {
                // One word for git, which would otherwise take its next argument as a missing value.
                match words.next() {
                    Some(value) if self.settings.contains(&word) => passed.push(format!("{word}={value}")),
                    Some(_) => {}
                    None => ignored.push(word.to_owned()),
                }
            } else {
                ignored.push(word.to_owned());
            }
        }
        (passed, ignored)
    }
}
