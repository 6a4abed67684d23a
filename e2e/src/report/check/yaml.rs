//! The YAML report: statistics of each environment, in the form of Gateway API's conformance report.
//! <https://gateway-api.sigs.k8s.io/concepts/conformance/#conformance-profiles>
//!
//! Each environment is a profile. A check that ran and did not pass is *failed*, and a check that did not run is *skipped*.

use serde::Serialize;

use crate::record::Verdict;
use crate::record::check_report::{API_VERSION, CheckReport, Cluster, Mode, Product, Profile, ReportedCheck};
use crate::report::run::words::by_environment;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConformanceReport<'report> {
    api_version: &'static str,
    kind: &'static str,
    date: &'report str,
    product: &'report Product,
    mode: Mode,
    cluster: &'report Cluster,
    profiles: Vec<ProfileReport<'report>>,
}

#[derive(Serialize)]
struct ProfileReport<'report> {
    /// The environment.
    name: &'report str,
    /// Missing if no check of this profile was selected: an empty selection must not count as a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    core: Option<Status<'report>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended: Option<Status<'report>>,
    summary: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'report> {
    result: Outcome,
    statistics: Statistics,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_checks: Vec<&'report str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped_checks: Vec<&'report str>,
}

/// Gateway API's words.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// Every check passed.
    Success,
    /// No check failed, and at least one was skipped.
    Partial,
    Failure,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statistics {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// The report as YAML.
///
/// # Errors
/// If it cannot be serialized, which would be a bug.
pub fn text(report: &CheckReport) -> Result<String, serde_saphyr::ser::Error> {
    let environments = by_environment(&report.checks);
    serde_saphyr::to_string(&ConformanceReport {
        api_version: API_VERSION,
        kind: "ConformanceReport",
        date: &report.began_at,
        product: &report.product,
        mode: report.mode,
        cluster: &report.cluster,
        profiles: environments.iter().map(|(name, checks)| profile(name, checks)).collect(),
    })
}

fn profile<'report>(name: &'report str, checks: &[&'report ReportedCheck]) -> ProfileReport<'report> {
    let (core, extended) = (status(checks, Profile::Core), status(checks, Profile::Extended));
    let sentences =
        [("Core", &core), ("Extended", &extended)].map(|(name, status)| Some(sentence(name, status.as_ref()?)));
    let summary = sentences.into_iter().flatten().collect::<Vec<_>>().join(" ");
    ProfileReport { name, core, extended, summary }
}

fn status<'report>(checks: &[&'report ReportedCheck], profile: Profile) -> Option<Status<'report>> {
    let names = |matches: fn(Verdict) -> bool| {
        let checks = checks.iter().filter(|it| it.profile == profile && matches(it.check.verdict));
        checks.map(|it| &*it.check.name).collect::<Vec<&str>>()
    };
    let passed = names(|verdict| verdict == Verdict::Passed);
    let failed_checks = names(Verdict::is_failure);
    let skipped_checks = names(|verdict| verdict == Verdict::NotRun);
    if passed.is_empty() && failed_checks.is_empty() && skipped_checks.is_empty() {
        return None;
    }
    let result = match (failed_checks.len(), skipped_checks.len()) {
        (0, 0) => Outcome::Success,
        (0, _) => Outcome::Partial,
        _ => Outcome::Failure,
    };
    let statistics = Statistics { passed: passed.len(), failed: failed_checks.len(), skipped: skipped_checks.len() };
    Some(Status { result, statistics, failed_checks, skipped_checks })
}

fn sentence(profile: &str, status: &Status<'_>) -> String {
    let Statistics { passed, failed, skipped } = status.statistics;
    match status.result {
        Outcome::Success => format!("{profile} checks passed."),
        Outcome::Partial => format!("{profile} checks: {passed} passed, {skipped} skipped."),
        Outcome::Failure => format!("{profile} checks: {failed} failed, {passed} passed, {skipped} skipped."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::check::fixture;

    #[test]
    fn everything_passes() {
        insta::assert_snapshot!(text(&fixture::passed()).unwrap());
    }

    #[test]
    fn something_failed() {
        insta::assert_snapshot!(text(&fixture::failed()).unwrap());
    }

    #[test]
    fn a_yaml_reader_gets_the_same_values() {
        let value: serde_json::Value = serde_saphyr::from_str(&text(&fixture::failed()).unwrap()).unwrap();
        assert_eq!(value["date"], "2026-03-07T16:05:00Z");
        assert_eq!(value["profiles"][0]["core"]["statistics"]["Failed"], 1);
    }
}
