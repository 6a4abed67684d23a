//! All output of the harness, for people and for programs.

pub mod check;
pub mod checks;
pub mod course;
pub mod discovery;
pub mod findings;
pub mod images;
pub mod lessons;
pub mod live;
pub mod pipeline;
pub mod printable;
pub mod run;
pub mod setup;
pub mod status;
