//! Simulated pipelines: the tests decide how each job ends.

use rstest::rstest;

use super::*;
use gitlab_ci::testing::plan;

/// Simulates a pipeline. The jobs in `failing` fail with the given exit code; all others succeed. Returns the jobs of each round,
/// joined by `+`.
fn play(text: &str, failing: &[(&str, i32)], choice: &JobSelection) -> (Schedule, Plan, Vec<String>) {
    let plan = plan(text);
    let mut schedule = Schedule::new(&plan, choice);
    let mut order = Vec::new();
    let mut now = Instant::now();
    loop {
        schedule.advance(now);
        let mut round = Vec::new();
        while let Some(job) = schedule.take() {
            round.push(job);
        }
        if round.is_empty() {
            match schedule.next_start() {
                Some(at) => now = at,
                None => return (schedule, plan, order),
            }
            continue;
        }
        let name = |job: &JobIndex| plan[*job].name.to_string();
        order.push(round.iter().map(name).collect::<Vec<_>>().join("+"));
        for job in round {
            let code = failing.iter().find(|(failing, _)| *failing == name(&job)).map(|(_, code)| *code);
            match code {
                Some(code) => {
                    schedule.end(job, Status::Failed, Some((FailureReason::ScriptFailure, Some(code))), "it failed")
                }
                None => schedule.end(job, Status::Success, None, ""),
            };
        }
    }
}

fn choice(only: &[&str], manual: &[&str]) -> JobSelection {
    let set = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    JobSelection { only: set(only), manual: set(manual), keep_going: false }
}

/// The rounds in which jobs run (`a+b` at the same time), and the pipeline's status.
fn rounds(text: &str, failing: &[(&str, i32)], manual: &[&str]) -> (Vec<String>, Status) {
    let (schedule, _, order) = play(text, failing, &choice(&[], manual));
    (order, schedule.status())
}

const STAGES: &str = "a: {script: x, stage: build}\nb: {script: x, stage: build}\nc: {script: x, stage: test}\n";

// https://docs.gitlab.com/ci/yaml/#stages, #needs, #when, #allow_failure; app/services/ci/process_build_service.rb
#[rstest]
#[case::stages(STAGES, &[], &[], &["a+b", "c"], Status::Success)]
#[case::a_failure_ends_its_stage_only(STAGES, &[("a", 1)], &[], &["a+b"], Status::Failed)]
#[case::an_allowed_failure(
    "a: {script: x, stage: build, allow_failure: true}\nc: {script: x}\n", &[("a", 1)], &[], &["a", "c"], Status::Success
)]
#[case::an_allowed_exit_code(
    "a: {script: x, stage: build, allow_failure: {exit_codes: [3, 4]}}\nc: {script: x}\n", &[("a", 4)], &[], &["a", "c"],
    Status::Success
)]
#[case::another_exit_code(
    "a: {script: x, stage: build, allow_failure: {exit_codes: 3}}\nc: {script: x}\n", &[("a", 4)], &[], &["a"], Status::Failed
)]
#[case::needs_do_not_wait_for_stages(
    "a: {script: x, stage: build}\nb: {script: x, stage: build, needs: [a]}\nc: {script: x, stage: deploy, needs: []}\n", &[], &[],
    &["a+c", "b"], Status::Success
)]
#[case::needs_a_failed_job(
    "a: {script: x, stage: build}\nb: {script: x, needs: [a]}\nc: {script: x, needs: []}\n", &[("a", 1)], &[], &["a+c"],
    Status::Failed
)]
#[case::on_failure(
    "a: {script: x, stage: build}\nc: {script: x, when: on_failure}\nd: {script: x, when: always}\n", &[("a", 1)], &[],
    &["a", "c+d"], Status::Failed
)]
#[case::on_failure_without_a_failure(
    "a: {script: x, stage: build}\nc: {script: x, when: on_failure}\nd: {script: x, stage: deploy}\n", &[], &[], &["a", "d"],
    Status::Success
)]
#[case::on_failure_after_an_allowed_failure(
    "a: {script: x, stage: build, allow_failure: true}\nc: {script: x, when: on_failure}\n", &[("a", 1)], &[], &["a"],
    Status::Success
)]
#[case::a_manual_job_is_optional(
    "a: {script: x, stage: build, rules: [{when: manual, allow_failure: true}]}\nc: {script: x}\n", &[], &[], &["c"], Status::Success
)]
#[case::a_manual_job_of_rules_blocks(
    "a: {script: x, stage: build, rules: [{when: manual}]}\nc: {script: x}\n", &[], &[], &[], Status::Manual
)]
#[case::a_user_starts_a_manual_job(
    "a: {script: x, stage: build, rules: [{when: manual}]}\nc: {script: x}\n", &[], &["a"], &["a", "c"], Status::Success
)]
#[case::needs_an_optional_manual_job(
    "a: {script: x, stage: build, when: manual}\nc: {script: x, needs: [a]}\nd: {script: x, when: always, stage: deploy}\n", &[], &[],
    &["d"], Status::Success
)]
#[case::delayed("a: {script: x, when: delayed, start_in: 1 hour}\nb: {script: x}\n", &[], &[], &["b", "a"], Status::Success)]
#[case::delayed_by_a_rule("a: {script: x, rules: [{when: delayed, start_in: 1 hour}]}\nb: {script: x}\n", &[], &[], &["b", "a"], Status::Success)]
#[case::a_delayed_job_is_started_at_once("a: {script: x, when: delayed, start_in: 1 hour}\n", &[], &["a"], &["a"], Status::Success)]
#[case::a_resource_group(
    "a: {script: x, resource_group: r}\nb: {script: x, resource_group: r}\nc: {script: x}\n", &[], &[], &["a+c", "b"],
    Status::Success
)]
#[case::retried("a: {script: x, retry: 2}\n", &[("a", 1)], &[], &["a", "a", "a"], Status::Failed)]
#[case::instances("a: {script: x, stage: build, parallel: 2}\nb: {script: x, needs: [a]}\n", &[], &[], &["a 1/2+a 2/2", "b"], Status::Success)]
fn jobs_run_in_this_order(
    #[case] text: &str,
    #[case] failing: &[(&str, i32)],
    #[case] manual: &[&str],
    #[case] expected: &[&str],
    #[case] status: Status,
) {
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    assert_eq!(rounds(text, failing, manual), (expected, status));
}

// https://docs.gitlab.com/ci/yaml/#retrywhen, #retryexit_codes; lib/gitlab/ci/build/auto_retry.rb
#[rstest]
#[case::a_number("2", FailureReason::ScriptFailure, 1, true)]
#[case::reason("{max: 1, when: script_failure}", FailureReason::ScriptFailure, 1, true)]
#[case::another_reason("{max: 1, when: runner_system_failure}", FailureReason::ScriptFailure, 1, false)]
#[case::always("{max: 1, when: always}", FailureReason::JobExecutionTimeout, 1, true)]
#[case::code("{max: 1, exit_codes: [7]}", FailureReason::ScriptFailure, 7, true)]
#[case::another_code("{max: 1, exit_codes: [7]}", FailureReason::ScriptFailure, 1, false)]
#[case::code_or_reason("{max: 1, exit_codes: 7, when: job_execution_timeout}", FailureReason::ScriptFailure, 7, true)]
#[case::neither_exit_code_nor_reason(
    "{max: 1, exit_codes: 7, when: job_execution_timeout}",
    FailureReason::ScriptFailure,
    1,
    false
)]
fn a_failure_is_retried_by_reason_or_exit_code(
    #[case] retry: &str,
    #[case] reason: FailureReason,
    #[case] code: i32,
    #[case] expected: bool,
) {
    let plan = plan(&format!("a: {{script: x, retry: {retry}}}\n"));
    let mut schedule = Schedule::new(&plan, &JobSelection::default());
    schedule.advance(Instant::now());
    let job = schedule.take().unwrap();
    assert_eq!(schedule.end(job, Status::Failed, Some((reason, Some(code))), ""), expected);
}

#[test]
fn only_selected_jobs_run() {
    let text =
        "a: {script: x, stage: build}\nb: {script: x, needs: [a]}\nc: {script: x, stage: deploy, when: manual}\n";
    let (schedule, plan, order) = play(text, &[], &choice(&["b", "c"], &[]));
    assert_eq!((order, schedule.status()), (vec!["b".to_owned(), "c".to_owned()], Status::Success));
    assert_eq!(schedule.job(plan.find("a").unwrap()), None);
}

#[rstest]
#[case::alone(&["b"], &["b"])]
#[case::with_its_predecessor(&["a", "b"], &["a"])]
#[case::on_failure_of_a_need_alone(&["c"], &["c"])]
#[case::with_its_need(&["a", "c"], &["a"])]
fn a_selected_on_failure_job_runs_unless_a_predecessor_is_selected(#[case] only: &[&str], #[case] expected: &[&str]) {
    let text = "a: {script: x, stage: build}\nb: {script: x, when: on_failure}\nc: {script: x, when: on_failure, needs: [a]}\n";
    let (_, _, order) = play(text, &[], &choice(only, &[]));
    assert_eq!(order, expected);
}

#[rstest]
#[case::stages(STAGES, &["a+b", "c"], Status::Failed)]
#[case::needs("a: {script: x, stage: build}\nb: {script: x, needs: [a]}\nc: {script: x, needs: [b]}\n", &["a", "b", "c"], Status::Failed)]
#[case::a_manual_job_still_blocks(
    "a: {script: x, stage: build}\nb: {script: x, stage: build, when: manual, allow_failure: false}\nc: {script: x}\n", &["a"],
    Status::Manual
)]
#[case::an_optional_manual_job_does_not_block("a: {script: x, stage: build}\nb: {script: x, stage: build, when: manual}\nc: {script: x}\n", &["a", "c"], Status::Failed)]
#[case::on_failure("a: {script: x, stage: build}\nb: {script: x, when: on_failure}\nc: {script: x}\n", &["a", "b+c"], Status::Failed)]
#[case::on_failure_of_a_need("a: {script: x, stage: build}\nb: {script: x, when: on_failure, needs: [a]}\n", &["a", "b"], Status::Failed)]
fn keep_going_continues_after_a_failure(#[case] text: &str, #[case] expected: &[&str], #[case] status: Status) {
    let (schedule, _, order) = play(text, &[("a", 1)], &JobSelection { keep_going: true, ..JobSelection::default() });
    assert_eq!((order, schedule.status()), (expected.iter().map(ToString::to_string).collect(), status));
}

#[test]
fn skipped_and_canceled_jobs_have_reasons() {
    let (schedule, plan, _) = play(STAGES, &[("a", 1)], &JobSelection::default());
    assert_eq!(schedule.job(plan.find("c").unwrap()), Some((Status::Skipped, "an earlier job failed")));
    let mut schedule = Schedule::new(&plan, &JobSelection::default());
    schedule.advance(Instant::now());
    let first = schedule.take().unwrap();
    schedule.cancel();
    schedule.end(first, Status::Canceled, None, "");
    assert!(schedule.advance(Instant::now()).is_empty() && schedule.take().is_none());
    assert_eq!(schedule.status(), Status::Canceled);
}

#[test]
fn a_manual_job_blocks_the_pipeline() {
    let (schedule, ..) =
        play("a: {script: x, rules: [{when: manual}]}\nb: {script: x}\n", &[], &JobSelection::default());
    assert_eq!(schedule.blocker().map(|name| &**name), Some("a"));
}
