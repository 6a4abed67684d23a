//! What `changes` asks of a repository.

/// `compare_to` names nothing that git knows. `lib/gitlab/ci/build/rules/rule/clause/changes.rb`
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rules:changes:compare_to is not a valid ref")]
pub struct NoSuchRef;

/// The files that differ from a ref; nothing where that cannot be told, and every file counts as changed.
pub type Compared = Result<Option<Vec<String>>, NoSuchRef>;
