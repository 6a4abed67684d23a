//! All output of the harness, for people and for programs.

pub mod checks;
pub mod findings;
pub mod images;
pub mod lessons;
pub mod pipeline;
pub mod pipeline_view;
pub mod progress;
pub mod run;
mod spinner;
pub mod status;
pub mod story;
