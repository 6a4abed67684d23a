//! The git repository of a project, read by the `git` program, or directly from its files where that gives the same result.

mod command;
mod error;
mod files;
mod layout;
mod objects;
mod repository;
mod uncommitted;

pub(crate) use self::command::command;
pub use self::command::{REPOSITORY_VARIABLES, git, program};
pub use self::error::GitError;
pub use self::files::{Tree, WorkingTree};
pub use self::repository::{Renames, Repository};
