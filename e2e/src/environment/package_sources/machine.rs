//! The inputs that a machine's settings are read from.

use std::path::{Path, PathBuf};

/// A setting and its origin.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value, as configured. It may contain credentials.
    pub value: String,
    /// The variable, file or program that it comes from.
    pub origin: String,
}

/// Access to a machine's variables, files and apt configuration.
pub(super) struct Machine<'machine> {
    pub(super) variable: &'machine dyn Fn(&str) -> Option<String>,
    pub(super) file: &'machine dyn Fn(&Path) -> Option<String>,
    /// The output of `apt-get indextargets`.
    pub(super) apt_targets: &'machine str,
    /// The output of `apt-config dump`.
    pub(super) apt_config: &'machine str,
}

/// The value of a variable. Empty variables count as not set, like in apt, Go and pip.
pub(super) fn variable(machine: &Machine<'_>, name: &str) -> Option<String> {
    (machine.variable)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The user's directory for configuration files. <https://specifications.freedesktop.org/basedir-spec/latest/>
pub(super) fn config_home(machine: &Machine<'_>) -> Option<PathBuf> {
    variable(machine, "XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&variable(machine, "HOME")?).join(".config")))
}
