//! Tests that create and remove clusters. They need the prerequisites that `make doctor` checks, and their own ports: those of
//! `kind-config.yaml` plus 10000. Run one test at a time: `make test-lifecycle`.

#[path = "../support/mod.rs"]
mod support;

mod existing;
mod faults;
mod kills;
mod life;
mod sandbox;
