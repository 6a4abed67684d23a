//! The facts of the build. `build.rs` sets them; `/`, `/version`, `--version` and `app_build_info` show them.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

/// The facts of a build. A missing fact is `unknown`.
#[derive(Clone, Debug, Serialize)]
pub struct BuildInfo {
    /// `VERSION`, else the git tag of the pipeline, else the package's version.
    pub version: String,
    /// The full commit hash.
    pub revision: String,
    /// Branch or tag.
    pub branch: String,
    /// `BUILD_USER`, else the GitLab user who started the pipeline.
    pub build_user: String,
    /// RFC 3339, UTC: `SOURCE_DATE_EPOCH`, else the time of the commit. Never the time of the build.
    pub build_date: String,
    /// The compiler, as `rustc --version` prints it.
    pub rustc: String,
}

impl BuildInfo {
    /// The facts of this build.
    pub fn current() -> Self {
        Self {
            version: env!("BUILD_VERSION").to_owned(),
            revision: env!("BUILD_REVISION").to_owned(),
            branch: env!("BUILD_BRANCH").to_owned(),
            build_user: env!("BUILD_USER").to_owned(),
            build_date: rfc3339(env!("BUILD_DATE")),
            rustc: env!("BUILD_RUSTC").to_owned(),
        }
    }
}

impl fmt::Display for BuildInfo {
    /// The layout is that of Prometheus' own programs and of the article's service.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, revision, branch, build_user, build_date, rustc } = self;
        writeln!(formatter, "app, version {version} (branch: {branch}, revision: {revision})")?;
        writeln!(formatter, "  build user:  {build_user}")?;
        writeln!(formatter, "  build date:  {build_date}")?;
        write!(formatter, "  rustc:       {rustc}")
    }
}

/// Converts seconds since the epoch to a date. Returns any other text unchanged.
fn rfc3339(seconds: &str) -> String {
    seconds
        .parse()
        .ok()
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        // humantime panics on dates after the year 9999, which ends 253,402,300,800 s after the epoch.
        .filter(|time| time.duration_since(UNIX_EPOCH).is_ok_and(|age| age.as_secs() < 253_402_300_800))
        .map_or_else(|| seconds.to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::epoch("0", "1970-01-01T00:00:00Z")]
    #[case::a_commit("1571000000", "2019-10-13T20:53:20Z")]
    #[case::not_set("unknown", "unknown")]
    #[case::beyond_the_calendar("253402300800", "253402300800")]
    fn dates_are_rfc3339(#[case] seconds: &str, #[case] expected: &str) {
        assert_eq!(rfc3339(seconds), expected);
    }

    #[test]
    fn the_build_information_names_the_compiler() {
        assert!(BuildInfo::current().rustc.starts_with("rustc "));
    }
}
