//! The files that differ between a pipeline's commit and another ref, as `changes` compares them.

/// The ref that `compare_to` names does not exist. `lib/gitlab/ci/build/rules/rule/clause/changes.rb`
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rules:changes:compare_to is not a valid ref")]
pub struct NoSuchRef;

/// The paths of the files that differ from a ref, or `None` where the difference is unknown. Every file then counts as
/// changed.
pub type Compared = Result<Option<Vec<String>>, NoSuchRef>;
