//! The output of the doctor.

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets};

use crate::environment::doctor::{Finding, Platform, Remedy, Verdict, commands};

/// The findings as a table, followed by the remedies and a summary. `width` is the width of the terminal, if there is one.
pub fn table(findings: &[Finding], platform: &Platform, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.unwrap_or(140));
    table.set_header(["", "what", "found", "needed"]);
    for Finding { subject, needed, found, verdict, .. } in findings {
        // Only the first line: the JSON output has the complete text.
        let found = found.lines().next().unwrap_or_default();
        table.add_row([word(*verdict), *subject, found, needed.as_str()]);
    }
    let mut text = format!("{}\n\n{}\n", platform.name(), table.trim_fmt());
    for finding in findings {
        let Some(remedy) = &finding.remedy else { continue };
        let remedy = match remedy {
            // One command below installs all packages.
            Remedy::Packages(_) => continue,
            Remedy::Command(command) => command,
            Remedy::Advice(advice) => advice,
        };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n{}:\n", finding.subject);
        for line in remedy.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    let packages = findings.iter().any(|finding| matches!(finding.remedy, Some(Remedy::Packages(_))));
    if let Some(install) = commands(findings, platform).first().filter(|_| packages) {
        let _ = writeln!(text, "\nto install the missing packages:");
        for line in install.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    let count = |wanted: Verdict| findings.iter().filter(|finding| finding.verdict == wanted).count();
    let _ = match (count(Verdict::Missing), count(Verdict::Warning)) {
        (0, 0) => writeln!(text, "\nAll prerequisites are met."),
        (0, warnings) => writeln!(text, "\nAll required prerequisites are met; warnings: {warnings}."),
        (missing, _) => {
            writeln!(
                text,
                "\n{missing} of {} prerequisites are missing. `e2e doctor --fix` fixes those that it can.",
                findings.len()
            )
        }
    };
    text
}

/// All findings as a JSON object.
pub fn json(findings: &[Finding], platform: &str) -> Result<String, serde_json::Error> {
    let document = serde_json::json!({ "platform": platform, "findings": findings });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "ok",
        Verdict::Warning => "warning",
        Verdict::Missing => "missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::good("container engine", "Docker 23 or newer, running", "none: no such file")
                .with(Verdict::Missing, Remedy::Packages(vec!["docker.io", "docker-cli"])),
            Finding::good("inotify", "max_user_watches 8192", "100")
                .with(Verdict::Missing, Remedy::Command("sysctl -w fs.inotify.max_user_watches=32768".to_owned())),
            Finding::good("kubectl", "1.34 or newer: for inspecting the cluster", "none")
                .with(Verdict::Warning, Remedy::Advice("install kubectl".to_owned())),
            Finding::good("memory", "4 GiB available", "22.1 GiB"),
        ]
    }

    fn platform() -> Platform {
        Platform::from_os_release(
            "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_CODENAME=trixie\n",
            true,
        )
    }

    #[test]
    fn something_is_missing() {
        insta::assert_snapshot!(table(&findings(), &platform(), None));
    }

    #[test]
    fn a_narrow_terminal() {
        insta::assert_snapshot!(table(&findings(), &platform(), Some(60)));
    }

    #[test]
    fn nothing_is_missing() {
        insta::assert_snapshot!(table(&findings()[3..], &platform(), None));
    }

    #[test]
    fn a_json_document() {
        insta::assert_snapshot!(json(&findings(), platform().name()).unwrap());
    }
}
