//! Tests of the course: they apply each answer and each wrong solution of docs/course/teacher to a project, as a student would.
//! `tests/cluster/course.rs` has the exercises that need the cluster.

#[path = "../support/mod.rs"]
mod support;

mod exercises;
mod reset;
mod solver;
