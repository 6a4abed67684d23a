//! The kubernetes executor, which runs each job in a pod of its own: GitLab Runner's `executors/kubernetes`.
//!
//! - `cluster`: the executor itself. `prepare`: creates the pod of a job. `startup`: waits until it runs. `session`:
//!   the job from then on.
//! - `overwrites`: the settings of a job. `service`, `image`, `policy`, `user`: its services and images. `secret`: its secrets.
//! - `spec` and `container`: the pod. `layout`: the directories in it, and the shell programs that run there.
//! - `api`: requests. `restart`: refusals soon after a restart of the API server. `exec`: programs in containers. `state`: watches a pod.
//!   `failure` and `refusal`: explain what goes wrong.
//! - `script`: runs commands. `output`: reads what they write. `progress`: ends a wait without progress.
//! - `files`: copies sources and artifacts. `health`: whether the services listen.
//! - `names`, `anchor`, `resources`, `leftovers`: the names, owner and removal of everything that is created.
//!
//! The helper container has the job's own image, unless the runner configuration names another one. It needs `sh`, `tar`, `head`, `tail`
//! and `wc`.

mod anchor;
mod api;
mod cluster;
mod container;
mod exec;
mod failure;
#[cfg(test)]
mod failure_tests;
#[cfg(test)]
mod fake_api;
mod files;
mod health;
mod image;
mod layout;
#[cfg(test)]
mod layout_tests;
mod leftovers;
#[cfg(test)]
mod leftovers_tests;
mod names;
mod output;
mod overwrites;
mod policy;
mod prepare;
mod progress;
mod refusal;
mod resources;
mod restart;
mod script;
mod secret;
mod service;
mod session;
mod spec;
#[cfg(test)]
mod spec_tests;
mod startup;
mod state;
mod user;

pub use self::cluster::Kubernetes;
pub use self::leftovers::{SweepError, sweep, sweep_gone};
pub use self::names::is_subdomain;
pub use self::session::Session;
