//! Formats the choices that the checks have made in a cluster that the harness did not create.

use comfy_table::{Table, presets};

use crate::checks::discovery::Choice;

/// The choices, one per line, with their reasons.
pub fn text(choices: &[Choice]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["found", "", "because"]);
    for Choice { subject, value, reason } in choices {
        table.add_row([subject, value.as_deref().unwrap_or("not found"), reason]);
    }
    format!("{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_shown_with_their_reasons() {
        let choice = |subject, value: Option<&str>, reason: &str| Choice {
            subject,
            value: value.map(str::to_owned),
            reason: reason.to_owned(),
        };
        insta::assert_snapshot!(text(&[
            choice("namespace", Some("gitlab"), "the only one with Deployments that have the labels"),
            choice(
                "Ingress controller",
                Some("192.0.2.1:80"),
                "the status of Ingress gitlab/dev; the service answers there"
            ),
            choice("Prometheus", None, "no Service is named prometheus; pass it with `--prometheus`"),
        ]));
    }
}
