//! Records for tests: a run that passed, a run that failed, and an interrupted run.

// The browser tests include this file, and would otherwise look for `parts` in their own directory.
#[path = "fixture/parts.rs"]
mod parts;

use self::parts::{branch_jobs, first_checks, on, pipeline, ran, spans, step, tag_jobs, unstarted};
use crate::record::{Check, Failure, Job, Pipeline, Project, Record, Span, Step, Verdict};

/// Output of a job that would break a report that does not escape it.
pub(super) const NASTY: &str =
    "\x1b[31;1merror\x1b[0m: </script></style>]]> <img src=x onerror=alert(1)> & | `x` *y* \"z\" 'q' \0\x08";

/// A log as it is stored, with sections, colors, and lines that would break a page.
pub(super) const LOG: &str = concat!(
    "2026-03-07T16:05:00.000001Z 00O section_start:1772899500:get_sources\r\x1b[0K\n",
    "2026-03-07T16:05:00.000002Z 00O+\x1b[0;36;1mGetting source from Git repository\x1b[0;m\n",
    "2026-03-07T16:05:00.000003Z 00O Checking out 4f2a9c11 as detached HEAD (ref is feature/e2e)...\n",
    "2026-03-07T16:05:02.000001Z 00O section_end:1772899502:get_sources\r\x1b[0K\n",
    "2026-03-07T16:05:02.000002Z 00O section_start:1772899502:step_script\r\x1b[0K\n",
    "2026-03-07T16:05:02.000003Z 00O+\x1b[0;36;1mExecuting \"step_script\" stage of the job script\x1b[0;m\n",
    "2026-03-07T16:05:02.000004Z 00O \x1b[32;1m$ make all\x1b[0;m\n",
    "2026-03-07T16:05:03.000001Z 00E \x1b[31merror\x1b[0m \x1b[33mwarning\x1b[0m \x1b[34mblue\x1b[0m \x1b[35mmagenta\x1b[0m \x1b[90mgray\x1b[0m\n",
    "2026-03-07T16:05:03.000002Z 00E </script></style>]]> <img src=x onerror=alert(1)> & |\x08\n",
    "2026-03-07T16:05:04.000001Z 00O section_end:1772899504:step_script\r\x1b[0K\n",
    "2026-03-07T16:05:04.000002Z 00O \x1b[32;1mJob succeeded\x1b[0;m\n",
);

/// Everything passes.
pub(super) fn passed() -> Record {
    let pipelines = vec![
        pipeline(7, "push", "feature/e2e", "success", (0.4, 95.2), branch_jobs()),
        pipeline(
            8,
            "deploy_review again",
            "feature/e2e",
            "success",
            (128.1, 15.6),
            vec![ran("deploy_review", "review", 128.4, 15.2)],
        ),
        pipeline(9, "tag", "v1.2.0", "success", (144.0, 14.2), tag_jobs()),
        pipeline(
            10,
            "play deploy_live",
            "v1.2.0",
            "success",
            (158.4, 8.8),
            vec![on(ran("deploy_live", "deploy", 158.6, 8.5), "live")],
        ),
    ];
    let mut checks = first_checks("review-feature-e2-tk2714", 96.0, 7);
    let mut on_live = first_checks("live", 168.0, 4);
    on_live[1].duration = 13.2;
    checks.extend(on_live);
    for check in checks.iter_mut().filter(|check| check.name == "scraping") {
        *check = Check {
            verdict: Verdict::NotRun,
            not_run: "the Service of Prometheus is not given (`--prometheus`)".to_owned(),
            evidence: Vec::new(),
            duration: 0.0,
            ..check.clone()
        };
    }
    let steps = vec![
        step("Cluster, registry and add-ons", 0.0, 58.3, "cluster gitlab-k8s-demo is up"),
        step(
            "A push to branch feature/e2e",
            0.4,
            95.2,
            "Pipeline 7 for branch feature/e2e, commit 4f2a9c11: success, 95.2 s (5 passed, 1 manual)",
        ),
        step("The checks on review-feature-e2-tk2714", 96.0, 31.9, "7 passed"),
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
        step("The cluster is removed", 181.6, 10.8, "nothing is left"),
    ];
    let mut spans = spans(&pipelines, &checks);
    spans.push(takedown(181.6, 192.4));
    Record {
        duration: 192.4,
        external: 186.389,
        overhead: 6.011,
        overhead_percent: 3.225,
        verdict: Verdict::Passed,
        steps,
        pipelines,
        checks,
        spans,
        ..begun()
    }
}

/// The user interrupts the run during the checks of the first environment.
pub(super) fn interrupted() -> Record {
    let pipelines = vec![pipeline(13, "push", "feature/e2e", "success", (0.4, 95.2), branch_jobs())];
    let mut checks = first_checks("review-feature-e2-tk2714", 96.0, 7);
    checks[4] = Check { verdict: Verdict::Interrupted, duration: 4.1, evidence: Vec::new(), ..checks[4].clone() };
    let mut unreached = checks.split_off(5);
    unreached.extend(first_checks("live", 0.0, 4));
    checks.extend(unreached.into_iter().map(|check| Check {
        verdict: Verdict::NotRun,
        not_run: "not reached".to_owned(),
        start: 111.2,
        duration: 0.0,
        evidence: Vec::new(),
        ..check
    }));
    let mut steps = vec![
        step("Cluster, registry and add-ons", 0.0, 58.3, "cluster gitlab-k8s-demo is up"),
        step(
            "A push to branch feature/e2e",
            0.4,
            95.2,
            "Pipeline 13 for branch feature/e2e, commit 4f2a9c11: success, 95.2 s (5 passed, 1 manual)",
        ),
        Step {
            verdict: Verdict::Interrupted,
            ..step("The checks on review-feature-e2-tk2714", 96.0, 4.2, "interrupted")
        },
        step("The cluster is removed", 100.3, 10.8, "nothing is left"),
    ];
    let unreached = [
        "The same commit again",
        "Tag v1.2.0",
        "deploy_live is played",
        "The checks on live",
        "review/feature-e2e is stopped",
    ];
    steps.extend(
        unreached.map(|name| Step {
            verdict: Verdict::NotRun,
            ..step(name, 111.2, 0.0, "an earlier step did not complete")
        }),
    );
    let mut spans = spans(&pipelines, &checks);
    spans.push(takedown(100.3, 111.1));
    Record {
        id: "2c3d4e5f".to_owned(),
        duration: 111.2,
        external: 109.533,
        overhead: 1.667,
        overhead_percent: 1.522,
        verdict: Verdict::Interrupted,
        steps,
        pipelines,
        checks,
        spans,
        ..begun()
    }
}

fn takedown(start: f64, end: f64) -> Span {
    Span { lane: "takedown".to_owned(), name: "cluster".to_owned(), start, end, verdict: Verdict::Passed }
}

/// A job, two checks and a step fail; other jobs are retried, allowed to fail, manual, skipped and canceled.
pub(super) fn failed() -> Record {
    let (pipelines, checks) = (failed_pipelines(), failed_checks());
    let mut steps = vec![
        step("Cluster, registry and add-ons", 0.0, 58.3, "cluster gitlab-k8s-demo is up"),
        step(
            "A push to branch feature/e2e",
            0.4,
            95.2,
            "Pipeline 11 for branch feature/e2e, commit 4f2a9c11: success, 95.2 s (5 passed, 1 manual)",
        ),
        Step {
            verdict: Verdict::Failed,
            ..step("The checks on review-feature-e2-tk2714", 96.0, 31.9, "readiness, service")
        },
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
        duration: 0.0,
        ..step("review/feature-e2e is stopped", 194.3, 0.0, "no job stops it: deploy_review has no on_stop")
    });
    let mut spans = spans(&pipelines, &checks);
    spans.push(Span {
        lane: "load".to_owned(),
        name: "GET / on review-feature-e2-tk2714".to_owned(),
        start: 128.0,
        end: 248.0,
        verdict: Verdict::Interrupted,
    });
    let broken = Some("checks failed: readiness, service of review-feature-e2-tk2714".to_owned());
    let project =
        Project { uncommitted: 3, title: "Probes: <fast> & `careful` | at last".to_owned(), ..begun().project };
    Record {
        id: "1b2c3d4e".to_owned(),
        duration: 248.2,
        external: 245.933,
        overhead: 2.267,
        overhead_percent: 0.922,
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
    let mut jobs = branch_jobs();
    jobs[1] = Job { attempts: 2, duration: 31.4, reason: "exit code 101, retried".to_owned(), ..jobs[1].clone() };
    jobs.insert(
        2,
        Job {
            status: "failed".to_owned(),
            allow_failure: true,
            reason: "exit code 3".to_owned(),
            last_lines: vec!["2 words are misspelled".to_owned()],
            ..ran("spelling of every page in the docs", "test", 0.8, 4.4)
        },
    );
    let failing = Job {
        status: "failed".to_owned(),
        reason: "script failed: exit code 1".to_owned(),
        log: Some("logs/2/deploy_review #1.log".to_owned()),
        last_lines: vec![
            "$ kubectl rollout status -f deployment.yaml --timeout=180s".to_owned(),
            "Waiting for deployment \"gitlab-k8s-demo-review-feature-e2-tk2714\" rollout to finish: 0 of 2 updated replicas are available…"
                .to_owned(),
            NASTY.to_owned(),
            format!("a line that is long: {}", "0123456789abcdef".repeat(16)),
        ],
        ..on(ran("deploy_review", "review", 131.0, 62.1), "review/feature-e2e")
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
    let mut checks = first_checks("review-feature-e2-tk2714", 96.0, 9);
    checks[2] = Check {
        verdict: Verdict::NotRun,
        not_run: "the pipeline's account is not given (`--deployer-kubeconfig`)".to_owned(),
        evidence: Vec::new(),
        duration: 0.0,
        ..checks[2].clone()
    };
    checks[4] = Check {
        verdict: Verdict::Failed,
        failure: Some(Failure {
            expected: "no endpoint until /health returns 200".to_owned(),
            seen: "an endpoint while /health returns 503: starting <since> 2 s".to_owned(),
            object: "Service gitlab/gitlab-k8s-demo-review-feature-e2-tk2714".to_owned(),
            details: vec![
                "Pod gitlab-k8s-demo-review-feature-e2-tk2714-7d9c-x2lqp: Running, not Ready".to_owned(),
                "event: Warning Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503 (x4)"
                    .to_owned(),
                NASTY.to_owned(),
                "    app | ready after 5 s".to_owned(),
                NASTY.to_owned(),
            ],
            cause: "there is no readiness probe, or its path succeeds too early".to_owned(),
            is_seen: true,
            fix: "make the readinessProbe request /health on port http-metrics".to_owned(),
            ..Failure::default()
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
            ("Docker", "28.5.2"),
            ("Kubernetes", "v1.37.0"),
            ("node", "Debian GNU/Linux 12 (bookworm), amd64"),
            ("container runtime", "containerd://2.3.4"),
            ("Ingress controller", "docker.io/library/traefik:v3.7.15"),
            ("image rust:1.97.1", "gitlab-ci-k8s-demo/rust:0123456789abcdef, sha256:9c1f6e2d07be83a5c6e1f20987654321fedcba0123456789abcdef0123456789"),
        ]
        .map(pair)
        .to_vec(),
        commands: [
            ("all deployed objects", "kubectl --kubeconfig /x/kubeconfig --namespace gitlab get all,ingress"),
            ("the service on review/feature-e2e, until stop_review has run", "curl --header 'Host: review-feature-e2-tk2714.gitlab-k8s-demo.test' http://127.0.0.1:8080/"),
        ]
        .map(pair)
        .to_vec(),
        commands_note: "The resources of this run were removed at its end. To keep them: make e2e E2E_FLAGS=--keep".to_owned(),
        ..Record::default()
    }
}
