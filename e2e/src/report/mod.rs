//! What a person or a program reads.

pub mod diagnostics;
pub mod findings;
pub mod images;
pub mod plan;
pub mod progress;
pub mod status;
