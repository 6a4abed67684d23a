//! What a person or a program reads.

pub mod checks;
pub mod diagnostics;
pub mod findings;
pub mod images;
pub mod lessons;
pub mod pipeline;
pub mod pipeline_view;
pub mod plan;
pub mod progress;
pub mod run;
mod spinner;
pub mod status;
pub mod story;
