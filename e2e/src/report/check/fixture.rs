//! Reports for tests: one that passes, with a check that does not run, and one with failures in two environments.

use crate::record::check_report::{
    API_VERSION, CheckReport, CheckedEnvironment, Cluster, Finding, KIND, Mode, Product, Profile, ReportedCheck,
};
use crate::record::{Check, Failure, Verdict};

/// Every check that runs passes. The first one does not run.
pub(crate) fn passed() -> CheckReport {
    CheckReport {
        verdict: Verdict::Passed,
        environments: vec![environment("dev")],
        checks: vec![
            skipped_check("dev", "registry", Profile::Extended, "the registry's login is not known (`--registry`)"),
            passed_check("dev", "deployment", 0.2, &["2 of 2 replicas are available"]),
            passed_check(
                "dev",
                "readiness",
                8.4,
                &["not ready 12 times while it started", "an endpoint 1.1 s after the first 200"],
            ),
        ],
        ..template()
    }
}

/// One check of each environment fails: the first with every detail that a failure can have, the second with as few as possible.
pub(crate) fn failed() -> CheckReport {
    let mut readiness = passed_check("dev", "readiness", 120.04, &[]);
    readiness.check.failure = Some(Failure {
        expected: "no endpoint until /health returns 200".to_owned(),
        seen: "an endpoint while /health returns 503: starting <since> 2 s".to_owned(),
        object: "Service gitlab/gitlab-k8s-demo-dev".to_owned(),
        details: [
            "Pod web-1: Running, not Ready",
            "event: Warning Unhealthy",
            "\x1b[31mred\x1b[0m </style>",
            "the end",
        ]
        .map(str::to_owned)
        .to_vec(),
        cause: "Deployment gitlab/gitlab-k8s-demo-dev: there is no readiness probe".to_owned(),
        is_seen: true,
        fix: "make the readinessProbe request /health on port http-metrics".to_owned(),
        ..Failure::default()
    });
    let mut ingress = passed_check("live", "ingress", 0.6, &[]);
    ingress.profile = Profile::Extended;
    ingress.check.failure =
        Some(Failure { expected: "200".to_owned(), seen: "404 page not found".to_owned(), ..Failure::default() });
    for check in [&mut readiness, &mut ingress] {
        check.check.verdict = Verdict::Failed;
    }
    let scraping =
        skipped_check("live", "scraping", Profile::Extended, "no Service is named prometheus (`--prometheus`)");
    CheckReport {
        verdict: Verdict::Failed,
        mode: Mode::ReadOnly,
        environments: vec![environment("dev"), environment("live")],
        checks: vec![
            passed_check("dev", "deployment", 0.2, &["2 of 2 replicas are available"]),
            readiness,
            scraping,
            ingress,
        ],
        ..template()
    }
}

fn template() -> CheckReport {
    let finding = |subject: &str, value: Option<&str>, reason: &str| Finding {
        subject: subject.to_owned(),
        value: value.map(str::to_owned),
        reason: reason.to_owned(),
    };
    CheckReport {
        api_version: API_VERSION,
        kind: KIND,
        product: Product { name: "e2e", version: "0.1.0" },
        began_at: "2026-03-07T16:05:00Z".to_owned(),
        duration: 121.5,
        verdict: Verdict::NotRun,
        mode: Mode::Default,
        cluster: Cluster {
            server: "https://192.0.2.1:6443".to_owned(),
            kubernetes: Some("v1.37.0".to_owned()),
            distribution: Some("kind".to_owned()),
            nodes: Some(3),
            architectures: vec!["amd64".to_owned(), "arm64".to_owned()],
        },
        environments: Vec::new(),
        found: vec![
            finding("namespace", Some("gitlab"), "the only one with Deployments that have the labels"),
            finding("Ingress controller", Some("192.0.2.10:80"), "the status of Ingress gitlab/gitlab-k8s-demo-dev"),
            finding("Prometheus", None, "no Service is named prometheus; pass it with `--prometheus`"),
        ],
        checks: Vec::new(),
    }
}

fn environment(name: &str) -> CheckedEnvironment {
    CheckedEnvironment {
        name: name.to_owned(),
        namespace: "gitlab".to_owned(),
        host: format!("{name}.gitlab-k8s-demo.test"),
    }
}

fn passed_check(environment: &str, name: &str, duration: f64, evidence: &[&str]) -> ReportedCheck {
    let check = Check {
        name: name.to_owned(),
        environment: environment.to_owned(),
        proves: format!("{name} is as it must be"),
        verdict: Verdict::Passed,
        start: 1.5,
        duration,
        evidence: evidence.iter().map(|line| (*line).to_owned()).collect(),
        ..Check::default()
    };
    let reproduce = [
        format!("kubectl --context demo --namespace gitlab get pods --selector ref={environment}"),
        format!("curl --include --header 'Host: {environment}.gitlab-k8s-demo.test' http://192.0.2.10:80/health"),
    ];
    ReportedCheck { id: check.id(), profile: Profile::Core, check, reproduce: reproduce.to_vec() }
}

fn skipped_check(environment: &str, name: &str, profile: Profile, reason: &str) -> ReportedCheck {
    let mut check = passed_check(environment, name, 0.0, &[]);
    check.profile = profile;
    check.check.verdict = Verdict::NotRun;
    reason.clone_into(&mut check.check.not_run);
    check
}
