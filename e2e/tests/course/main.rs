//! The solver of the course: applies each answer and each wrong solution of docs/course/teacher to a project, as a student would. The
//! exercises that need the cluster are in `tests/cluster/course.rs`.

#[path = "../support/mod.rs"]
mod support;

mod exercises;
mod reset;
mod solver;
