//! The version of GitLab whose behavior is imitated.

use std::fmt;
use std::str::FromStr;

/// A version of GitLab, without its patch level.
///
/// ```
/// use gitlab_ci::gitlab_version::GitlabVersion;
///
/// assert_eq!(GitlabVersion::default().to_string(), "18.11");
/// assert!("17.11".parse::<GitlabVersion>().unwrap() < GitlabVersion::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitlabVersion {
    major: u8,
    minor: u8,
}

/// The oldest version whose words are known.
const OLDEST: GitlabVersion = GitlabVersion::new(17, 11);

/// The newest major version. Its latest minor version is `19.x`.
const NEWEST_MAJOR: u8 = 19;

impl GitlabVersion {
    /// The version `major.minor`.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// `CI_SERVER_VERSION_MAJOR`, `CI_SERVER_VERSION_MINOR` and `CI_SERVER_VERSION_PATCH`.
    pub fn parts(self) -> [String; 3] {
        // `19.x` stands for the newest minor version that is known.
        let minor = if self.minor == u8::MAX { 1 } else { self.minor };
        let patch = if self == Self::default() { "2" } else { "0" };
        [self.major.to_string(), minor.to_string(), patch.to_owned()]
    }
}

impl Default for GitlabVersion {
    fn default() -> Self {
        Self::new(18, 11)
    }
}

impl fmt::Display for GitlabVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.minor {
            u8::MAX => write!(formatter, "{}.x", self.major),
            minor => write!(formatter, "{}.{minor}", self.major),
        }
    }
}

impl FromStr for GitlabVersion {
    type Err = String;

    /// Parses `17.11`, `18.11.2` or `19.x`, the newest version of a major version.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('.');
        let major = parts.next().and_then(|part| part.parse().ok());
        let minor = parts.next().and_then(|part| if part == "x" { Some(u8::MAX) } else { part.parse().ok() });
        let version = major.zip(minor).map(|(major, minor)| Self { major, minor });
        let version = version.filter(|version| *version >= OLDEST && version.major <= NEWEST_MAJOR);
        version
            .ok_or_else(|| format!("expected a version from {OLDEST} to {NEWEST_MAJOR}.x, such as {}", Self::default()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::oldest("17.11", "17.11")]
    #[case::with_patch_level("18.11.2", "18.11")]
    #[case::newest("19.x", "19.x")]
    fn parses_versions(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(text.parse::<GitlabVersion>().unwrap().to_string(), expected);
    }

    #[rstest]
    #[case::too_old("17.10")]
    #[case::too_new("20.0")]
    #[case::no_minor_version("18")]
    #[case::word("latest")]
    fn rejects_other_texts(#[case] text: &str) {
        let message = text.parse::<GitlabVersion>().unwrap_err();
        assert_eq!(message, "expected a version from 17.11 to 19.x, such as 18.11");
    }
}
