//! The real `e2e lint` and `e2e plan`, on repositories made for the purpose.

#[path = "../support/mod.rs"]
mod support;

mod lint;
mod plan;
mod repository;
mod run;
