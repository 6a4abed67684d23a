//! Caches, which jobs keep from one pipeline to the next: <https://docs.gitlab.com/ci/caching/>,
//! `lib/gitlab/ci/pipeline/seed/build/cache.rb`, GitLab Runner's `shells/abstract.go`.

use std::fmt::Write;
use std::fs::File;
use std::io;

use private_dir::PrivateDir;
use sha1::{Digest, Sha1};

use super::found;
use crate::variables::JobVariables;
use crate::workspace::checkout::Blob;
use gitlab_ci::config::artifacts::ArtifactsWhen;
use gitlab_ci::config::cache::{Cache, Key};
use gitlab_ci::glob;
use gitlab_ci::plan::Plan;
use gitlab_ci::variables::expand::ExpansionError;

/// The end of the keys of protected refs.
const PROTECTED: &str = "-protected";

/// A cache of a job, with all variables expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCache {
    /// The key, then the fallback keys in order.
    pub keys: Vec<String>,
    /// What the log of the job says about keys that are not used as written.
    pub notes: Vec<KeyNote>,
    /// Glob patterns of the cached files.
    pub paths: Vec<String>,
    /// Whether all files that git does not track are cached.
    pub untracked: bool,
    /// Whether the cache is restored before the job.
    pub is_pulled: bool,
    /// Whether the cache is saved after the job.
    pub is_pushed: bool,
    /// The results of the job after which the cache is saved.
    pub when: ArtifactsWhen,
}

/// Expands the job's cache with the number `index`, from 0 on. `blobs` are the files of the commit, `is_protected` whether its ref is
/// protected. Returns `None` for a cache that selects no files.
///
/// # Errors
/// A key or a path exceeds the size limit of an expansion, or the policy is unknown.
pub fn expand(
    cache: &Cache,
    index: usize,
    variables: &JobVariables,
    blobs: &[Blob],
    is_protected: bool,
) -> Result<Option<JobCache>, CacheError> {
    if cache.paths.is_empty() && !cache.untracked {
        return Ok(None);
    }
    // Protected and unprotected refs have separate caches, so that an unprotected branch cannot read or change a protected one's.
    // `app/models/ci/build.rb` (`cache`)
    let suffix = if is_protected && !cache.is_unprotected { PROTECTED } else { "-non_protected" };
    let key = match &cache.key {
        Key::Default => "default".to_owned(),
        Key::Text(text) => {
            // A key that expands to nothing is a key of its own, and not that of caches without a key.
            variables.expand(&text.value)?
        }
        Key::Files { files, prefix } => {
            let files = variables.expand_each(files.iter().map(|file| &*file.value))?;
            let prefix = prefix.as_ref().map(|prefix| variables.expand(&prefix.value)).transpose()?;
            key_from_files(&files, prefix, index, blobs)
        }
    };
    let mut keys = vec![format!("{key}{suffix}")];
    for fallback in &cache.fallback_keys {
        keys.push(format!("{}{suffix}", variables.expand(&fallback.value)?));
    }
    let policy = cache.policy.as_ref().map(|policy| variables.expand(&policy.value)).transpose()?;
    let policy = policy.as_deref().filter(|policy| !policy.is_empty()).unwrap_or("pull-push");
    if !matches!(policy, "pull-push" | "pull" | "push") {
        let key = keys.into_iter().next().unwrap_or_default();
        return Err(CacheError::UnknownPolicy { policy: policy.to_owned(), key });
    }
    let mut notes = Vec::new();
    let mut keys: Vec<String> = keys.iter().filter_map(|key| usable(key, &mut notes)).collect();
    let fallback = variables.get("CACHE_FALLBACK_KEY").filter(|key| !key.is_empty());
    keys.extend(fallback.and_then(|key| usable_fallback(&key, &mut notes)));
    Ok(Some(JobCache {
        keys,
        notes,
        paths: variables.expand_each(cache.paths.iter().map(|path| &*path.value))?,
        untracked: cache.untracked,
        is_pulled: policy != "push",
        is_pushed: policy != "pull",
        when: cache.when,
    }))
}

/// Why a job cannot use a cache.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// A key or a path exceeds the size limit of an expansion.
    #[error(transparent)]
    Expansion(#[from] ExpansionError),
    /// After the expansion of its variables, the policy is not a valid one. `shells/abstract.go` (`cacheExtractor`)
    #[error("unknown cache policy {policy} for {key}")]
    UnknownPolicy {
        /// The expanded policy.
        policy: String,
        /// The key of the cache.
        key: String,
    },
}

/// Why a key is not used as written, in GitLab Runner's words: `cache/cachekey`, `shells/abstract.go`
/// (`extractCacheOrFallbackCachesWrapper`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyNote {
    /// The second key replaces the first.
    #[error("cache key {0:?} sanitized to {1:?}")]
    Sanitized(String, String),
    /// Nothing is left of the key.
    #[error("cache key {0:?} could not be sanitized")]
    Empty(String),
    /// Only the caches of protected refs have such keys.
    #[error("CACHE_FALLBACK_KEY {0:?} not allowed to end in {PROTECTED:?}")]
    Protected(String),
}

/// The key under which a cache is stored, or `None` if nothing is left of `key`.
fn usable(key: &str, notes: &mut Vec<KeyNote>) -> Option<String> {
    let name = sanitized(key);
    if name.is_empty() {
        notes.push(KeyNote::Empty(key.to_owned()));
        return None;
    }
    if name != key {
        notes.push(KeyNote::Sanitized(key.to_owned(), name.clone()));
    }
    Some(name)
}

/// The key in `CACHE_FALLBACK_KEY` as [`usable`] returns it. A variable must not give access to the caches of protected refs.
fn usable_fallback(key: &str, notes: &mut Vec<KeyNote>) -> Option<String> {
    let name = usable(key, notes)?;
    if name.ends_with(PROTECTED) {
        notes.push(KeyNote::Protected(name));
        return None;
    }
    Some(name)
}

/// A key as the name of an archive: without `..`, and without dots and spaces at the end. GitLab Runner's `cache/cachekey`
fn sanitized(key: &str) -> String {
    let mut plain = key.replace('\\', "/");
    for (encoded, character) in [("%2f", "/"), ("%2F", "/"), ("%5c", "/"), ("%5C", "/"), ("%2e", "."), ("%2E", ".")] {
        plain = plain.replace(encoded, character);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in plain.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/").trim_end_matches([' ', '.']).to_owned()
}

/// A cache key from the contents of files: `cache:key:files`.
fn key_from_files(patterns: &[String], prefix: Option<String>, index: usize, blobs: &[Blob]) -> String {
    let prefix = prefix.unwrap_or_else(|| {
        let names = patterns.iter().map(|path| path.rsplit('/').next().unwrap_or(path));
        let names: Vec<&str> = names.map(|name| name.split('.').next().unwrap_or(name)).collect();
        format!("{index}_{}", names.join("_"))
    });
    format!("{prefix}-{}", hash_of_files(patterns, blobs))
}

/// The part of a key that comes from the contents of files.
fn hash_of_files(patterns: &[String], blobs: &[Blob]) -> String {
    let is_selected =
        |path: &String| patterns.contains(path) || glob::any_matches(patterns, std::slice::from_ref(path));
    let mut hashes: Vec<&str> =
        blobs.iter().filter(|(path, _)| is_selected(path)).map(|(_, hash)| hash.as_str()).collect();
    if hashes.is_empty() {
        return "default".to_owned();
    }
    hashes.sort_unstable();
    hashes.dedup();
    hex::encode(Sha1::digest(hashes.join("-")))
}

/// Whether the directory `dir` has the caches that the jobs of `plan` would restore. `blobs` are the files of the commit. Only a job
/// knows the values of the variables in its key, so any cache counts for such a key, and any prefix for a key from files.
pub fn are_stored(dir: &PrivateDir, plan: &Plan, blobs: &[Blob]) -> bool {
    let names = dir.names().unwrap_or_default();
    let stored: Vec<String> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    plan.jobs.iter().flat_map(|job| &job.job.cache).all(|cache| match &cache.key {
        Key::Files { files, .. } => {
            let files: Vec<String> = files.iter().map(|file| file.value.to_string()).collect();
            let hash = format!("-{}", hash_of_files(&files, blobs));
            stored.iter().any(|key| key.contains(&hash))
        }
        Key::Default | Key::Text(_) => !stored.is_empty(),
    })
}

/// The name of the directory of the cache `key`. `masked` is the key without secrets: the name of a key that contains one is a hash,
/// because the names of files are visible.
pub fn dir_name(key: &str, masked: &str) -> String {
    if masked == key { file_name(key) } else { hex::encode(Sha1::digest(key)) }
}

/// The name of the archive in the directory of a cache.
pub const ARCHIVE: &str = "cache.tar";

/// Opens the archive of a cache. `caches` is the directory of a project's caches, and `name` is the [`dir_name`]. Returns `None` if the
/// archive does not exist.
///
/// # Errors
/// The archive cannot be opened.
pub fn open(caches: &PrivateDir, name: &str) -> io::Result<Option<File>> {
    found(caches.existing_subdir(name).and_then(|dir| dir.open_file(ARCHIVE)))
}

/// Encodes a key as the name of a file or directory.
fn file_name(key: &str) -> String {
    let mut name = String::new();
    for character in key.chars() {
        match character {
            '/' | '%' | '\0' => {
                // Writing to a `String` cannot fail.
                let _ = write!(name, "%{:02X}", u32::from(character));
            }
            _ => name.push(character),
        }
    }
    if matches!(name.as_str(), "." | "..") { name.replace('.', "%2E") } else { name }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use gitlab_ci::testing::plan;

    #[rstest]
    #[case::of_this_commit(
        "{key: {files: [Cargo.lock], prefix: test}, paths: [x]}",
        "test-011c945f30ce2cbafc452f39840f025693339c42-non_protected",
        true
    )]
    #[case::of_other_dependencies(
        "{key: {files: [Cargo.lock], prefix: test}, paths: [x]}",
        "test-396aaf5f02a2d7ebc0c3a78eaea365adfd8d5034-non_protected",
        false
    )]
    #[case::with_a_variable("{key: $CI_JOB_NAME, paths: [x]}", "a-non_protected", true)]
    fn stored_caches_are_found(#[case] cache: &str, #[case] stored: &str, #[case] expected: bool) {
        let parent = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(parent.path(), "cache").unwrap();
        let blobs = [("Cargo.lock".to_owned(), "1111".to_owned())];
        let plan = plan(&format!("a: {{script: x, cache: {cache}}}\n"));
        assert!(!are_stored(&dir, &plan, &blobs));
        dir.subdir(stored).unwrap();
        assert_eq!(are_stored(&dir, &plan, &blobs), expected);
    }

    // GitLab Runner's `cache/cachekey`
    #[rstest]
    #[case::plain("a-b", "a-b")]
    #[case::parent_directory("x/../k", "k")]
    #[case::above_the_root("../../k", "k")]
    #[case::backslash("a\\b", "a/b")]
    #[case::encoded("a%2fb%2E%2e%2Fc", "a/b../c")]
    #[case::spaces_and_dots_at_the_end("a b. ", "a b")]
    #[case::dot(".", "")]
    fn keys_are_sanitized(#[case] key: &str, #[case] expected: &str) {
        assert_eq!(sanitized(key), expected);
    }

    // GitLab Runner's `shells/abstract_test.go`: "using reserved suffix", "using invalid fallback cache key"
    #[rstest]
    #[case::plain("main", Some("main"), &[])]
    #[case::unprotected("main-non_protected", Some("main-non_protected"), &[])]
    #[case::cleaned("../main", Some("main"), &[r#"cache key "../main" sanitized to "main""#])]
    #[case::protected("main-protected", None, &[r#"CACHE_FALLBACK_KEY "main-protected" not allowed to end in "-protected""#])]
    #[case::protected_when_cleaned("main-protected. ", None, &[
        r#"cache key "main-protected. " sanitized to "main-protected""#,
        r#"CACHE_FALLBACK_KEY "main-protected" not allowed to end in "-protected""#,
    ])]
    #[case::nothing_left("..", None, &[r#"cache key ".." could not be sanitized"#])]
    fn a_fallback_key_that_is_not_used_as_written_is_reported(
        #[case] key: &str,
        #[case] expected: Option<&str>,
        #[case] messages: &[&str],
    ) {
        let mut notes = Vec::new();
        assert_eq!(usable_fallback(key, &mut notes).as_deref(), expected);
        assert_eq!(notes.iter().map(ToString::to_string).collect::<Vec<_>>(), messages);
    }

    #[test]
    fn a_plan_without_caches_misses_none() {
        let parent = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(parent.path(), "cache").unwrap();
        assert!(are_stored(&dir, &plan("a: {script: x}\n"), &[]));
    }

    // The hash in the last case is the output of `echo -n 1111-2222 | sha1sum`.
    #[rstest]
    #[case::no_matching_file(&["Gemfile.lock"], None, "0_Gemfile-default")]
    #[case::prefix_and_no_matching_file(&["Gemfile.lock"], Some("p"), "p-default")]
    #[case::two_files(&["Cargo.lock", "sub/package.lock.json"], None, "0_Cargo_package-396aaf5f02a2d7ebc0c3a78eaea365adfd8d5034")]
    fn a_key_from_files_has_the_hash_of_their_contents(
        #[case] files: &[&str],
        #[case] prefix: Option<&str>,
        #[case] expected: &str,
    ) {
        let blobs = [("sub/package.lock.json", "1111"), ("Cargo.lock", "2222"), ("other", "3333")]
            .map(|(path, hash)| (path.to_owned(), hash.to_owned()));
        let files: Vec<String> = files.iter().map(ToString::to_string).collect();
        assert_eq!(key_from_files(&files, prefix.map(str::to_owned), 0, &blobs), expected);
    }

    #[rstest]
    #[case::plain("default", "default", "default")]
    #[case::slash_is_encoded("feature/x", "feature/x", "feature%2Fx")]
    #[case::parent_directory_is_encoded("..", "..", "%2E%2E")]
    #[case::a_secret_is_hashed("r", "[MASKED]", "4dc7c9ec434ed06502767136789763ec11d2c4b7")]
    fn the_name_of_a_cache_directory_leads_nowhere_else(
        #[case] key: &str,
        #[case] masked: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(dir_name(key, masked), expected);
    }
}
