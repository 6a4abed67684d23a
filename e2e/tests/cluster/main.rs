//! Tests that need the cluster of `make up`. They fail without one.

#[path = "../pipeline/cases.rs"]
mod cases;
#[path = "../pipeline/outcome.rs"]
mod outcome;
#[path = "../pipeline/repository.rs"]
mod repository;
#[path = "../course/solver.rs"]
mod solver;
#[path = "../support/mod.rs"]
mod support;

mod conditions;
mod course;
mod deployment;
mod discovery;
mod fixture;
mod gateway;
mod inside;
mod kubernetes_executor;
mod lessons;
mod measure;
mod mesh;
mod mutation;
mod permissions;
mod quota;
mod registry;
mod reproduce;
mod rights;
mod saboteurs;
mod setup;
mod stop;
mod system;
mod temporary;
mod webhook;
