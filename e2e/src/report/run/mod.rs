//! A run of the story when it is over.

pub mod terminal;
pub mod write;
