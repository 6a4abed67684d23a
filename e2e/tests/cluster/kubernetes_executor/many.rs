//! Many jobs of one pipeline.

use super::Namespace;

/// Number of jobs: 20, or the value of the environment variable `JOBS`. GitLab allows at most 200 instances of a job.
fn jobs() -> usize {
    std::env::var("JOBS").ok().map_or(20, |jobs| jobs.parse().expect("a number of jobs"))
}

#[test]
fn many_jobs_all_pass_and_leave_nothing() {
    let (namespace, jobs) = (Namespace::new(), jobs());
    let pipeline = format!("a:\n  parallel: {jobs}\n  script: [echo job $CI_NODE_INDEX of $CI_NODE_TOTAL]\n");
    let run = namespace.run(&pipeline, "");
    assert_eq!(run.code(), 0);
    for number in 1..=jobs {
        run.has(&format!("a {number}/{jobs}"), &format!("job {number} of {jobs}"));
    }
    assert_eq!(namespace.objects(), Vec::<String>::new());
}
