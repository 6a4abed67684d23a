//! What a person or a program reads.

pub mod findings;
pub mod images;
