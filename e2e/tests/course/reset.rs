//! `e2e course reset` creates the student's project, and never deletes one.

use std::process::Command;

use crate::solver::Student;
use crate::support::{e2e, fail, project, run};

#[test]
fn the_project_is_a_clone_without_a_remote_on_the_students_branch() {
    let student = Student::new();
    let git = |arguments: &[&str]| run(Command::new("git").arg("-C").arg(&student.dir).args(arguments));
    assert_eq!(git(&["branch", "--show-current"]), "feature/greeting");
    assert_eq!(git(&["remote"]), "");
    let head = run(Command::new("git").arg("-C").arg(project()).args(["rev-parse", "HEAD"]));
    assert_eq!((git(&["rev-parse", "main"]), git(&["rev-parse", "HEAD"])), (head.clone(), head));
}

#[test]
fn a_second_reset_keeps_the_work_of_the_student() {
    let student = Student::new();
    std::fs::write(student.dir.join("Dockerfile"), "mine").unwrap();
    let printed = run(e2e(&["course", "reset", "--directory"]).arg(&student.dir));
    let kept = student.dir.with_file_name("project-1");
    assert!(printed.contains(&format!("Your previous project is in {}.", kept.display())), "{printed}");
    assert_eq!(std::fs::read_to_string(kept.join("Dockerfile")).unwrap(), "mine");
    assert_ne!(std::fs::read_to_string(student.dir.join("Dockerfile")).unwrap(), "mine");
}

#[test]
fn a_directory_that_is_not_a_repository_is_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
    let printed = fail(e2e(&["course", "reset", "--directory"]).arg(dir.path()));
    assert!(printed.contains("is not a git repository, so `e2e course reset` leaves it as it is"), "{printed}");
    assert_eq!(std::fs::read_to_string(dir.path().join("thesis.txt")).unwrap(), "mine");
}

#[test]
fn without_a_project_the_message_says_how_to_create_it() {
    let printed = fail(&mut e2e(&["course", "verify", "4.1", "--directory", "/nonexistent"]));
    assert_eq!(printed, "e2e: there is no project in /nonexistent: `e2e course reset` creates it\n");
}
