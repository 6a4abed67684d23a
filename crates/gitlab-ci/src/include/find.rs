//! Where included files are. `lib/gitlab/ci/config/external/file/`

use std::path::PathBuf;

use super::entries::Include;
use super::loader::{Home, Loader};
use crate::files::Files;

/// A file that is included.
pub(super) struct Found {
    /// As a reader knows it.
    pub(super) name: String,
    pub(super) text: String,
    /// Whose files it includes itself.
    pub(super) home: Home,
}

impl Loader<'_, '_> {
    /// An include with a wildcard is one of each file that fits, and of none if none does.
    /// `lib/gitlab/ci/config/external/mapper/location_expander.rb`
    pub(super) fn expanded(&mut self, include: Include, home: &Home) -> Vec<Include> {
        let pattern = include.target.trim_start_matches('/');
        if include.kind != "local" {
            return vec![include];
        }
        if !pattern.contains('*') || !is_yaml(pattern) {
            self.locals.insert((home.folder(), pattern.to_owned()));
            return vec![include];
        }
        let wildcard = wildcard(pattern);
        let fits = |path: &String| wildcard.as_ref().is_some_and(|wildcard| wildcard.is_match(path));
        let mut paths: Vec<_> = home.files(self.environment.files).list().into_iter().filter(fits).collect();
        paths.sort();
        // What is included already, maybe by itself, is not once more.
        paths.retain(|path| self.locals.insert((home.folder(), path.clone())));
        let one = |path: String| Include { target: path, inputs: include.inputs.clone(), file: None, ..include };
        paths.into_iter().map(one).collect()
    }

    pub(super) fn find(&mut self, include: &Include, home: &Home) -> Option<Found> {
        if include.kind == "local" { self.local(include, home) } else { self.elsewhere(include, home) }
    }

    fn local(&mut self, include: &Include, home: &Home) -> Option<Found> {
        let path = include.target.trim_start_matches('/');
        if !is_yaml(path) {
            self.diagnostics.error(include.span, format!("Included file `{path}` does not have YAML extension!"));
            return None;
        }
        let files = home.files(self.environment.files);
        if let Some(text) = files.read(path) {
            return Some(Found { name: home.name(path), text, home: home.clone() });
        }
        let all = files.list();
        let error = self.diagnostics.error(include.span, format!("Local file `{path}` does not exist!"));
        error.nearest(path, all.iter().map(String::as_str));
        None
    }

    /// What is not in this project is looked for in the folder that stands for it.
    fn elsewhere(&mut self, include: &Include, home: &Home) -> Option<Found> {
        let Include { kind, target, file, span, .. } = include;
        let (project, files) = parts(kind, target, file.as_deref());
        let whole = file.as_ref().map_or_else(|| target.clone(), |file| format!("{target}/{file}"));
        let mut folders: Vec<_> = self.environment.folders.iter().collect();
        // Of several the one that says most.
        folders.sort_by_key(|(what, _)| std::cmp::Reverse(what.len()));
        for (what, folder) in folders {
            // A folder that is a file stands for that file alone.
            if *what == whole
                && let Ok(text) = std::fs::read_to_string(folder)
            {
                return Some(Found { name: folder.display().to_string(), text, home: home.clone() });
            }
            let rest = if what == kind { Some(project) } else { below(project, what) };
            let Some(root) = rest.map(|rest| if rest.is_empty() { folder.clone() } else { folder.join(rest) }) else {
                continue;
            };
            // What a project or a component includes is theirs; a template and a text from anywhere know no project.
            let inner = match *kind {
                "project" | "component" => {
                    Home::Elsewhere { root: root.clone(), files: (self.environment.open)(&root) }
                }
                _ => home.clone(),
            };
            for file in &files {
                let path = if file.is_empty() { root.clone() } else { root.join(file) };
                if let Ok(text) = std::fs::read_to_string(&path) {
                    return Some(Found { name: path.display().to_string(), text, home: inner });
                }
            }
        }
        let error = self.diagnostics.error(*span, format!("include:{kind} `{whole}` is not in this project"));
        error.help(format!(
            "give its folder: --include {project}=FOLDER, or --include {kind}=FOLDER for all of that kind"
        ));
        None
    }
}

/// What a folder may stand for, and the files in it that may be meant.
fn parts<'include>(kind: &str, target: &'include str, file: Option<&'include str>) -> (&'include str, Vec<String>) {
    if let Some(file) = file {
        return (target, vec![file.to_owned()]);
    }
    if kind != "component" {
        return (target, vec![String::new()]);
    }
    // `HOST/PROJECT/NAME@VERSION`. `lib/gitlab/ci/components/instance_path.rb`,
    // https://docs.gitlab.com/ci/components/#directory-structure
    let path = target.split_once('@').map_or(target, |(path, _)| path);
    let (project, name) = path.rsplit_once('/').unwrap_or(("", path));
    (project, vec![format!("templates/{name}.yml"), format!("templates/{name}/template.yml")])
}

/// What of `path` is below `what`: whole names only, as `group/project-two` is no part of `group/project`.
fn below<'path>(path: &'path str, what: &str) -> Option<&'path str> {
    let rest = path.strip_prefix(what)?;
    let is_whole = rest.is_empty() || what.ends_with('/') || rest.starts_with('/');
    is_whole.then(|| rest.trim_start_matches('/'))
}

impl Home {
    /// Its files.
    fn files<'files>(&'files self, own: &'files dyn Files) -> &'files dyn Files {
        match self {
            Self::Own => own,
            Self::Elsewhere { files, .. } => &**files,
        }
    }

    /// Its folder, if it is not the project itself.
    fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Own => None,
            Self::Elsewhere { root, .. } => Some(root.clone()),
        }
    }

    fn name(&self, path: &str) -> String {
        match self {
            Self::Own => path.to_owned(),
            Self::Elsewhere { root, .. } => root.join(path).display().to_string(),
        }
    }
}

fn is_yaml(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("yml" | "yaml"))
}

/// `*` within a folder, `**` across folders. <https://docs.gitlab.com/ci/yaml/includes/#use-includelocal-with-wildcard-file-paths>
fn wildcard(pattern: &str) -> Option<regex::Regex> {
    let mut expression = "^".to_owned();
    let mut rest = pattern;
    while let Some(at) = rest.find('*') {
        expression += &regex::escape(rest.get(..at).unwrap_or_default());
        let stars = rest.get(at..).unwrap_or_default();
        let (part, behind) = match stars.strip_prefix("**") {
            Some(behind) => (".*", behind),
            None => ("[^/]*", stars.get(1..).unwrap_or_default()),
        };
        expression += part;
        rest = behind;
    }
    expression += &regex::escape(rest);
    expression.push('$');
    regex::RegexBuilder::new(&expression).size_limit(1 << 20).build().ok()
}
