//! `.gitlab-ci.yml` as a document: a tree of nodes with their positions in the text.
//!
//! In GitLab's order (`lib/gitlab/ci/config.rb`): [`parse`] reads the text, [`crate::include`] and [`crate::inputs`]
//! assemble the files, then [`extends`] and [`mod@reference`] are resolved. The meaning of the keywords is not decided
//! here but in [`crate::config`].

pub mod extends;
pub mod header;
mod keys;
mod libyaml;
pub mod merge;
pub mod node;
pub mod parse;
pub mod reference;
mod scalar;
pub mod size;
mod tag;

#[cfg(test)]
mod testing;
