//! The report of all checks of a cluster.

use super::CHECKS;
use super::discovery::{Choice, Found};
use super::environment::Environment;
use super::reproduce::Access;
use crate::record::check_report::{
    API_VERSION, CheckReport, CheckedEnvironment, Cluster, Finding, KIND, Mode, Product, Profile, ReportedCheck,
};
use crate::record::{Check, Verdict};

/// How to reach the environments, to show a person how to reproduce the result of a check.
pub struct AccessList(Vec<Access>);

impl AccessList {
    /// `kubectl` is the beginning of a command for the cluster.
    pub fn new(found: &Found, kubectl: &str) -> Self {
        let access = |environment: &Environment| Access {
            has_http_route: found.with_http_route.contains(&environment.reference),
            ..Access::new(environment, kubectl, found.deployer_kubectl.clone(), found.is_forwarded())
        };
        Self(found.environments.iter().map(access).collect())
    }

    fn environments(&self) -> Vec<CheckedEnvironment> {
        let environment = |access: &Access| CheckedEnvironment {
            name: access.reference.clone(),
            namespace: access.namespace.clone(),
            host: access.host.clone(),
        };
        self.0.iter().map(environment).collect()
    }

    fn commands(&self, check: &Check) -> Vec<String> {
        let access = self.0.iter().find(|access| access.reference == check.environment);
        access.map(|access| access.commands(&check.name)).unwrap_or_default()
    }
}

/// When the checks ran, and how they ended.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Start time, RFC 3339.
    pub began_at: String,
    /// Seconds.
    pub duration: f64,
    pub verdict: Verdict,
    pub mode: Mode,
}

/// Creates the report.
pub fn report(
    summary: Summary,
    cluster: Cluster,
    choices: &[Choice],
    accesses: &AccessList,
    checks: Vec<Check>,
) -> CheckReport {
    let Summary { began_at, duration, verdict, mode } = summary;
    let finding = |Choice { subject, value, reason }: &Choice| Finding {
        subject: (*subject).to_owned(),
        value: value.clone(),
        reason: reason.clone(),
    };
    let reported = |check: Check| ReportedCheck {
        id: check.id(),
        profile: profile(&check.name),
        reproduce: accesses.commands(&check),
        check,
    };
    CheckReport {
        api_version: API_VERSION,
        kind: KIND,
        product: Product::THIS,
        began_at,
        duration,
        verdict,
        mode,
        cluster,
        environments: accesses.environments(),
        found: choices.iter().map(finding).collect(),
        checks: checks.into_iter().map(reported).collect(),
    }
}

fn profile(name: &str) -> Profile {
    CHECKS.iter().find(|check| check.name == name).map_or(Profile::Extended, super::Check::profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise two environments could have checks with the same ID: check `b` of `x-a` and check `a-b` of `x`.
    #[test]
    fn no_check_name_ends_with_another_check_name() {
        for one in CHECKS {
            let ending = format!("-{}", one.name);
            assert!(!CHECKS.iter().any(|other| other.name.ends_with(&ending)), "{ending}");
        }
    }

    #[test]
    fn checks_of_systems_that_not_every_cluster_has_are_extended() {
        let extended: Vec<&str> =
            CHECKS.iter().filter(|check| check.profile() == Profile::Extended).map(|check| check.name).collect();
        assert_eq!(extended, ["registry", "rbac", "scraping", "ingress", "rollout"]);
    }
}
