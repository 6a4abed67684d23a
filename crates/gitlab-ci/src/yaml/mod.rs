//! `.gitlab-ci.yml` as a document: from text to one tree of nodes, each of which knows its place.
//!
//! In GitLab's order (`lib/gitlab/ci/config.rb`): [`compose`] parses, then come [`inputs`] and [`load`] with includes,
//! [`extends`] and [`mod@reference`]. What a node means is not decided here.

pub mod extends;
pub mod header;
pub mod merge;
pub mod node;
pub mod parse;
pub mod reference;
mod scalar;
pub mod size;

#[cfg(test)]
mod testing;
