//! The hash of a recipe. An image with the same hash need not be built again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};

use super::catalog::{Builder, Image};

/// The build argument with a version, which is also the name of the directory with that version's module.
const VERSION: &str = "VERSION";

/// A recipe cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the recipe {}", path.display())]
pub struct RecipeError {
    path: PathBuf,
    source: io::Error,
}

/// The hash of everything that determines the content of `image`: its files, their executable bits, its arguments, and the recipes of
/// its base images. Twelve hexadecimal digits.
///
/// If a recipe has a directory for each version, the directories of other versions do not count.
///
/// # Errors
/// If a file of the recipe cannot be read.
pub(super) fn hash(image: &Image, recipes: &Path) -> Result<String, RecipeError> {
    let mut hasher = Sha256::new();
    let directory = recipes.join(image.recipe.dir);
    match image.recipe.builder {
        Builder::Suite(suite) => {
            add_directory(&mut hasher, &directory)?;
            hasher.update(suite);
        }
        Builder::Dockerfile { bases, arguments } => {
            let version = arguments.iter().find(|(name, _)| *name == VERSION).map(|(_, version)| *version);
            add(&mut hasher, &directory, &|name| version.is_none_or(|version| name == version || !is_version(name)))?;
            for (argument, value) in arguments {
                hasher.update(format!("{argument}\0{value}\0"));
            }
            for (argument, base) in bases {
                hasher.update(format!("{argument}\0{}\0", hash(base, recipes)?));
            }
        }
    }
    Ok(digits(hasher))
}

/// Adds all files in the directory of a recipe to a hash.
///
/// # Errors
/// If a file of the recipe cannot be read.
pub fn add_directory(hasher: &mut Sha256, directory: &Path) -> Result<(), RecipeError> {
    add(hasher, directory, &|_| true)
}

/// The first twelve hexadecimal digits of a hash, which are enough to distinguish images.
pub fn digits(hasher: Sha256) -> String {
    let mut digits = hex::encode(hasher.finalize());
    digits.truncate(12);
    digits
}

/// Whether the name of a file or directory is a version, such as `v1.37.0`.
fn is_version(name: &str) -> bool {
    name.strip_prefix('v').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

fn add(hasher: &mut Sha256, root: &Path, counts: &dyn Fn(&str) -> bool) -> Result<(), RecipeError> {
    let mut files = Vec::new();
    let read = fs::read_dir(root).and_then(|entries| {
        for entry in entries {
            let entry = entry?;
            if counts(&entry.file_name().to_string_lossy()) {
                collect(&entry.path(), &mut files)?;
            }
        }
        Ok(())
    });
    read.map_err(|source| RecipeError { path: root.to_owned(), source })?;
    files.sort();
    for file in files {
        let failed = |source| RecipeError { path: file.clone(), source };
        let content = fs::read(&file).map_err(failed)?;
        let executable = fs::metadata(&file).map_err(failed)?.permissions().mode() & 0o111 != 0;
        // NUL bytes and the length separate the parts, so that two different recipes never produce the same input.
        let path = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        hasher.update(format!("{path}\0{executable}\0{}\0", content.len()));
        hasher.update(content);
    }
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    fs::read_dir(path)?.try_for_each(|entry| collect(&entry?.path(), files))
}

#[cfg(test)]
mod tests {
    use super::super::catalog::Recipe;
    use super::*;

    const fn image(builder: Builder) -> Image {
        let recipe = Recipe { dir: "one", builder, seconds: 0 };
        Image { name: "base", purpose: "", upstream: None, digest: None, recipe }
    }

    static BASE: Image = image(Builder::Suite("bookworm"));
    static OTHER: Image = image(Builder::Suite("trixie"));
    static OLD: Image = image(Builder::Dockerfile { bases: &[], arguments: &[(VERSION, "v1.34.4")] });
    static NEW: Image = image(Builder::Dockerfile { bases: &[], arguments: &[(VERSION, "v1.37.0")] });
    static ON_BASE: Image = image(Builder::Dockerfile { bases: &[("BASE", &BASE)], arguments: &[] });
    static ON_OTHER: Image = image(Builder::Dockerfile { bases: &[("BASE", &OTHER)], arguments: &[] });

    #[test]
    fn the_hash_changes_with_content_and_not_with_modification_times() {
        let directory = tempfile::tempdir().unwrap();
        let recipes = directory.path();
        let file = recipes.join("one/etc/file");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "content").unwrap();
        let first = hash(&BASE, recipes).unwrap();
        assert_eq!(first.len(), 12);
        assert_ne!(first, hash(&OTHER, recipes).unwrap(), "another suite");
        assert_ne!(hash(&ON_BASE, recipes).unwrap(), hash(&ON_OTHER, recipes).unwrap(), "another base");

        // Writing the same content again does not change the recipe.
        fs::write(&file, "content").unwrap();
        assert_eq!(first, hash(&BASE, recipes).unwrap());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let executable = hash(&BASE, recipes).unwrap();
        assert_ne!(first, executable, "another mode");
        fs::write(&file, "Content").unwrap();
        let changed = hash(&BASE, recipes).unwrap();
        assert_ne!(executable, changed, "another content");
        fs::rename(&file, recipes.join("one/etc/elif")).unwrap();
        assert_ne!(changed, hash(&BASE, recipes).unwrap(), "another name");
        assert!(hash(&BASE, &recipes.join("none")).unwrap_err().to_string().starts_with("cannot read the recipe "));
    }

    #[test]
    fn a_version_is_hashed_with_its_own_directory_and_the_shared_files() {
        let directory = tempfile::tempdir().unwrap();
        let recipes = directory.path();
        for version in ["v1.34.4", "v1.37.0"] {
            fs::create_dir_all(recipes.join("one").join(version)).unwrap();
            fs::write(recipes.join("one").join(version).join("go.mod"), "module").unwrap();
        }
        let both = || (hash(&OLD, recipes).unwrap(), hash(&NEW, recipes).unwrap());
        let (old, new) = both();
        assert_ne!(old, new, "another version");
        fs::write(recipes.join("one/v1.37.0/go.mod"), "another module").unwrap();
        let (same, changed) = both();
        assert_eq!(old, same, "the other version's module");
        assert_ne!(new, changed, "its own module");
        fs::write(recipes.join("one/Dockerfile"), "FROM scratch").unwrap();
        let (old, new) = both();
        assert_ne!(same, old, "the shared file");
        assert_ne!(changed, new, "the shared file");
    }
}
