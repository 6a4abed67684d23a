//! What a machine's settings are read from.

use std::path::{Path, PathBuf};

/// A setting and the place that it comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value, as configured. It may contain credentials.
    pub value: String,
    /// A variable, a file or a program.
    pub origin: String,
}

/// What settings are read from.
pub(super) struct Machine<'machine> {
    pub(super) variable: &'machine dyn Fn(&str) -> Option<String>,
    pub(super) file: &'machine dyn Fn(&Path) -> Option<String>,
    /// The output of `apt-get indextargets`.
    pub(super) apt_targets: &'machine str,
    /// The output of `apt-config dump`.
    pub(super) apt_config: &'machine str,
}

/// A variable; one that is set to nothing counts as not set, for apt, Go and pip alike.
pub(super) fn variable(machine: &Machine<'_>, name: &str) -> Option<String> {
    (machine.variable)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A user's directory for configuration files. <https://specifications.freedesktop.org/basedir-spec/latest/>
pub(super) fn config_home(machine: &Machine<'_>) -> Option<PathBuf> {
    variable(machine, "XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&variable(machine, "HOME")?).join(".config")))
}
