//! Page 4: rules and needs.

use super::deployed::DEPLOYS;
use super::exercise::{Exercise, Id, Verifier};
use super::plans::{self, Push};
use super::project::Project;
use super::verdict::{Unsolved, Verdict};

pub(super) const CHANGES: Exercise = Exercise {
    id: Id { page: 4, number: 1 },
    title: "A job for some changes",
    goal: "a job check_manifests in stage test, in the pipeline of a branch only if the push changes a file of manifests/ or of a \
           directory below it, and never in the pipeline of a tag",
    hint: "which files does a push of a tag change, as far as GitLab knows? `rules` may combine conditions. Which pattern also matches \
           files in directories below?",
    verifier: Verifier::Project(changes),
};

pub(super) const NEEDS: Exercise = Exercise {
    id: Id { page: 4, number: 2 },
    title: "A shorter way",
    goal: "job image_build starts as soon as compile has passed, with its artifact, even if the tests still run; the deploy jobs still \
           wait for the tests",
    hint: "compile itself shows the keyword; which artifacts does a job get that has it?",
    verifier: Verifier::Project(needs),
};

const CHECK: &str = "check_manifests";

fn changes(project: &Project) -> Verdict {
    let cases = [
        (Push::Branch(&["manifests/service.yaml"]), true),
        (Push::Branch(&["app/src/main.rs", "manifests/cluster/role.yaml"]), true),
        (Push::Branch(&["app/src/main.rs"]), false),
        (Push::Tag("v1.0.0"), false),
    ];
    for (push, is_expected) in cases {
        let plan = plans::plan(project, push)?;
        let found = plans::find(&plan, CHECK);
        Unsolved::unless(found.is_some() == is_expected, || {
            let verb = if is_expected { "lacks" } else { "has" };
            format!("the pipeline of {} {verb} the job {CHECK}", push.describe())
        })?;
        if let Some(job) = found {
            let stage = &job.job.stage.value;
            Unsolved::unless(&**stage == "test", || format!("the job {CHECK} is in stage {stage}"))?;
        }
    }
    Ok(())
}

fn needs(project: &Project) -> Verdict {
    for (deploy, push) in DEPLOYS {
        let plan = plans::plan(project, push)?;
        let job = plans::job(&plan, "image_build")?;
        let Some(needs) = &job.needs else {
            return Err(Unsolved::new("image_build waits for all jobs of the stages before its own"));
        };
        let describe = needs
            .iter()
            .map(|need| format!("{}{}", need.name, if need.artifacts { "" } else { " without its artifacts" }));
        let describe = describe.collect::<Vec<_>>().join(", ");
        let is_right = matches!(needs.as_slice(), [need] if &*need.name == "compile" && need.artifacts);
        Unsolved::unless(is_right, || match &*describe {
            "" => "image_build waits for no job, and gets no artifact".to_owned(),
            needs => format!("image_build waits for {needs}"),
        })?;
        let job = plans::job(&plan, deploy)?;
        let waits = |test: &str| job.needs.as_ref().is_none_or(|needs| needs.iter().any(|need| &*need.name == test));
        let skipped: Vec<&str> = ["test", "test2"].into_iter().filter(|test| !waits(test)).collect();
        Unsolved::unless(skipped.is_empty(), || format!("{deploy} does not wait for {}", skipped.join(" and ")))?;
    }
    Ok(())
}
