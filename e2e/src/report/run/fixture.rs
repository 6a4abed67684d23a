//! Two runs to report: one in which all is well, and one in which nothing is.

use crate::record::{Check, Failure, Job, Pipeline, Project, Record, Span, Step, Verdict};

/// What a job could have written to break a report that believes it.
pub(super) const NASTY: &str =
    "\x1b[31;1merror\x1b[0m: </script></style>]]> <img src=x onerror=alert(1)> & | `x` *y* \"z\" 'q' \0\x08";

/// Everything passes.
pub(super) fn passed() -> Record {
    let pipelines = vec![
        pipeline(7, "push", "feature/e2e", "success", (0.4, 95.2), of_branch()),
        pipeline(
            8,
            "deploy_review again",
            "feature/e2e",
            "success",
            (128.1, 9.7),
            vec![ran("deploy_review", "review", 128.4, 9.1)],
        ),
        pipeline(9, "tag", "v1.2.0", "success", (144.0, 14.2), of_tag()),
        pipeline(
            10,
            "play deploy_live",
            "v1.2.0",
            "success",
            (158.4, 8.8),
            vec![on(ran("deploy_live", "deploy", 158.6, 8.5), "live")],
        ),
    ];
    let mut checks = all("dev", 96.0, 7);
    checks.extend(all("live", 168.0, 4));
    for check in checks.iter_mut().filter(|check| check.name == "scraping") {
        *check = Check {
            verdict: Verdict::NotRun,
            not_run: "there is no Prometheus (`--prometheus`)".to_owned(),
            evidence: Vec::new(),
            took: 0.0,
            ..check.clone()
        };
    }
    let steps = vec![
        step("Cluster, registry and add-ons", 0.0, 58.3, "cluster gitlab-k8s-demo stands"),
        step(
            "A push to branch feature/e2e",
            0.4,
            95.2,
            "Pipeline 7 for branch feature/e2e, commit 4f2a9c11: success, 95.2 s (5 passed, 1 manual)",
        ),
        step("The checks on dev", 96.0, 31.9, "7 passed"),
        step("The same commit again", 128.0, 15.8, "new pods, 1204 requests meanwhile, none failed"),
        step(
            "Tag v1.2.0",
            144.0,
            14.3,
            "Pipeline 9 for tag v1.2.0, commit 4f2a9c11: success, 14.2 s (4 passed, 1 manual)",
        ),
        step(
            "deploy_live is played",
            158.3,
            9.0,
            "Pipeline 10 for tag v1.2.0, commit 4f2a9c11: success, 8.8 s (1 passed)",
        ),
        step("The checks on live", 167.5, 14.0, "4 passed"),
        step("Everything is taken down", 181.6, 10.8, "nothing is left"),
    ];
    let spans = spans(&pipelines, &checks);
    Record { took: 192.4, overhead: 5.2, verdict: Verdict::Passed, steps, pipelines, checks, spans, ..begun() }
}

/// A job, two checks and a step fail; others are retried, allowed to fail, manual, skipped and interrupted.
pub(super) fn failed() -> Record {
    let (pipelines, checks) = (failed_pipelines(), failed_checks());
    let mut steps = vec![
        step("Cluster, registry and add-ons", 0.0, 58.3, "cluster gitlab-k8s-demo stands"),
        step(
            "A push to branch feature/e2e",
            0.4,
            95.2,
            "Pipeline 11 for branch feature/e2e, commit 4f2a9c11: success, 95.2 s (5 passed, 1 manual)",
        ),
        Step { verdict: Verdict::Failed, ..step("The checks on dev", 96.0, 31.9, "readiness, service") },
        Step {
            verdict: Verdict::Failed,
            ..step(
                "The same commit again",
                128.0,
                66.2,
                "Pipeline 12 for branch feature/e2e, commit 4f2a9c11: failed, 66.0 s (2 passed, 1 failed, 1 skipped, 1 canceled)",
            )
        },
    ];
    steps.push(Step {
        verdict: Verdict::NotRun,
        took: 0.0,
        ..step("dev is stopped", 194.3, 0.0, "no job stops it: deploy_review has no on_stop")
    });
    let mut spans = spans(&pipelines, &checks);
    spans.push(Span {
        lane: "load".to_owned(),
        name: "GET / on dev".to_owned(),
        start: 128.0,
        end: 248.0,
        verdict: Verdict::Interrupted,
    });
    let broken = Some("checks failed: readiness, service of dev".to_owned());
    let project =
        Project { uncommitted: 3, title: "Probes: <fast> & `careful` | at last".to_owned(), ..begun().project };
    Record {
        id: "1b2c3d4e".to_owned(),
        took: 248.2,
        verdict: Verdict::Failed,
        broken,
        project,
        steps,
        pipelines,
        checks,
        spans,
        ..begun()
    }
}

fn failed_pipelines() -> Vec<Pipeline> {
    let mut jobs = of_branch();
    jobs[1] = Job { attempts: 2, took: 31.4, why: "exit code 101, is tried again".to_owned(), ..jobs[1].clone() };
    jobs.insert(
        2,
        Job {
            status: "failed".to_owned(),
            allow_failure: true,
            why: "exit code 3".to_owned(),
            last_lines: vec!["2 words are misspelled".to_owned()],
            ..ran("spelling of every page in the docs", "test", 0.8, 4.4)
        },
    );
    let failing = Job {
        status: "failed".to_owned(),
        why: "script failed: exit code 1".to_owned(),
        log: Some("logs/2/deploy_review #1.log".to_owned()),
        last_lines: vec![
            "$ kubectl rollout status -f deployment.yaml --timeout=180s".to_owned(),
            "Waiting for deployment \"gitlab-k8s-demo-dev\" rollout to finish: 0 of 2 updated replicas are available…"
                .to_owned(),
            NASTY.to_owned(),
            format!("a line that is long: {}", "0123456789abcdef".repeat(16)),
        ],
        ..on(ran("deploy_review", "review", 131.0, 62.1), "dev")
    };
    let again = vec![
        ran("compile", "build", 128.4, 1.1),
        ran("image_build", "release", 129.8, 1.0),
        failing,
        unstarted("smoke <b>|`*_", "deploy", "skipped"),
        unstarted("notify", "deploy", "canceled"),
    ];
    vec![
        pipeline(11, "push", "feature/e2e", "success", (0.4, 95.2), jobs),
        pipeline(12, "deploy_review again", "feature/e2e", "failed", (128.1, 66.0), again),
    ]
}

fn failed_checks() -> Vec<Check> {
    let mut checks = all("dev", 96.0, 9);
    checks[2] = Check {
        verdict: Verdict::NotRun,
        not_run: "the pipeline's account is not known (`--deployer-kubeconfig`)".to_owned(),
        evidence: Vec::new(),
        took: 0.0,
        ..checks[2].clone()
    };
    checks[4] = Check {
        verdict: Verdict::Failed,
        failure: Some(Failure {
            expected: "no endpoint before /health is 200".to_owned(),
            seen: "an endpoint while it is 503: starting <since> 2 s".to_owned(),
            object: "Service gitlab/gitlab-k8s-demo-dev".to_owned(),
            details: vec![
                "Pod gitlab-k8s-demo-dev-7d9c-x2lqp: Running, not Ready".to_owned(),
                "event: Warning Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503 (x4)"
                    .to_owned(),
                NASTY.to_owned(),
            ],
            cause: "there is no readiness probe, or it asks something that says yes too early".to_owned(),
            fix: "let readinessProbe ask /health of port http-metrics".to_owned(),
        }),
        ..checks[4].clone()
    };
    checks[7] = Check {
        verdict: Verdict::Failed,
        evidence: Vec::new(),
        failure: Some(Failure { expected: "200".to_owned(), seen: NASTY.to_owned(), ..Failure::default() }),
        ..checks[7].clone()
    };
    checks
}

const CHECKS: [(&str, &str, f64, &[&str]); 11] = [
    (
        "registry",
        "the registry asks for a login, and the pods run what the tag stands for",
        0.8,
        &["401 without a login", "2 pods run sha256:9c1f6e2d of tag feature-e2e"],
    ),
    (
        "pull-secret",
        "pods pull with the pull secret, and without it nobody does",
        6.2,
        &["a pod without the secret: ErrImagePull, 401 Unauthorized"],
    ),
    (
        "rbac",
        "the pipeline's account may do what its jobs do, and nothing elsewhere",
        0.3,
        &["may: 14 of 14 in gitlab", "may not: list secrets in kube-system"],
    ),
    (
        "deployment",
        "every replica is available, with its labels and without privileges",
        0.2,
        &["2 of 2 replicas are available"],
    ),
    (
        "readiness",
        "a pod gets no traffic before /health is 200, and gets it then",
        8.4,
        &["not ready 12 times while it started, and no endpoint", "an endpoint 1.1 s after the first 200"],
    ),
    (
        "liveness",
        "a pod that hangs is started again, and traffic does not notice",
        21.7,
        &["restarted after 15.2 s", "812 requests meanwhile, none failed"],
    ),
    (
        "scraping",
        "Prometheus has every pod up by its annotations, and counts every request",
        11.3,
        &["2 targets up", "100 requests counted"],
    ),
    ("service", "every pod answers through the Service", 0.4, &["2 of 2 pods have answered 40 requests"]),
    (
        "ingress",
        "the host answers, an unknown one does not, environments never mix",
        0.6,
        &["dev.gitlab-k8s-demo.test: 200", "unknown.gitlab-k8s-demo.test: 404"],
    ),
    ("version", "what runs is the commit that was pushed, and its log says so", 0.2, &["4f2a9c11"]),
    ("rollout", "an update and a deleted pod cost no request", 9.9, &["1530 requests, none failed"]),
];

fn begun() -> Record {
    let pair = |(one, other): (&str, &str)| (one.to_owned(), other.to_owned());
    Record {
        id: "0a1b2c3d".to_owned(),
        began_at: "2026-03-07T16:05:00Z".to_owned(),
        project: Project {
            path: "acme/gitlab-ci-k8s-demo".to_owned(),
            commit: "4f2a9c11d07be83a5c6e1f20987654321fedcba0".to_owned(),
            title: "Deployments wait for their probes".to_owned(),
            uncommitted: 0,
        },
        versions: [
            ("e2e", "0.1.0"),
            ("Docker", "28.5.1"),
            ("Kubernetes", "v1.32.3"),
            ("container runtime", "containerd://2.0.2"),
            ("Ingress controller", "registry.gitlab-k8s-demo.test/ingress-controller:0123456789abcdef"),
        ]
        .map(pair)
        .to_vec(),
        commands: [
            ("everything that was deployed", "kubectl --kubeconfig /x/kubeconfig --namespace gitlab get all,ingress"),
            ("the service on dev", "curl --header 'Host: dev.gitlab-k8s-demo.test' http://127.0.0.1:8080/"),
        ]
        .map(pair)
        .to_vec(),
        ..Record::default()
    }
}

fn step(name: &str, start: f64, took: f64, outcome: &str) -> Step {
    Step { name: name.to_owned(), verdict: Verdict::Passed, start, took, outcome: outcome.to_owned() }
}

fn of_branch() -> Vec<Job> {
    let needing = |needs: &[&str], job| Job { needs: Some(needs.iter().map(|it| (*it).to_owned()).collect()), ..job };
    vec![
        ran("test", "test", 0.5, 38.9),
        ran("test2", "test", 0.6, 31.2),
        needing(&[], ran("compile", "build", 0.7, 44.0)),
        needing(&["compile"], ran("image_build", "release", 58.5, 21.3)),
        needing(&["image_build", "test", "test2"], on(ran("deploy_review", "review", 80.0, 15.4), "dev")),
        unstarted("stop_review", "review", "manual"),
    ]
}

fn of_tag() -> Vec<Job> {
    vec![
        ran("test", "test", 144.2, 2.0),
        ran("test2", "test", 144.2, 2.4),
        ran("compile", "build", 146.9, 3.1),
        ran("image_build", "release", 150.2, 7.6),
        unstarted("deploy_live", "deploy", "manual"),
    ]
}

fn ran(name: &str, stage: &str, start: f64, took: f64) -> Job {
    Job {
        name: name.to_owned(),
        stage: stage.to_owned(),
        status: "success".to_owned(),
        start: Some(start),
        took,
        attempts: 1,
        ..Job::default()
    }
}

fn unstarted(name: &str, stage: &str, status: &str) -> Job {
    Job { status: status.to_owned(), start: None, attempts: 0, ..ran(name, stage, 0.0, 0.0) }
}

fn on(job: Job, environment: &str) -> Job {
    let url = format!("http://{environment}.gitlab-k8s-demo.test");
    Job { environment: Some(environment.to_owned()), environment_url: Some(url), ..job }
}

fn pipeline(id: u64, title: &str, ref_name: &str, status: &str, (start, took): (f64, f64), jobs: Vec<Job>) -> Pipeline {
    let mut stages: Vec<_> = jobs.iter().map(|job| job.stage.clone()).collect();
    stages.dedup();
    Pipeline {
        id,
        title: title.to_owned(),
        ref_name: ref_name.to_owned(),
        is_tag: ref_name.starts_with('v'),
        status: status.to_owned(),
        start,
        took,
        stages,
        jobs,
    }
}

fn check(environment: &str, start: f64, (name, proves, took, evidence): (&str, &str, f64, &[&str])) -> Check {
    Check {
        name: name.to_owned(),
        environment: environment.to_owned(),
        proves: proves.to_owned(),
        verdict: Verdict::Passed,
        start,
        took,
        evidence: evidence.iter().map(|it| (*it).to_owned()).collect(),
        ..Check::default()
    }
}

fn all(environment: &str, start: f64, how_many: usize) -> Vec<Check> {
    CHECKS.iter().take(how_many).map(|it| check(environment, start, *it)).collect()
}

fn spans(pipelines: &[Pipeline], checks: &[Check]) -> Vec<Span> {
    let span = |lane: &str, name: &str, start: f64, took: f64, verdict| Span {
        lane: lane.to_owned(),
        name: name.to_owned(),
        start,
        end: start + took,
        verdict,
    };
    let mut spans: Vec<_> = [
        ("setup", "registry", 0.1, 1.4),
        ("images", "kind-node", 0.1, 6.0),
        ("images", "prometheus", 0.2, 9.8),
        ("setup", "cluster", 6.1, 31.0),
        ("setup", "owner", 37.1, 2.2),
        ("setup", "ingress controller", 37.2, 14.8),
        ("setup", "prometheus", 37.3, 20.9),
    ]
    .into_iter()
    .map(|(lane, name, start, took)| span(lane, name, start, took, Verdict::Passed))
    .collect();
    for pipeline in pipelines {
        for job in &pipeline.jobs {
            let verdict = if job.status == "success" { Verdict::Passed } else { Verdict::Failed };
            spans.extend(
                job.start.map(|start| span(&format!("pipeline {}", pipeline.id), &job.name, start, job.took, verdict)),
            );
        }
    }
    for check in checks.iter().filter(|check| check.verdict != Verdict::NotRun) {
        spans.push(span(&format!("checks {}", check.environment), &check.name, check.start, check.took, check.verdict));
    }
    spans
}
