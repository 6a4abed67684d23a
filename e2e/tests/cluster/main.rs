//! Tests that need the cluster of `make up`. They fail without one.

#[path = "../support/mod.rs"]
mod support;

mod deployment;
mod fixture;
mod lessons;
mod measure;
mod mutation;
mod permissions;
mod registry;
mod saboteurs;
mod stop;
mod system;
