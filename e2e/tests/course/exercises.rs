//! Every verifier refuses the new project and a wrong solution, and accepts the answer.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use e2e::course::{EXERCISES, Exercise, Verifier};
use rstest::rstest;

use crate::solver::{Student, assert_done, refusal, solution};
use crate::support::project;

/// The exercises whose verifier reads only files and commits.
fn project_exercises() -> impl Iterator<Item = &'static Exercise> {
    EXERCISES.iter().filter(|exercise| matches!(exercise.verifier, Verifier::Project(_)))
}

/// The refusals, one paragraph for each exercise.
fn refusals(prepare: impl Fn(&Student, &str)) -> String {
    let mut text = String::new();
    for exercise in project_exercises() {
        let (student, id) = (Student::new(), exercise.id.to_string());
        prepare(&student, &id);
        let actual = refusal(&student.verify(&id).output().expect("e2e runs"));
        writeln!(text, "{id}: {actual}").expect("a text");
    }
    text
}

#[test]
fn a_new_project_solves_no_exercise() {
    insta::assert_snapshot!(refusals(|_, _| {}));
}

#[test]
fn each_wrong_solution_is_refused_for_its_mistake() {
    insta::assert_snapshot!(refusals(|student, id| student.apply(&solution(id, ".wrong"))));
}

#[test]
fn each_answer_is_accepted() {
    for exercise in project_exercises() {
        let (student, id) = (Student::new(), exercise.id.to_string());
        student.apply(&solution(&id, ""));
        assert_done(&id, &student.verify(&id).output().expect("e2e runs"));
    }
}

/// A student keeps the solutions of earlier pages.
#[test]
fn the_answers_are_accepted_one_on_top_of_the_other() {
    let student = Student::new();
    let is_patch = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "patch");
    let ids = project_exercises().map(|exercise| exercise.id.to_string());
    let answers: Vec<_> = ids.map(|id| (solution(&id, ""), id)).filter(|(path, _)| is_patch(path)).collect();
    for (path, _) in &answers {
        student.apply(path);
    }
    for (_, id) in &answers {
        assert_done(id, &student.verify(id).output().expect("e2e runs"));
    }
}

/// A host that is right for `dev` only would be wrong for the environments of other branches.
#[test]
fn a_solution_must_work_for_each_environment() {
    let student = Student::new();
    student.apply(&solution("8.1", ""));
    let file = student.dir.join("manifests/ingress.yaml");
    let text = std::fs::read_to_string(&file).expect("a manifest");
    assert!(text.contains("__CI_ENVIRONMENT_SLUG__-api."), "{text}");
    std::fs::write(&file, text.replace("__CI_ENVIRONMENT_SLUG__-api.", "dev-api.")).expect("a manifest");
    let actual = refusal(&student.verify("8.1").output().expect("e2e runs"));
    assert!(
        actual.starts_with("host review-feature-gr-") && actual.contains("-api.gitlab-k8s-demo.test has 0 paths"),
        "{actual}"
    );
}

/// Page 6 has merged the branch, and other solutions may have been committed. The repair may be on any branch.
#[rstest]
#[case::on_the_default_branch("git -C target/course/project switch --quiet main")]
#[case::after_another_solution(
    "cd target/course/project
     git apply \"$OLDPWD/docs/course/teacher/7.1.patch\"
     git commit --quiet --all --message 'Start slowly'"
)]
fn a_revert_is_accepted(#[case] before: &str, #[values(false, true)] is_merged: bool) {
    let student = Student::new();
    student.run_script(before);
    student.apply(&solution("10.2", ""));
    if is_merged {
        student.run_script(
            "cd target/course/project
             git switch --quiet --create work
             git switch --quiet --create merged v1.0.0
             git merge --quiet --no-ff --message 'Merge the work' work",
        );
    }
    assert_done("10.2", &student.verify("10.2").output().expect("e2e runs"));
}

/// A later commit that changes the same file in another place does not revert the broken one.
#[test]
fn another_change_of_the_file_is_not_a_revert() {
    let student = Student::new();
    student.run_script(
        "cd target/course/project
         sed --in-place 's|path: /health|path: /nowhere|' manifests/deployment.yaml
         git commit --quiet --all --message 'Break the readiness probe'
         git apply \"$OLDPWD/docs/course/teacher/7.2.patch\"
         git commit --quiet --all --message 'End slowly'",
    );
    let actual = refusal(&student.verify("10.2").output().expect("e2e runs"));
    assert!(actual.starts_with("the last commit of your branch still deploys the change of "), "{actual}");
}

/// In one directory, so that the service's dependencies are compiled once.
#[test]
fn the_route_of_the_service_is_verified_with_the_real_program() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("course");
    let verify = |suffix: Option<&str>| {
        let _ = std::fs::remove_dir_all(dir.join("project"));
        let student = Student::at(&dir.join("project"));
        if let Some(suffix) = suffix {
            student.apply(&solution("1.1", suffix));
        }
        student.verify("1.1").env("CARGO_TARGET_DIR", dir.join("target")).output().expect("e2e runs")
    };
    assert_eq!(refusal(&verify(None)), r#"GET /ping answers 404 and "404 page not found\n""#);
    let wrong = refusal(&verify(Some(".wrong")));
    assert!(wrong.starts_with("/metrics has no series for the route /ping, only "), "{wrong}");
    assert_done("1.1", &verify(Some("")));
}

/// A page of the course names its exercises, and the teacher's directory has no file without an exercise.
#[test]
fn pages_and_solutions_belong_to_exercises() {
    let course = project().join("docs/course");
    for exercise in EXERCISES {
        let names = std::fs::read_dir(&course).expect("the course").flatten().map(|entry| entry.file_name());
        let names = names.filter_map(|name| name.into_string().ok());
        let page = names.into_iter().find(|name| name.starts_with(&format!("{}-", exercise.id.page))).expect("a page");
        let text = std::fs::read_to_string(course.join(&page)).expect("a page");
        let heading = format!("\n### {} {}\n", exercise.id, exercise.title);
        assert!(text.contains(&heading), "{page} has no heading `{}`", heading.trim());
        assert!(text.contains("\n## What you know now\n"), "{page}");
        solution(&exercise.id.to_string(), "");
        solution(&exercise.id.to_string(), ".wrong");
    }
    for entry in std::fs::read_dir(course.join("teacher")).expect("the directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id: Vec<&str> = name.split('.').take(2).collect();
        let is_known = EXERCISES.iter().any(|exercise| exercise.id.to_string() == id.join("."));
        assert!(is_known || name == "README.md", "{name} belongs to no exercise");
    }
}
