//! What a person or a program reads.

pub mod findings;
pub mod images;
pub mod progress;
pub mod status;
