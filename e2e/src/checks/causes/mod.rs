//! Finds the causes of failures: states of objects that keep a check from passing.

mod gateway;
mod node;
mod observer;
mod pod;
mod policy;
mod refused;
pub(super) mod traffic;
mod workload;

pub(super) use self::observer::{Observer, observe};
pub(super) use self::refused::refused;
