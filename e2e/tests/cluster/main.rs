//! The cluster of `make up`, asked from outside. Without one these tests fail.

#[path = "../support/mod.rs"]
mod support;

mod deployment;
mod fixture;
mod lessons;
mod permissions;
mod registry;
mod sabotage;
mod stop;
mod system;
