//! Reads pip's configuration: its files, which its variables override.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::machine::{Machine, Setting, config_home, variable};

/// The options that determine where pip downloads packages. <https://pip.pypa.io/en/stable/topics/configuration/>
const OPTIONS: [&str; 4] = ["index-url", "extra-index-url", "trusted-host", "cert"];

/// The sections of a pip configuration that apply to an installation; later ones override earlier ones.
const SECTIONS: [&str; 3] = ["global", "download", "install"];

/// The settings of this machine for [`OPTIONS`].
pub(super) fn settings(machine: &Machine<'_>) -> BTreeMap<&'static str, Setting> {
    let mut settings = BTreeMap::new();
    for path in files(machine) {
        let Some(text) = (machine.file)(&path) else { continue };
        for (option, value) in options(&text) {
            settings.insert(option, Setting { value, origin: path.display().to_string() });
        }
    }
    for option in OPTIONS {
        let name = format!("PIP_{}", option.to_uppercase().replace('-', "_"));
        if let Some(value) = variable(machine, &name) {
            settings.insert(option, Setting { value, origin: "the environment".to_owned() });
        }
    }
    settings
}

/// pip's configuration files; later ones override earlier ones. Leaves out the file of a virtual environment, because it applies only
/// to that environment, which image builds do not use.
fn files(machine: &Machine<'_>) -> Vec<PathBuf> {
    let named = variable(machine, "PIP_CONFIG_FILE").map(PathBuf::from);
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let system = variable(machine, "XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".to_owned());
    let mut files: Vec<_> = system.split(':').map(|directory| Path::new(directory).join("pip/pip.conf")).collect();
    files.push(PathBuf::from("/etc/pip.conf"));
    // The file that `PIP_CONFIG_FILE` names replaces the user's own.
    if named.as_ref().is_none_or(|path| (machine.file)(path).is_none()) {
        files.extend(variable(machine, "HOME").map(|home| Path::new(&home).join(".pip/pip.conf")));
        files.extend(config_home(machine).map(|directory| directory.join("pip/pip.conf")));
    }
    files.extend(named);
    files
}

/// The values of [`OPTIONS`] in one `pip.conf`.
fn options(text: &str) -> Vec<(&'static str, String)> {
    let mut found: BTreeMap<(usize, usize), String> = BTreeMap::new();
    let mut section = None;
    let mut current = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with(char::is_whitespace) {
            // An indented line continues the value above it.
            if let Some(value) = current.and_then(|key| found.get_mut(&key)) {
                *value = format!("{value} {trimmed}");
            }
            continue;
        }
        current = None;
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = SECTIONS.iter().position(|known| *known == name.trim());
            continue;
        }
        let Some((name, value)) = trimmed.split_once(['=', ':']) else { continue };
        let name = name.trim().to_lowercase().replace('_', "-");
        if let Some(section) = section
            && let Some(option) = OPTIONS.iter().position(|known| *known == name)
        {
            current = Some((section, option));
            found.insert((section, option), value.trim().to_owned());
        }
    }
    // In the order of the sections, so that for the caller a later section overrides an earlier one.
    found
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|((_, option), value)| (OPTIONS[option], value))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::tests::read;

    const USER: &str = "/home/me/.config/pip/pip.conf";
    const FILE: &str = "[global]\n; ours\nindex_url = https://file.example/simple\ncert: /home/me/own.pem\ntimeout = 60\n\
        [install]\ntrusted-host =\n    a.example\n    b.example\n[list]\nindex-url = https://list.example\n";
    const CONF: &str = "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\nindex-url = https://file.example/simple\n\
        trusted-host = a.example b.example\n";

    #[rstest]
    #[case::default(&[], &[], "")]
    #[case::file(&[], &[(USER, FILE)], CONF)]
    #[case::user_before_system(
        &[], &[("/etc/pip.conf", "[global]\nindex-url = https://system.example\n"), (USER, FILE)], CONF
    )]
    #[case::legacy(&[], &[("/home/me/.pip/pip.conf", FILE)], CONF)]
    #[case::named_instead_of_user(
        &[("PIP_CONFIG_FILE", "/p")], &[("/p", "[global]\nindex-url=https://p.example\n"), (USER, FILE)],
        "[global]\nindex-url = https://p.example\n"
    )]
    #[case::no_files(&[("PIP_CONFIG_FILE", "/dev/null")], &[(USER, FILE)], "")]
    #[case::variable_first(
        &[("PIP_INDEX_URL", "https://v.example/simple"), ("PIP_TRUSTED_HOST", "c.example")], &[(USER, FILE)],
        "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\nindex-url = https://v.example/simple\ntrusted-host = c.example\n"
    )]
    #[case::section_of_the_command(
        &[], &[(USER, "[install]\nindex-url = https://i.example\n[global]\nindex-url = https://g.example\n")],
        "[global]\nindex-url = https://i.example\n"
    )]
    fn pip_settings_come_from_variables_or_files(
        #[case] variables: &[(&str, &str)],
        #[case] files: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        assert_eq!(read(variables, files, ("", "")).pip_conf(), expected);
    }
}
