//! The checkouts that jobs begin with: made once by git, then copied. GitLab Runner's `shells/abstract.go`

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use sha1::{Digest, Sha1};
use tokio::process::Command;
use tokio::sync::{Mutex, OnceCell};

use super::copy::Listing;
use crate::process_group::Ending;
use crate::project::git;
use crate::workspace;
use gitlab_ci::plan::context::RefKind;

/// What a checkout is made of.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The repository.
    pub repository: PathBuf,
    /// The commit.
    pub sha: String,
    /// What is fetched and where it is kept, in git's own words.
    pub refspecs: Vec<String>,
    /// Whether changes that are not committed belong to it.
    pub has_worktree: bool,
}

impl Origin {
    /// The commit `sha` of a branch, a tag or a merge request of this name.
    pub fn new(repository: &Path, sha: &str, kind: RefKind, name: &str, has_worktree: bool) -> Self {
        let refspecs = match kind {
            // The tag itself may have a message, which `git describe` looks for.
            RefKind::Tag => vec![format!("+{sha}:refs/pipelines/1"), format!("+refs/tags/{name}:refs/tags/{name}")],
            RefKind::Branch | RefKind::MergeRequest => vec![format!("+{sha}:refs/remotes/origin/{name}")],
        };
        Self { repository: repository.to_owned(), sha: sha.to_owned(), refspecs, has_worktree }
    }
}

/// How jobs may want theirs to be. <https://docs.gitlab.com/ci/runners/configure_runners/#configure-runner-behavior-with-variables>
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// `GIT_DEPTH`: how many commits; 0 for all.
    pub depth: u32,
    /// `GIT_SUBMODULE_STRATEGY`.
    pub submodules: Submodules,
    /// `GIT_CHECKOUT`.
    pub has_files: bool,
}

/// `GIT_SUBMODULE_STRATEGY`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Submodules {
    /// They stay empty.
    #[default]
    None,
    /// Those of the project.
    Normal,
    /// And theirs.
    Recursive,
}

/// A checkout to copy.
#[derive(Debug)]
pub struct Checkout {
    /// Where it is.
    pub folder: PathBuf,
    /// Its files that git knows, and its submodules, which end with a slash.
    pub tracked: Arc<HashSet<String>>,
    /// All that is in it.
    pub listing: Listing,
    /// An archive of it, once somebody needs one.
    archive: OnceCell<PathBuf>,
}

/// A checkout could not be made.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{step}: {said}")]
pub struct SourcesError {
    /// What was done.
    pub step: String,
    /// What was said.
    pub said: String,
}

/// A file of the commit: its path, and the hash of its content in git's eyes.
pub type Blob = (String, String);

/// Of each shape its folder and, once it is made, its checkout.
type Cells = HashMap<Shape, (PathBuf, Arc<OnceCell<Arc<Checkout>>>)>;

/// Makes each checkout once.
#[derive(Debug)]
pub struct Sources {
    origin: Origin,
    folder: PathBuf,
    checkouts: Mutex<Cells>,
    blobs: OnceCell<Vec<Blob>>,
}

impl Sources {
    /// Checkouts of `origin`, in `folder`.
    pub fn new(origin: Origin, folder: PathBuf) -> Self {
        Self { origin, folder, checkouts: Mutex::default(), blobs: OnceCell::new() }
    }

    /// A checkout of this shape.
    ///
    /// # Errors
    /// What git says.
    pub async fn checkout(&self, shape: &Shape) -> Result<Arc<Checkout>, SourcesError> {
        let (folder, cell) = {
            let mut checkouts = self.checkouts.lock().await;
            let number = checkouts.len();
            let new = || (self.folder.join(number.to_string()), Arc::default());
            checkouts.entry(shape.clone()).or_insert_with(new).clone()
        };
        cell.get_or_try_init(|| self.make(shape, folder)).await.cloned()
    }

    /// The files of the commit with their hashes, and in place of those that have changed since, if that counts, what lies there.
    ///
    /// # Errors
    /// What git says.
    pub async fn blobs(&self) -> Result<&[Blob], SourcesError> {
        let list = || async {
            let listed = git(Some(&self.origin.repository), &["ls-tree", "-r", "-z", &self.origin.sha]).await?;
            // `100644 blob HASH<tab>PATH`
            let blobs = listed.split('\0').filter_map(|entry| entry.split_once('\t'));
            let blobs = blobs.filter_map(|(facts, path)| Some((path.to_owned(), facts.rsplit(' ').next()?.to_owned())));
            let mut blobs: Vec<Blob> = blobs.collect();
            if self.origin.has_worktree {
                let changed = changed(&self.origin).await?;
                blobs.retain(|(path, _)| !changed.contains_key(path));
                blobs.extend(changed.into_iter().filter_map(|(path, hash)| Some((path, hash?))));
            }
            Ok(blobs)
        };
        self.blobs.get_or_try_init(list).await.map(Vec::as_slice)
    }

    async fn make(&self, shape: &Shape, folder: PathBuf) -> Result<Arc<Checkout>, SourcesError> {
        let Origin { repository, sha, refspecs, has_worktree } = &self.origin;
        let path = folder.to_string_lossy().into_owned();
        // A job that had no more time may have left half of it.
        remove(&folder).map_err(|error| failed("remove half a checkout", &error.to_string()))?;
        // As long as one of SHA-256 is, a hash of SHA-1 is not.
        let format = format!("--object-format={}", if sha.len() == 64 { "sha256" } else { "sha1" });
        git(None, &["init", "--quiet", "--template=", "--initial-branch=main", &format, &path]).await?;
        let address = address(repository);
        // A commit by its hash, of a repository that would only give branches and tags.
        let upload = "--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack";
        let depth = format!("--depth={}", shape.depth);
        // All commits in one pack, however few they are: copies of a checkout share it.
        // And what is thrown away soon is not maintained.
        let mut arguments = vec!["-c", "fetch.unpackLimit=1", "-c", "maintenance.auto=false"];
        arguments.extend(["fetch", "--quiet", "--no-write-fetch-head", upload]);
        if shape.depth > 0 {
            arguments.push(&depth);
        }
        arguments.push(&address);
        arguments.extend(refspecs.iter().map(String::as_str));
        git(Some(&folder), &arguments).await?;
        // Copies keep times to the second, and nothing else of a file's state: they are unchanged in git's eyes.
        let settings = format!(
            "[core]\n\tcheckStat = minimal\n\ttrustctime = false\n[remote \"origin\"]\n\turl = {address}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
        );
        append(&folder.join(".git/config"), &settings).map_err(|error| failed("git config", &error.to_string()))?;
        if !shape.has_files {
            return Checkout::new(folder, HashSet::new());
        }
        git(Some(&folder), &["checkout", "--quiet", "--force", "--detach", sha]).await?;
        let recursive: &[&str] = match shape.submodules {
            Submodules::None => &[],
            Submodules::Normal => &["submodule", "update", "--init", "--quiet"],
            Submodules::Recursive => &["submodule", "update", "--init", "--quiet", "--recursive"],
        };
        if !recursive.is_empty() {
            git(Some(&folder), recursive).await?;
        }
        if *has_worktree {
            let changed = worktree(repository, &folder).await;
            changed.map_err(|error| failed("copy what is not committed", &error.to_string()))?;
        }
        // One file for all refs.
        let packed = git(Some(&folder), &["pack-refs", "--all"]);
        let (_, listed) = tokio::try_join!(packed, git(Some(&folder), &["ls-files", "--stage", "-z"]))?;
        // `MODE HASH STAGE<tab>PATH`; of a submodule, all that is in it is somebody else's to know.
        let entries = listed.split('\0').filter_map(|entry| entry.split_once('\t'));
        let tracked =
            entries.map(|(facts, path)| format!("{path}{}", if facts.starts_with("160000 ") { "/" } else { "" }));
        let tracked = tracked.collect();
        Checkout::new(folder, tracked)
    }
}

impl Checkout {
    pub(super) fn new(folder: PathBuf, tracked: HashSet<String>) -> Result<Arc<Self>, SourcesError> {
        let listed = slim(&folder.join(".git")).and_then(|()| super::copy::list(&folder));
        let listing = listed.map_err(|error| failed("list the checkout", &error.to_string()))?;
        Ok(Arc::new(Self { folder, tracked: Arc::new(tracked), listing, archive: OnceCell::new() }))
    }

    /// An archive of all of it, which everybody may read and write: users of images are not those of this machine. Made once.
    ///
    /// # Errors
    /// When the disk is full.
    pub async fn archive(&self) -> Result<&Path, SourcesError> {
        let make = || async {
            let (folder, path) = (self.folder.clone(), self.folder.with_extension("tar"));
            let to = path.clone();
            let made = tokio::task::spawn_blocking(move || super::archive::of_checkout(&folder, &to)).await;
            match made {
                Ok(Ok(())) => Ok(path),
                Ok(Err(error)) => Err(failed("pack the checkout", &error.to_string())),
                Err(error) => Err(failed("pack the checkout", &error.to_string())),
            }
        };
        self.archive.get_or_try_init(make).await.map(PathBuf::as_path)
    }
}

/// Brings a checkout to how the files lie in the repository's folder: changed, new and deleted ones, without what is ignored.
async fn worktree(repository: &Path, folder: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listed = git(Some(repository), &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).await?;
    let (repository, folder) = (repository.to_owned(), folder.to_owned());
    let copied = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        let mut present = Vec::new();
        // Removals first: a file may be where a folder was, and a folder where a file was.
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let (from, to) = (repository.join(path), folder.join(path));
            match std::fs::symlink_metadata(&from) {
                Ok(kind) if !is_behind_a_link(&repository, path) => {
                    let is_same = std::fs::symlink_metadata(&to).is_ok_and(|old| old.file_type() == kind.file_type());
                    if !is_same {
                        remove(&to)?;
                    }
                    // A submodule is a commit of its own.
                    if !kind.is_dir() {
                        present.push((from, to));
                    }
                }
                _ => remove(&to)?,
            }
        }
        for (from, to) in present {
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            super::copy::copy_entry(&from, &to)?;
        }
        Ok(())
    });
    Ok(copied.await??)
}

/// The files that are not as in the commit, with the hashes of what is in them; without one where a file is gone.
async fn changed(origin: &Origin) -> Result<BTreeMap<String, Option<String>>, SourcesError> {
    let Origin { repository, sha, .. } = origin;
    let tracked = ["diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", sha];
    let others = ["ls-files", "-z", "--others", "--exclude-standard"];
    let (tracked, others) = tokio::try_join!(git(Some(repository), &tracked), git(Some(repository), &others))?;
    let paths = tracked.split('\0').chain(others.split('\0')).filter(|path| !path.is_empty());
    let repository = repository.clone();
    let paths: Vec<String> = paths.map(str::to_owned).collect();
    let hashed = tokio::task::spawn_blocking(move || {
        let hash = |path: &String| content_hash(&repository.join(path)).ok();
        paths.into_iter().map(|path| (path.clone(), hash(&path))).collect()
    });
    hashed.await.map_err(|error| failed("read what is not committed", &error.to_string()))
}

/// What tells the content of a file from another one. It need not be git's.
fn content_hash(path: &Path) -> std::io::Result<String> {
    let found = std::fs::symlink_metadata(path)?;
    // No list of dependencies is as large, and all that is not committed is looked at.
    if !found.is_file() || found.len() > 1 << 20 {
        return Ok(format!("{}-{:?}", found.len(), found.modified()?));
    }
    Ok(hex(&Sha1::digest(std::fs::read(path)?)))
}

/// Whether a file is only found by a link in place of a folder that it was in: git does not follow those.
fn is_behind_a_link(repository: &Path, path: &str) -> bool {
    Path::new(path).ancestors().skip(1).any(|folder| {
        let folder = repository.join(folder);
        folder != repository && folder.is_symlink()
    })
}

/// Removes whatever is there, if anything is.
fn remove(path: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let removed = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => workspace::remove(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if !matches!(error.kind(), NotFound | NotADirectory) => Err(error),
        _ => Ok(()),
    }
}

/// A folder as an address, in which git reads `%` and two digits as another character.
fn address(folder: &Path) -> String {
    format!("file://{}", folder.display().to_string().replace('%', "%25"))
}

/// Takes out what git makes again when it needs it: each job has a copy of the rest, and folders are what costs most of it.
fn slim(git: &Path) -> std::io::Result<()> {
    for name in ["branches", "hooks", "info", "logs"] {
        match std::fs::remove_dir_all(git.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    remove_empty(&git.join("refs"))?;
    remove_empty(&git.join("objects"))
}

/// Removes the folders below one that have nothing in them, or only such folders.
fn remove_empty(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty(&entry.path())?;
            // One with something in it stays.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
    Ok(())
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::OpenOptions::new().append(true).open(path)?.write_all(text.as_bytes())
}

fn failed(step: &str, said: &str) -> SourcesError {
    SourcesError { step: step.to_owned(), said: said.to_owned() }
}

async fn git(folder: Option<&Path>, arguments: &[&str]) -> Result<String, SourcesError> {
    // Neither another repository nor the user's templates and hooks have a say.
    let mut command = Command::from(git::program());
    command.env_remove("GIT_TEMPLATE_DIR").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").kill_on_drop(true);
    // It fetches through programs of its own, which end with it. What ends jobs ends it: not a terminal's Ctrl-C by itself.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(folder) = folder {
        command.arg("-C").arg(folder);
    }
    let step = || format!("git {}", arguments.join(" "));
    let lost = |error: std::io::Error| failed(&step(), &error.to_string());
    let child = command.args(arguments).spawn().map_err(lost)?;
    let ending = Ending::of(&child);
    let output = child.wait_with_output().await.map_err(lost)?;
    ending.over();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(&step(), String::from_utf8_lossy(&output.stderr).trim()))
}
/// Bytes as digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A text takes everything.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
