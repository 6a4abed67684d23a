//! The report of `e2e check`: the document of `--format json`, and the input of the other reports.
//!
//! `docs/report.schema.json` publishes its form. Within one version, fields are only added. A field that is removed, renamed or
//! changed in meaning needs another [`API_VERSION`].

use serde::Serialize;

use super::{Check, Verdict};

/// The version of the document's form.
pub const API_VERSION: &str = "gitlab-ci-k8s-demo/v1";

/// The kind of the document.
pub const KIND: &str = "CheckReport";

/// The checks of the environments in a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    #[serde(rename = "apiVersion")]
    pub api_version: &'static str,
    pub kind: &'static str,
    /// The program that ran the checks.
    pub product: Product,
    /// Start time, RFC 3339.
    pub began_at: String,
    /// Duration in seconds.
    #[serde(rename = "took")]
    pub duration: f64,
    /// Passed, or failed, as the exit code of the command.
    pub verdict: Verdict,
    pub mode: Mode,
    pub cluster: Cluster,
    pub environments: Vec<CheckedEnvironment>,
    /// The inputs that were searched for in the cluster.
    pub found: Vec<Finding>,
    /// The checks, by environment.
    pub checks: Vec<ReportedCheck>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Product {
    pub name: &'static str,
    pub version: &'static str,
}

impl Product {
    /// This program.
    pub const THIS: Self = Self { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
}

/// The changes that the checks may make in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Temporary changes, which the checks revert.
    Default,
    /// No changes.
    ReadOnly,
    /// The service was deployed for the checks, and removed after them.
    Deploy,
}

impl Mode {
    /// The word for tables and pages, the same as in the document.
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::ReadOnly => "read-only",
            Self::Deploy => "deploy",
        }
    }
}

/// The cluster: its address, and what the API server reports about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// The address of the API server: `https://192.0.2.1:6443`.
    pub server: String,
    /// The version of the API server: `v1.37.0`.
    pub kubernetes: Option<String>,
    /// `kind`, `k3s`, `EKS`; nothing if it is not recognized.
    pub distribution: Option<String>,
    /// The number of nodes; nothing if the account may not list them.
    pub nodes: Option<usize>,
    /// The architectures of the nodes: `amd64`.
    pub architectures: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedEnvironment {
    /// The value of the label `ref`.
    pub name: String,
    pub namespace: String,
    pub host: String,
}

/// An input of the checks: what was found in the cluster, or why nothing was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub subject: String,
    /// The value that was found; `None` if nothing was found.
    pub value: Option<String>,
    /// Why it was chosen, or why nothing was found and what to do.
    pub reason: String,
}

/// A check with its place in the report.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedCheck {
    /// A name that is the same in every report: `dev-readiness`.
    pub id: String,
    pub profile: Profile,
    #[serde(flatten)]
    pub check: Check,
    /// Commands for a shell that show the same state.
    pub reproduce: Vec<String>,
}

impl AsRef<Check> for ReportedCheck {
    fn as_ref(&self) -> &Check {
        &self.check
    }
}

impl AsRef<Self> for Check {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// The requirements of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Only the cluster itself.
    Core,
    /// A system that not every cluster has: a registry with a login, an account of the pipeline, an Ingress controller, Prometheus.
    Extended,
}

impl Check {
    /// A name that is the same in every report: `dev-readiness`. It is unique, because no name of a check is the end of another one
    /// after a hyphen, as a test verifies.
    pub fn id(&self) -> String {
        format!("{}-{}", self.environment, self.name)
    }
}
