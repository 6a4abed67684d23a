//! A file with everything that it includes, as one tree. `lib/gitlab/ci/config/external/`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::compose::compose;
use super::header;
use super::inputs::{self, Inputs};
use super::merge::merge_mappings;
use super::node::{Mapping, Node, Value};
use super::size;
use crate::pipeline::diagnostic::Diagnostics;
use crate::pipeline::source::{FileId, Sources, Span};

/// How many files may be included in all, each counted as often as it is.
const MOST_INCLUDES: usize = 150;

/// The files of a project at one commit, or as they lie there.
pub trait Files {
    /// The text of a file, by its path from the project's folder.
    fn read(&self, path: &str) -> Option<String>;
    /// The paths of all files.
    fn list(&self) -> Vec<String>;
}

/// What includes depend on beside the files.
pub struct Environment<'environment> {
    /// The project's files.
    pub files: &'environment dyn Files,
    /// Puts variables into paths: those of the project and of the pipeline, never those of the file.
    pub expand: &'environment dyn Fn(&str) -> String,
    /// Whether an include's `rules` admit it.
    pub admits: &'environment dyn Fn(&Node, &mut Diagnostics) -> bool,
    /// Folders that stand for what is elsewhere: `project/path`, `https://host/file.yml`, `template`, `component`.
    pub folders: &'environment BTreeMap<String, PathBuf>,
}

/// Reads the file `path` with all that it includes. Nothing when it cannot be read as a mapping.
pub fn load(
    path: &str,
    environment: &Environment<'_>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    let Some(text) = environment.files.read(path) else {
        let file = sources.add(path, "");
        let span = Span { file, start: 0, end: 0 };
        diagnostics.error(span, format!("Local file `{path}` does not exist!"));
        return None;
    };
    let mut loader = Loader { environment, sources, diagnostics, included: 0, size: 0 };
    loader.file(path, &text, &Mapping::default(), None)
}

struct Loader<'loading, 'environment> {
    environment: &'loading Environment<'environment>,
    sources: &'loading mut Sources,
    diagnostics: &'loading mut Diagnostics,
    included: usize,
    /// That of all texts and trees so far.
    size: usize,
}

/// One entry of `include`.
struct Include {
    span: Span,
    kind: &'static str,
    target: String,
    inputs: Mapping,
}

/// The kinds of include. The first is the one that is here.
const KINDS: [&str; 6] = ["local", "project", "remote", "template", "component", "artifact"];

impl Loader<'_, '_> {
    /// A text as a tree, its includes below it. `from` is where it is included.
    fn file(&mut self, name: &str, text: &str, given: &Mapping, from: Option<Span>) -> Option<Node> {
        let file = self.sources.add(name, text);
        self.size = self.size.saturating_add(text.len());
        let root = self.body(file, name, text, given, from)?;
        self.size = self.size.saturating_add(size::of(&root));
        let Some(own) = root.mapping() else {
            self.diagnostics.error(root.span, "Invalid configuration format");
            return None;
        };
        let Some(include) = own.get("include") else { return Some(root) };
        let mut below = Mapping::default();
        for include in self.includes(&include.value) {
            for tree in self.include(&include) {
                if let Some(mapping) = tree.mapping() {
                    below = merge_mappings(&below, mapping);
                }
            }
        }
        let own: Mapping = own
            .iter()
            .filter(|(key, _)| &***key != "include")
            .map(|(key, entry)| (Arc::clone(key), entry.clone()))
            .collect();
        Some(Node::new(root.span, Value::Mapping(Arc::new(merge_mappings(&below, &own)))))
    }

    /// The tree of a text: of its second document, if the first is a header.
    fn body(&mut self, file: FileId, name: &str, text: &str, given: &Mapping, from: Option<Span>) -> Option<Node> {
        let span = from.unwrap_or(Span { file, start: 0, end: 0 });
        let Some((header, body_start)) = split_header(text) else {
            if let Some((input, entry)) = given.first() {
                self.diagnostics
                    .error(entry.key_span, format!("unknown input arguments: {input}: {name} has no `spec:inputs`"));
            }
            return self.only_document(file);
        };
        let header_file = self.sources.add(name, header);
        let documents = compose(self.sources, header_file, self.diagnostics);
        let Some(spec) = documents.first().and_then(|document| document.get("spec")) else {
            return self.only_document(file);
        };
        documents.first().into_iter().for_each(|header| header::check(header, self.diagnostics));
        let values: Inputs = inputs::values(spec, given, span, self.diagnostics);
        let body = text.get(body_start..).unwrap_or_default();
        match inputs::interpolate(body, &values, self.environment.expand) {
            Ok(replaced) => {
                // As many lines before it as there were, so that places stay what they are.
                let lines = text.get(..body_start).unwrap_or_default().matches('\n').count();
                let text = "\n".repeat(lines) + &replaced;
                self.size = self.size.saturating_add(text.len());
                let file = self.sources.add(name, &text);
                self.only_document(file)
            }
            Err(error) => {
                let place = |at: usize| u32::try_from(body_start + at).unwrap_or(u32::MAX);
                let span = Span { file, start: place(error.range.start), end: place(error.range.end) };
                let complaint = self.diagnostics.error(span, error.message);
                if !error.valid.is_empty() {
                    complaint.help(format!("there is {}", error.valid.join(", ")));
                }
                None
            }
        }
    }

    fn only_document(&mut self, file: FileId) -> Option<Node> {
        let before = self.diagnostics.count();
        let documents = compose(self.sources, file, self.diagnostics);
        let span = Span { file, start: 0, end: 0 };
        match documents.as_slice() {
            // Why there is none has been told.
            [] if self.diagnostics.count() > before => {}
            [] => {
                self.diagnostics.error(span, "Please provide content of .gitlab-ci.yml");
            }
            [document] if document.mapping().is_some() => return Some(document.clone()),
            [document] => {
                self.diagnostics.error(document.span, "Invalid configuration format");
            }
            [_, second, ..] => {
                self.diagnostics.error(second.span, "Invalid configuration format: too many documents");
            }
        }
        None
    }

    fn includes(&mut self, node: &Node) -> Vec<Include> {
        let items = node.sequence().unwrap_or(std::slice::from_ref(node));
        let mut includes = Vec::new();
        for item in items {
            if let Some(text) = item.string() {
                let kind = if text.starts_with("http://") || text.starts_with("https://") { "remote" } else { "local" };
                let target = (self.environment.expand)(text);
                includes.push(Include { span: item.span, kind, target, inputs: Mapping::default() });
            } else {
                includes.extend(self.include_hash(item));
            }
        }
        includes
    }

    fn include_hash(&mut self, item: &Node) -> Vec<Include> {
        let Some(mapping) = item.mapping() else {
            self.diagnostics.error(item.span, "include config should be an array of hashes or strings");
            return Vec::new();
        };
        let known = ["file", "ref", "job", "inputs", "rules", "integrity", "cache"];
        for (key, entry) in mapping.iter().filter(|(key, _)| !KINDS.contains(&&***key) && !known.contains(&&***key)) {
            let error = self.diagnostics.error(entry.key_span, format!("include config contains unknown keys: {key}"));
            error.nearest(key, KINDS.into_iter().chain(known));
        }
        let kinds: Vec<_> = KINDS.into_iter().filter(|kind| mapping.contains_key(*kind)).collect();
        let [kind] = kinds.as_slice() else {
            let all = KINDS.join("`, `");
            self.diagnostics.error(item.span, format!("Each include must specify exactly one of `{all}`"));
            return Vec::new();
        };
        if let Some(rules) = mapping.get("rules")
            && !(self.environment.admits)(&rules.value, self.diagnostics)
        {
            return Vec::new();
        }
        let inputs = mapping.get("inputs").and_then(|entry| entry.value.mapping()).cloned().unwrap_or_default();
        let target = mapping.get(*kind).and_then(|entry| entry.value.scalar()).unwrap_or_default();
        let target = (self.environment.expand)(target);
        let include = |target: String| Include { span: item.span, kind, target, inputs: inputs.clone() };
        if *kind != "project" {
            return vec![include(target)];
        }
        // Of a project's file, or of several.
        let files = mapping.get("file").map(|entry| &entry.value).filter(|node| !node.is_blank());
        if files.is_none() {
            // `lib/gitlab/ci/config/entry/concerns/base_include.rb`
            let message = "include config must specify the file where to fetch the config from";
            self.diagnostics.error(item.span, message);
        }
        let files = files.map(|node| node.sequence().unwrap_or(std::slice::from_ref(node))).unwrap_or_default();
        let files = files.iter().filter_map(Node::string).map(|file| file.trim_start_matches('/'));
        files.map(|file| include(format!("{target}/{file}"))).collect()
    }

    fn include(&mut self, include: &Include) -> Vec<Node> {
        let found = if include.kind == "local" { self.local(include) } else { self.elsewhere(include) };
        let mut trees = Vec::new();
        for (name, text) in found {
            self.included += 1;
            if self.included > MOST_INCLUDES {
                self.diagnostics
                    .error(include.span, format!("Maximum of {MOST_INCLUDES} nested includes are allowed!"));
                return trees;
            }
            if self.size > size::LARGEST_IN_ALL {
                self.diagnostics.error(include.span, "The parsed YAML is too big");
                return trees;
            }
            trees.extend(self.file(&name, &text, &include.inputs, Some(include.span)));
        }
        trees
    }

    fn local(&mut self, include: &Include) -> Vec<(String, String)> {
        let path = include.target.trim_start_matches('/');
        if !is_yaml(path) {
            self.diagnostics.error(include.span, format!("Included file `{path}` does not have YAML extension!"));
            return Vec::new();
        }
        if path.contains('*') {
            let paths = self.environment.files.list();
            let wildcard = wildcard(path);
            let fits = |path: &String| wildcard.as_ref().is_some_and(|wildcard| wildcard.is_match(path));
            let mut found: Vec<_> = paths.into_iter().filter(fits).collect();
            found.sort();
            if found.is_empty() {
                self.diagnostics.error(include.span, format!("Local file `{path}` does not exist!"));
            }
            return found
                .into_iter()
                .filter_map(|path| Some((path.clone(), self.environment.files.read(&path)?)))
                .collect();
        }
        if let Some(text) = self.environment.files.read(path) {
            return vec![(path.to_owned(), text)];
        }
        let all = self.environment.files.list();
        let error = self.diagnostics.error(include.span, format!("Local file `{path}` does not exist!"));
        error.nearest(path, all.iter().map(String::as_str));
        Vec::new()
    }

    /// What is not in this project is looked for in the folder that stands for it.
    fn elsewhere(&mut self, include: &Include) -> Vec<(String, String)> {
        let Include { kind, target, span, .. } = include;
        let candidates = self.environment.folders.iter().filter_map(|(prefix, folder)| {
            let rest = if prefix == kind { Some(target.as_str()) } else { target.strip_prefix(prefix.as_str()) };
            Some(folder.join(rest?.trim_start_matches('/')))
        });
        for path in candidates {
            // A component is a file, or a folder with a template of that name. https://docs.gitlab.com/ci/components/
            for file in [path.clone(), path.with_extension("yml"), path.join("template.yml")] {
                if let Ok(text) = std::fs::read_to_string(&file) {
                    return vec![(file.display().to_string(), text)];
                }
            }
        }
        let error = self.diagnostics.error(*span, format!("include:{kind} `{target}` is not in this project"));
        error.help(format!(
            "give its folder: --include {target}=FOLDER, or --include {kind}=FOLDER for all of that kind"
        ));
        Vec::new()
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

/// The text before a divider, and where what is behind it begins. `lib/gitlab/config/loader/multi_doc_yaml.rb`
fn split_header(text: &str) -> Option<(&str, usize)> {
    let mut start = 0;
    // A divider before anything else only begins the first document.
    let mut has_content = false;
    for line in text.split_inclusive('\n') {
        let is_divider =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if is_divider && has_content {
            return Some((text.get(..start)?, start + line.len()));
        }
        has_content |= !line.trim().is_empty() && !line.starts_with('#') && !line.starts_with("---");
        start += line.len();
    }
    None
}
