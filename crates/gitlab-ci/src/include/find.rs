//! Finds included files. `lib/gitlab/ci/config/external/file/`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::entries::{Include, no_subkey};
use super::loader::{Home, Loader};
use crate::diagnostic::Diagnostic;
use crate::files::{Directory, Files};

/// The text of an included file.
pub(super) struct Found {
    /// The name for users: the path of the file.
    pub(super) name: String,
    pub(super) text: String,
    /// The project in which the file's own `include:local` entries are looked up.
    pub(super) home: Home,
}

impl Loader<'_, '_> {
    /// Expands an include with a wildcard into one include per matching file, or none if nothing matches.
    /// `lib/gitlab/ci/config/external/mapper/location_expander.rb`
    pub(super) fn expanded(&mut self, include: Include, home: &Home) -> Vec<Include> {
        if include.kind != "local" {
            return vec![include];
        }
        // GitLab expands the variables of a text before it looks for a wildcard, and those of a hash after that.
        // `process_without_instrumentation` of `lib/gitlab/ci/config/external/mapper.rb`
        let pattern = if include.is_text { &include.target } else { &include.written };
        if !pattern.contains('*') {
            self.locals.insert((home.root(), include.target.trim_start_matches('/').to_owned()));
            return vec![include];
        }
        if !include.is_text && include.written != include.target {
            let message = format!(
                "`{pattern}` includes no file: a wildcard of `local` is compared with paths before variables are expanded"
            );
            self.diagnostics
                .warning(include.span, message)
                .help(format!("write a text instead of a hash: `- {pattern}`"));
        }
        if pattern.starts_with('/') {
            let message =
                format!("`{pattern}` includes no file: a wildcard is compared with paths that do not start with `/`");
            self.diagnostics.warning(include.span, message).help("remove the first `/`");
        }
        let wildcard = wildcard(pattern);
        let matches = |path: &String| wildcard.as_ref().is_some_and(|wildcard| wildcard.is_match(path));
        let mut paths: Vec<_> = home.files(self.environment.files).list().into_iter().filter(matches).collect();
        if paths.is_empty() && !pattern.starts_with('/') && (include.is_text || include.written == include.target) {
            self.diagnostics.warning(include.span, format!("`{pattern}` includes no file: no path matches it"));
        }
        paths.sort();
        // A wildcard skips files that are already included, such as an included file that contains the wildcard.
        paths.retain(|path| self.locals.insert((home.root(), path.clone())));
        let one = |path: String| Include {
            written: path.clone(),
            target: path,
            inputs: include.inputs.clone(),
            file: None,
            reference: None,
            ..include
        };
        paths.into_iter().map(one).collect()
    }

    pub(super) fn find(&mut self, include: &Include, home: &Home) -> Option<Found> {
        if let Some(message) = invalid_address(include) {
            explain_expansion(self.diagnostics.error(include.span, message), include);
            return None;
        }
        if include.kind == "local" { self.local(include, home) } else { self.elsewhere(include, home) }
    }

    fn local(&mut self, include: &Include, home: &Home) -> Option<Found> {
        let path = include.target.trim_start_matches('/');
        let files = home.files(self.environment.files);
        if let Some(text) = files.read(path) {
            return Some(Found { name: home.name(path), text, home: home.clone() });
        }
        let all = files.list();
        let error = self.diagnostics.error(include.span, format!("Local file `{path}` does not exist!"));
        if let Some(plain) = path.strip_prefix("./").filter(|plain| all.iter().any(|path| path == *plain)) {
            error.help(format!("write the path from the project's directory: `{plain}`"));
        } else if include.written == include.target {
            error.nearest(path, all.iter().map(String::as_str));
        } else {
            explain_expansion(error, include);
        }
        None
    }

    /// Warns if a directory replaces a project at several refs, whose files differ.
    fn compare_refs(&mut self, include: &Include, project: &str, dir: &Path) {
        let Include { kind, target, reference, span, .. } = include;
        if !matches!(*kind, "project" | "component") {
            return;
        }
        let first = self.first_refs.entry((dir.to_owned(), project.to_owned())).or_insert_with(|| reference.clone());
        if first == reference {
            return;
        }
        let name = |reference: &Option<String>| reference.clone().unwrap_or_else(|| "HEAD".to_owned());
        let (first, other) = (name(first), name(reference));
        let (address, _) = parts(kind, target, include.file.as_deref());
        let message =
            format!("`{address}` is included at the refs `{first}` and `{other}`, both from {}", dir.display());
        let help = format!("specify a directory for each ref: --include {address}@{other}=DIR");
        self.diagnostics.warning(*span, message).help(help);
    }

    /// Finds a file of another project or address, in the directory that replaces that project or address.
    fn elsewhere(&mut self, include: &Include, home: &Home) -> Option<Found> {
        let Include { kind, target, file, span, .. } = include;
        let (named, files) = parts(kind, target, file.as_deref());
        // GitLab finds projects in any case: `file/project.rb`.
        let in_case = |name: &str| if *kind == "project" { name.to_lowercase() } else { name.to_owned() };
        let project = in_case(named);
        let mut searched = None;
        let whole = file.as_ref().map_or_else(|| target.clone(), |file| format!("{target}/{file}"));
        for Replacement { name, reference, dir } in replacements(self.environment.directories, include) {
            // A path that is a file replaces exactly this file.
            if reference.is_none()
                && in_case(name) == in_case(&whole)
                && let Ok(text) = std::fs::read_to_string(dir)
            {
                return Some(Found { name: dir.display().to_string(), text, home: home.clone() });
            }
            let rest = if name == *kind { Some(&*project) } else { below(&project, &in_case(name)) };
            let Some(rest) = rest else { continue };
            let root = if rest.is_empty() { dir.clone() } else { dir.join(rest) };
            // `include:local` in a project's file or in a component refers to that project. Templates and remote files
            // belong to no project.
            let inner = match *kind {
                "project" | "component" => {
                    Home::Elsewhere { root: root.clone(), files: (self.environment.open)(&root) }
                }
                _ => home.clone(),
            };
            for file in &files {
                // The pipeline file chooses the project and the file; neither leads out of the directory.
                let parts = [rest, file.as_str()].map(|part| part.trim_matches('/'));
                let below = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
                if let Some(text) = Directory(dir.clone()).read(&below) {
                    if reference.is_none() {
                        self.compare_refs(include, &project, dir);
                    }
                    return Some(Found { name: dir.join(below).display().to_string(), text, home: inner });
                }
                searched.get_or_insert((name, dir, below));
            }
        }
        if let Some((name, dir, below)) = searched {
            let message = match (*kind, file) {
                ("project", Some(file)) => format!("Project `{target}` file `{file}` does not exist!"),
                _ => format!("include:{kind} `{whole}` does not exist"),
            };
            let error = self.diagnostics.error(*span, message);
            if dir.exists() {
                error.help(format!("`--include {name}={}` has no file `{below}`", dir.display()));
            } else {
                error.help(format!("the path of `--include {name}={}` does not exist", dir.display()));
            }
            return None;
        }
        // A directory for another ref suggests that this one needs its own.
        let is_other_ref = |key: &String| key.split_once('@').is_some_and(|(name, _)| in_case(name) == project);
        let has_other_ref = self.environment.directories.keys().any(is_other_ref);
        let at = include.reference.as_ref().filter(|_| has_other_ref).map(|it| format!("@{it}")).unwrap_or_default();
        let error = self.diagnostics.error(*span, format!("include:{kind} `{whole}` is not in this project"));
        error.help(format!(
            "specify its directory: --include {named}{at}=DIR, or --include {kind}=DIR for all includes of that kind"
        ));
        None
    }
}

/// A directory that can replace the source of an include.
struct Replacement<'environment> {
    name: &'environment str,
    /// The ref of the project; `None` for any ref.
    reference: Option<&'environment str>,
    dir: &'environment PathBuf,
}

/// The directories that can replace the source of an include, the most specific one first: that of its ref, and that with the longest name.
fn replacements<'environment>(
    directories: &'environment BTreeMap<String, PathBuf>,
    include: &Include,
) -> Vec<Replacement<'environment>> {
    let has_refs = matches!(include.kind, "project" | "component");
    let replacement = |(key, dir): (&'environment String, &'environment PathBuf)| {
        let at_ref = key.split_once('@').filter(|_| has_refs);
        let (name, reference) = at_ref.map_or((&**key, None), |(name, reference)| (name, Some(reference)));
        (reference.is_none() || reference == include.reference.as_deref()).then_some(Replacement {
            name,
            reference,
            dir,
        })
    };
    let mut found: Vec<_> = directories.iter().filter_map(replacement).collect();
    found.sort_by_key(|found| std::cmp::Reverse((found.reference.is_some(), found.name.len())));
    found
}

/// Why GitLab refuses the address of an include before it looks for the file.
fn invalid_address(include: &Include) -> Option<String> {
    let Include { kind, target, file, .. } = include;
    // `file/base.rb`: `validate_location!`
    let unless_yaml =
        |path: &str| (!is_yaml(path)).then(|| format!("Included file `{path}` does not have YAML extension!"));
    match (*kind, file) {
        // `file/local.rb`, `file/project.rb`: `matching?`
        ("local", _) if target.trim().is_empty() => Some(no_subkey(&serde_json::json!({ "local": target }))),
        ("project", Some(file)) if target.trim().is_empty() => {
            Some(no_subkey(&serde_json::json!({ "project": target, "file": file })))
        }
        ("local", _) => unless_yaml(target.trim_start_matches('/')),
        ("project", Some(file)) => unless_yaml(file),
        ("remote", _) => unless_yaml(target),
        ("template", _) if !target.ends_with(".gitlab-ci.yml") => {
            Some(format!("Template file `{target}` is not a valid location!"))
        }
        ("component", _) if !is_component(target) => {
            Some(format!("component '{target}' - the component path is not supported"))
        }
        // `file/artifact.rb`: in `trigger:include`, another part of GitLab reads the include.
        ("artifact", _) => {
            Some("Including configs from artifacts is only allowed when triggering child pipelines".to_owned())
        }
        _ => None,
    }
}

/// Whether an address is `HOST/PROJECT/NAME@VERSION`: `match?` of `lib/gitlab/ci/components/instance_path.rb`. The host may be a variable
/// that is not known here.
fn is_component(address: &str) -> bool {
    let Some((path, version)) = address.split_once('@') else { return false };
    let host = path.split('/').next().unwrap_or_default();
    let is_host = host.contains(['.', ':', '$']) || host == "localhost";
    !version.is_empty() && is_host && path.split('/').count() > 2
}

/// Returns the name that a directory may replace, and the paths of the candidate files in the directory.
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

/// Returns the part of `path` below `name`. Only whole names count: `group/project-two` is not below `group/project`.
fn below<'path>(path: &'path str, name: &str) -> Option<&'path str> {
    let rest = path.strip_prefix(name)?;
    let is_whole = rest.is_empty() || name.ends_with('/') || rest.starts_with('/');
    is_whole.then(|| rest.trim_start_matches('/'))
}

impl Home {
    fn files<'files>(&'files self, own: &'files dyn Files) -> &'files dyn Files {
        match self {
            Self::Own => own,
            Self::Elsewhere { files, .. } => &**files,
        }
    }

    /// The root directory, or `None` for the project itself.
    fn root(&self) -> Option<PathBuf> {
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

/// Explains the path of an include that is written with variables.
fn explain_expansion(error: &mut Diagnostic, include: &Include) {
    if include.written != include.target {
        let Include { written, target, .. } = include;
        error.help(format!(
            "`{written}` is `{target}` when its variables are expanded; variables of the file are not available here"
        ));
    }
}

/// `YAML_ALLOWLIST_EXTENSION` of `lib/gitlab/ci/config/external/file/base.rb`: something precedes the extension.
fn is_yaml(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty() && (extension.eq_ignore_ascii_case("yml") || extension.eq_ignore_ascii_case("yaml"))
    })
}

/// Compiles a wildcard: `*` matches within a directory, `**` across directories, and `**/` any number of directories.
/// <https://docs.gitlab.com/ci/yaml/includes/#use-includelocal-with-wildcard-file-paths>
fn wildcard(pattern: &str) -> Option<regex::Regex> {
    let mut expression = "^".to_owned();
    let mut rest = pattern;
    while let Some(at) = rest.find('*') {
        expression += &regex::escape(rest.get(..at).unwrap_or_default());
        let stars = rest.get(at..).unwrap_or_default();
        let (part, after) = if let Some(after) = stars.strip_prefix("**/") {
            ("(?:.*/)?", after)
        } else if let Some(after) = stars.strip_prefix("**") {
            (".*", after)
        } else {
            ("[^/]*", stars.get(1..).unwrap_or_default())
        };
        expression += part;
        rest = after;
    }
    expression += &regex::escape(rest);
    expression.push('$');
    regex::RegexBuilder::new(&expression).size_limit(1 << 20).build().ok()
}
