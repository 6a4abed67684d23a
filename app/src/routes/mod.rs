//! The handlers, one file per subject.

pub(crate) mod fault;
pub(crate) mod home;
pub(crate) mod metrics;
pub(crate) mod probes;
pub(crate) mod version;
