//! Page 9: a job after the release.

use gitlab_ci::config::environment::Action;
use gitlab_ci::config::when::When;

use super::exercise::{Exercise, Id, Verifier};
use super::plans::{self, Push};
use super::project::Project;
use super::verdict::{Unsolved, Verdict};

pub(super) const VERIFY: Exercise = Exercise {
    id: Id { page: 9, number: 1 },
    title: "A job after the release",
    goal: "a job verify_live in stage deploy, only in the pipelines of releases: it starts by itself when deploy_live has passed, and \
           accesses environment live without being a deployment of it",
    hint: "what makes a job wait for another one of its own stage, and which keyword of `environment` tells GitLab what a job does?",
    verifier: Verifier::Project(verify),
};

const JOB: &str = "verify_live";

fn verify(project: &Project) -> Verdict {
    for push in [Push::Branch(&["README.md"]), Push::DefaultBranch, Push::Tag("demo")] {
        let plan = plans::plan(project, push)?;
        Unsolved::unless(plans::find(&plan, JOB).is_none(), || {
            format!("the pipeline of {} has the job {JOB}", push.describe())
        })?;
    }
    let plan = plans::plan(project, Push::Tag("v1.0.0"))?;
    let job = plans::job(&plan, JOB)?;
    let stage = &job.job.stage.value;
    Unsolved::unless(&**stage == "deploy", || format!("the job is in stage {stage}"))?;
    Unsolved::unless(job.when == When::OnSuccess, || "the job does not start by itself".to_owned())?;
    let needs: Vec<&str> = job.needs.iter().flatten().map(|need| &*need.name).collect();
    Unsolved::unless(needs.contains(&"deploy_live"), || match needs.as_slice() {
        [] => "the job starts together with deploy_live, or before it".to_owned(),
        needs => format!("the job waits only for {}", needs.join(", ")),
    })?;
    let live = plans::job(&plan, "deploy_live")?.environment.as_ref();
    let Some(environment) = &job.environment else { return Err(Unsolved::new("the job has no environment")) };
    Unsolved::unless(live.is_some_and(|live| live.name == environment.name), || {
        format!("the environment of the job is {}", environment.name)
    })?;
    Unsolved::unless(matches!(environment.action, Action::Prepare | Action::Verify | Action::Access), || {
        "GitLab counts the job as a deployment to the environment".to_owned()
    })
}
