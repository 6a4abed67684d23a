//! The permissions that `e2e check` needs in a cluster, in each mode.
//!
//! The files in `manifests/checks/rights` are computed: a test runs the checks with an account that has only these permissions, and
//! computes them again from the requests that the API server has logged. `audit` computes, `yaml` writes the file.

mod audit;
mod yaml;

#[cfg(test)]
mod tests;

pub use self::audit::{AuditError, Rights};
use crate::record::check_report::Mode;

impl Mode {
    /// The manifest with the permissions: a `ClusterRole`, and Roles for single namespaces.
    pub fn rights(self) -> &'static str {
        match self {
            Self::Default => include_str!("../../../../manifests/checks/rights/default.yaml"),
            Self::ReadOnly => include_str!("../../../../manifests/checks/rights/read-only.yaml"),
            Self::Deploy => include_str!("../../../../manifests/checks/rights/deploy.yaml"),
        }
    }

    /// How `e2e check` is called in this mode.
    fn command(self) -> &'static str {
        match self {
            Self::Default => "e2e check",
            Self::ReadOnly => "e2e check --read-only",
            Self::Deploy => "e2e check --deploy IMAGE",
        }
    }

    /// The name of the `ClusterRole` and of the Roles.
    fn role(self) -> &'static str {
        match self {
            Self::Default => "e2e-check",
            Self::ReadOnly => "e2e-check-read-only",
            Self::Deploy => "e2e-check-deploy",
        }
    }
}
