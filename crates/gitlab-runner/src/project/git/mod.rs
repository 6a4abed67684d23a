//! What a pipeline knows of its project: read from the repository by git itself, or from files of it that say as much.

mod command;
mod error;
mod files;
mod layout;
mod objects;
mod repository;

pub use self::command::{OF_A_REPOSITORY, program};
pub use self::error::GitError;
pub use self::files::{Folder, Tree};
pub use self::repository::Repository;
