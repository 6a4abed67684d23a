//! What a recipe says, as a hash: an image with the same one need not be built again.

use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::catalogue::{Builder, Image};

/// A recipe that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the recipe {}", path.display())]
pub struct RecipeError {
    path: PathBuf,
    source: io::Error,
}

/// The hash of everything that decides what `image` becomes: its files, which of them are executable, and the recipes of
/// the images that it is built on. Twelve hexadecimal digits.
///
/// # Errors
/// When a file of it cannot be read.
pub(super) fn hash(image: &Image, recipes: &Path) -> Result<String, RecipeError> {
    let mut hasher = Sha256::new();
    add(&mut hasher, &recipes.join(image.recipe.folder))?;
    match image.recipe.builder {
        Builder::Suite(suite) => hasher.update(suite),
        Builder::Dockerfile(bases) => {
            for (argument, base) in bases {
                hasher.update(format!("{argument}\0{}\0", hash(base, recipes)?));
            }
        }
    }
    let mut digits = String::new();
    for byte in hasher.finalize().iter().take(6) {
        // Writing to a `String` cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(digits)
}

fn add(hasher: &mut Sha256, root: &Path) -> Result<(), RecipeError> {
    let mut files = Vec::new();
    collect(root, &mut files).map_err(|source| RecipeError { path: root.to_owned(), source })?;
    files.sort();
    for file in files {
        let failed = |source| RecipeError { path: file.clone(), source };
        let content = fs::read(&file).map_err(failed)?;
        let executable = fs::metadata(&file).map_err(failed)?.permissions().mode() & 0o111 != 0;
        // The path's bytes, and lengths between the parts: two recipes never read the same.
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
    use super::super::catalogue::Recipe;
    use super::*;

    static BASE: Image = Image {
        name: "base",
        purpose: "",
        upstream: None,
        recipe: Recipe { folder: "one", builder: Builder::Suite("bookworm") },
    };
    static OTHER: Image = Image {
        name: "other",
        purpose: "",
        upstream: None,
        recipe: Recipe { folder: "one", builder: Builder::Suite("trixie") },
    };

    #[test]
    fn the_hash_changes_with_everything_that_matters_and_nothing_else() {
        let recipes = std::env::temp_dir().join(format!("e2e-recipe-{}", std::process::id()));
        let file = recipes.join("one/etc/file");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "content").unwrap();
        let first = hash(&BASE, &recipes).unwrap();
        assert_eq!(first.len(), 12);
        assert_ne!(first, hash(&OTHER, &recipes).unwrap(), "another suite");

        // Written again, it is the same recipe, however new the file.
        fs::write(&file, "content").unwrap();
        assert_eq!(first, hash(&BASE, &recipes).unwrap());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let executable = hash(&BASE, &recipes).unwrap();
        assert_ne!(first, executable, "another mode");
        fs::write(&file, "Content").unwrap();
        let changed = hash(&BASE, &recipes).unwrap();
        assert_ne!(executable, changed, "another content");
        fs::rename(&file, recipes.join("one/etc/elif")).unwrap();
        assert_ne!(changed, hash(&BASE, &recipes).unwrap(), "another name");
        fs::remove_dir_all(&recipes).unwrap();
        assert!(hash(&BASE, &recipes).unwrap_err().to_string().starts_with("cannot read the recipe "));
    }
}
