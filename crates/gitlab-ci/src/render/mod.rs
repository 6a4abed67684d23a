//! Diagnostics and plans, for people and for programs.

pub mod diagnostics;
pub mod plan;
