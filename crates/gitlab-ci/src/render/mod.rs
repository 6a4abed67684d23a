//! Diagnostics and plans as text for terminals and as JSON.

pub mod diagnostics;
pub mod plan;
