//! Tests that need the cluster of `make up`. They fail without one.

#[path = "../support/mod.rs"]
mod support;

mod causes;
mod deployment;
mod fixture;
mod lessons;
mod permissions;
mod registry;
mod sabotage;
mod stop;
mod system;
