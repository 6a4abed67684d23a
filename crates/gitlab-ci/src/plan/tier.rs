//! The tiers of environments, and the variables of a job's environment.

use crate::config::environment::Action;

/// Returns the variables of a job's environment that its rules can read as well.
pub(super) fn environment_variables(name: &str, action: Action, tier: &str) -> [(&'static str, String); 3] {
    let action = match action {
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Prepare => "prepare",
        Action::Verify => "verify",
        Action::Access => "access",
    };
    [
        ("CI_ENVIRONMENT_NAME", name.to_owned()),
        ("CI_ENVIRONMENT_ACTION", action.to_owned()),
        ("CI_ENVIRONMENT_TIER", tier.to_owned()),
    ]
}

/// The words in an environment's name that indicate its tier. The first match counts. `guess_tier` of
/// `app/models/environment.rb`
const TIERS: [(&str, &[&str]); 4] = [
    ("development", &["dev", "review", "trunk"]),
    ("testing", &["test", "tst", "int", "acpt", "accept", "qa", "qc", "control", "quality"]),
    ("staging", &["stg", "stag", "modl", "model", "pre", "demo", "non"]),
    ("production", &["prd", "prod", "live"]),
];

/// Returns the tier of an environment without `deployment_tier`.
pub(super) fn guess_tier(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    let found = TIERS.iter().find(|(_, words)| words.iter().any(|word| name.contains(word)));
    found.map_or("other", |(tier, _)| tier)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // `spec/models/environment_spec.rb`; https://docs.gitlab.com/ci/environments/#deployment-tier-of-environments
    #[rstest]
    #[case::review("review/feature", "development")]
    #[case::dev("DEV", "development")]
    #[case::test("system-test", "testing")]
    #[case::acceptance("acceptance", "testing")]
    #[case::quality("QA", "testing")]
    #[case::staging("staging", "staging")]
    #[case::short("stg", "staging")]
    #[case::pre("pre-production", "staging")]
    #[case::production("production", "production")]
    #[case::live("live", "production")]
    #[case::short_production("prd", "production")]
    #[case::other("gitlab.test", "testing")]
    #[case::no_known_word("eu-1", "other")]
    fn guesses_tiers(#[case] name: &str, #[case] tier: &str) {
        assert_eq!(guess_tier(name), tier);
    }
}
