//! Page 2: a label of the image.

use super::exercise::{Exercise, Id, Verifier};
use super::plans::{self, PROJECT_PATH, Push};
use super::project::Project;
use super::rehearsal::Rehearsal;
use super::verdict::{Unsolved, Verdict};

pub(super) const VENDOR: Exercise = Exercise {
    id: Id { page: 2, number: 1 },
    title: "A label",
    goal: "the image has the label org.opencontainers.image.vendor with the value of the build argument VENDOR, and job image_build \
           sets VENDOR to the namespace of the project",
    hint: "where in the Dockerfile is a build argument known, and which predefined variable of GitLab has the namespace?",
    verifier: Verifier::Project(vendor),
};

const LABEL: &str = "org.opencontainers.image.vendor";

fn vendor(project: &Project) -> Verdict {
    let text = project.read("Dockerfile")?;
    let instructions = instructions(&text);
    let label = instructions.iter().rposition(|it| it.word == "LABEL" && it.rest.contains(LABEL));
    let label = label.ok_or_else(|| Unsolved(format!("the Dockerfile has no label {LABEL}")))?;
    let value = instructions[label].rest.split(LABEL).nth(1).unwrap_or_default().trim_start_matches(['"', '\'']);
    let value = value.strip_prefix('=').unwrap_or(value).split_whitespace().next().unwrap_or_default();
    let names_argument = ["$VENDOR", "${VENDOR}"].contains(&value.trim_matches('"')) || value.contains("${VENDOR:-");
    Unsolved::unless(names_argument, || format!("the value of the label {LABEL} is {value}"))?;
    // An argument before FROM is known only in FROM, and one after the label is not set yet: the label would be empty.
    let stage = instructions[..label].iter().rposition(|it| it.word == "FROM").unwrap_or(0);
    let is_known = instructions[stage..label]
        .iter()
        .any(|it| it.word == "ARG" && it.rest.split_whitespace().any(|it| it.split('=').next() == Some("VENDOR")));
    Unsolved::unless(is_known, || "at the label, the Dockerfile does not know a build argument VENDOR yet".to_owned())?;

    let plan = plans::plan(project, Push::Branch(&["README.md"]))?;
    let rehearsal = Rehearsal::run(project, plans::job(&plan, "image_build")?)?;
    let (namespace, _) = PROJECT_PATH.rsplit_once('/').unwrap_or_default();
    let build = rehearsal.calls.iter().find(|call| call.is("docker", "build"));
    let arguments = build.map(|call| call.values(&["--build-arg"])).unwrap_or_default();
    let expected = format!("VENDOR={namespace}");
    Unsolved::unless(arguments.iter().any(|it| *it == expected), || {
        format!("for the project {PROJECT_PATH}, job image_build passes the build arguments {}", arguments.join(", "))
    })
}

/// An instruction of a Dockerfile.
struct Instruction {
    /// In capitals.
    word: String,
    rest: String,
}

/// The instructions, with continued lines joined and comments removed.
/// <https://docs.docker.com/reference/dockerfile/#format>
fn instructions(text: &str) -> Vec<Instruction> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined =
        lines.map(|line| line.trim_end().strip_suffix('\\').map_or(format!("{line}\n"), |it| format!("{it} ")));
    let joined: String = joined.collect();
    let pairs = joined.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    pairs.map(|(word, rest)| Instruction { word: word.to_uppercase(), rest: rest.trim().to_owned() }).collect()
}
