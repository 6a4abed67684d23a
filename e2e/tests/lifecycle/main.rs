//! Clusters on their way up and down, and what happens to them there. Needs the machine as `make doctor` wants it, and its own
//! ports: those of `kind-config.yaml`, each ten thousand higher. One test at a time: `make test-lifecycle`.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod existing;
mod faults;
mod kills;
mod life;
