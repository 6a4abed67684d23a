//! Page 3: the tags that the pipeline pushes.

use std::collections::BTreeSet;

use super::exercise::{Exercise, Id, Verifier};
use super::plans::{self, COMMIT, IMAGE, Push};
use super::project::Project;
use super::rehearsal::Rehearsal;
use super::verdict::{Unsolved, Verdict};

pub(super) const COMMIT_TAG: Exercise = Exercise {
    id: Id { page: 3, number: 1 },
    title: "A tag for each commit",
    goal: "job image_build pushes each image twice: with the tag of the branch or Git tag as before, and with the first eight digits of \
           the commit as the tag",
    hint: "a push sends what the engine knows by that name: look at how the job adds the tag `latest`, and at the names of GitLab's \
           predefined variables",
    verifier: Verifier::Project(commit_tag),
};

fn commit_tag(project: &Project) -> Verdict {
    for (push, reference) in [(Push::Branch(&["README.md"]), "feature-greeting"), (Push::Tag("v1.0.0"), "v1.0.0")] {
        let plan = plans::plan(project, push)?;
        let rehearsal = Rehearsal::run(project, plans::job(&plan, "image_build")?)?;
        let pushed = pushed(&rehearsal)?;
        for tag in [reference, &COMMIT[..8]] {
            let list = pushed.iter().cloned().collect::<Vec<_>>().join(", ");
            Unsolved::unless(pushed.contains(&format!("{IMAGE}:{tag}")), || {
                format!("for {}, commit {}…, the job pushes {list}", push.describe(), &COMMIT[..8])
            })?;
        }
    }
    Ok(())
}

/// The images that the job pushes. The error is a push of a name that no command before it has created.
fn pushed(rehearsal: &Rehearsal) -> Result<BTreeSet<String>, Unsolved> {
    let (mut known, mut pushed) = (BTreeSet::new(), BTreeSet::new());
    for call in &rehearsal.calls {
        let names = call.arguments.iter().skip_while(|argument| *argument != "push" && *argument != "tag").skip(1);
        let names: Vec<String> = names.filter(|name| !name.starts_with('-')).cloned().collect();
        if call.is("docker", "build") {
            known.extend(call.values(&["--tag", "-t"]).into_iter().map(str::to_owned));
        } else if call.is("docker", "tag") {
            known.extend(names.get(1).cloned());
        } else if call.is("docker", "push") {
            let all = call.arguments.iter().any(|it| it == "--all-tags" || it == "-a");
            for name in names {
                let found: Vec<String> = known
                    .iter()
                    .filter(|it| **it == name || all && it.starts_with(&format!("{name}:")))
                    .cloned()
                    .collect();
                if found.is_empty() {
                    return Err(Unsolved(format!("docker push {name}: no command before it has created this tag")));
                }
                pushed.extend(found);
            }
        }
    }
    Ok(pushed)
}
