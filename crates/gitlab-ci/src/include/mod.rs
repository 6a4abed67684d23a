//! Reads a file with all its includes into one tree. `lib/gitlab/ci/config/external/`

mod entries;
mod find;
mod loader;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use self::entries::Include;
use self::find::Found;
pub use self::loader::Environment;
use self::loader::{Home, Loader};

use super::inputs::{self, GivenBy};
use crate::diagnostic::Diagnostics;
use crate::source::{FileId, Sources, Span};
use crate::yaml::merge::merge_mappings;
use crate::yaml::node::{Mapping, Node, Value};
use crate::yaml::parse::{IGNORED, compose};
use crate::yaml::{header, size};

/// The maximum number of included files. A file counts each time it is included.
const MAX_INCLUDES: usize = 150;

/// A file with its includes.
pub struct Loaded {
    /// The merged tree.
    pub root: Node,
    /// Whether an included file is missing or cannot be read, which has been reported.
    pub lacks_files: bool,
}

/// Reads the file `path` with all its includes and merges them. Errors go to `diagnostics`. Returns `None` if the file
/// is missing, not valid YAML or not a hash.
pub fn load(
    path: &str,
    environment: &Environment<'_>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<Loaded> {
    let Some(text) = environment.files.read(path) else {
        let file = sources.add(path, "");
        let span = Span { file, start: 0, end: 0 };
        diagnostics.error(span, format!("Local file `{path}` does not exist!"));
        return None;
    };
    let inputs = inputs::pipeline_inputs(environment.inputs, sources);
    let mut loader = Loader {
        environment,
        sources,
        diagnostics,
        count: 0,
        size: 0,
        locals: HashSet::new(),
        first_refs: HashMap::new(),
        is_over: false,
        lacks_files: false,
    };
    let context = Context { inputs: &inputs, span: None, home: &Home::Own, is_of_component: false };
    let root = loader.file(path, &text, &context)?;
    Some(Loaded { root, lacks_files: loader.lacks_files })
}

/// The context in which a file is read.
struct Context<'include> {
    /// The values of its inputs.
    inputs: &'include Mapping,
    /// The position of the include, or `None` for the pipeline's own file.
    span: Option<Span>,
    /// The project in which its `include:local` entries are looked up.
    home: &'include Home,
    /// Whether the file belongs to a component, whose data it may read.
    is_of_component: bool,
}

impl Loader<'_, '_> {
    /// Reads a text and merges its includes below it.
    fn file(&mut self, name: &str, text: &str, context: &Context<'_>) -> Option<Node> {
        let file = self.sources.add(name, text);
        self.size = self.size.saturating_add(text.len());
        let root = self.body(file, name, context)?;
        self.size = self.size.saturating_add(size::tree(&root));
        let Some(own) = root.mapping() else {
            self.diagnostics.error(root.span, "Invalid configuration format");
            return None;
        };
        let Some(include) = own.get("include") else { return Some(root) };
        let mut below = Mapping::default();
        let trees = self.included(&include.value, context);
        if trees.is_empty() && context.span.is_none() && !self.lacks_files {
            self.check_unused(&include.value);
        }
        for tree in trees {
            if let Some(mapping) = tree.mapping() {
                below = merge_mappings(&below, mapping);
            }
        }
        let own: Mapping = own
            .iter()
            .filter(|(key, _)| &***key != "include")
            .map(|(key, entry)| (Arc::clone(key), entry.clone()))
            .collect();
        Some(Node::new(root.span, Value::Mapping(Arc::new(merge_mappings(&below, &own)))))
    }

    /// Returns the tree of a text: of its second document if the first one is a header.
    /// `lib/gitlab/ci/config/yaml/loader.rb`
    fn body(&mut self, file: FileId, name: &str, context: &Context<'_>) -> Option<Node> {
        let before = self.diagnostics.errors();
        let documents = compose(self.sources, file, self.diagnostics);
        let is_read = self.diagnostics.errors() == before;
        // Empty documents are left out. `reject_empty: true` in `lib/gitlab/ci/config/yaml/loader.rb`
        let filled: Vec<Node> = documents.iter().filter(|document| !document.is_blank()).cloned().collect();
        let documents = if filled.is_empty() { documents } else { filled };
        // GitLab loads all documents, also those that it ignores.
        if let Some(other) = documents.iter().skip(1).find(|document| document.mapping().is_none()) {
            self.diagnostics.error(other.span, "Invalid configuration format");
            return None;
        }
        let spec = documents.first().filter(|_| documents.len() > 1).and_then(|header| header.get("spec"));
        let Some(spec) = spec else {
            if let Some((input, entry)) = context.inputs.first() {
                // `inputs_without_header?` of `lib/gitlab/ci/config/interpolation/interpolator.rb`
                let message = "Given inputs not defined in the `spec` section of the included configuration file";
                let error = self.diagnostics.error(entry.key_span, message);
                error.help(format!("`{name}` has no header with `spec:inputs`, so `{input}` is unknown"));
            }
            return self.only(&documents, file, is_read, (name, context));
        };
        documents.first().into_iter().for_each(|header| header::check(header, self.diagnostics));
        let by = context.span.map_or(GivenBy::Pipeline, GivenBy::Include);
        let values = inputs::values(spec, context.inputs, by, self.diagnostics);
        // With a header, the last document counts. `Yaml::Result#content`
        let body = self.only(documents.get(documents.len() - 1..)?, file, is_read, (name, context))?;
        let listed = spec.get("component").and_then(Node::sequence).filter(|_| context.is_of_component);
        let listed: Vec<Arc<str>> = listed.into_iter().flatten().filter_map(Node::text).map(Arc::from).collect();
        let expand = self.environment.expand;
        let body = inputs::interpolate(&body, &values, &listed, expand, self.sources, self.diagnostics);
        // With missing values the body would have errors that the file does not have.
        (self.diagnostics.errors() == before).then_some(body)
    }

    fn only(
        &mut self,
        documents: &[Node],
        file: FileId,
        is_read: bool,
        (name, context): (&str, &Context<'_>),
    ) -> Option<Node> {
        // `validate_hash!` of `lib/gitlab/ci/config/external/file/base.rb`
        if let Some(include) = context.span.filter(|_| is_read && documents.iter().all(Node::is_blank)) {
            let message = format!("Included file `{name}` does not have valid YAML syntax!");
            self.diagnostics.error(include, message).help("it is empty, or has only comments");
            return None;
        }
        let span = Span { file, start: 0, end: 0 };
        match documents {
            // The reason has been reported.
            [] if !is_read => {}
            [] => {
                self.diagnostics.error(span, "Please provide content of .gitlab-ci.yml");
            }
            [document] if document.is_null() => {
                self.diagnostics.error(document.span, "Please provide content of .gitlab-ci.yml");
            }
            [document, rest @ ..] if document.mapping().is_some() => {
                if let Some(second) = rest.first() {
                    let warning = self.diagnostics.warning(second.span, IGNORED);
                    warning.help("a file has two documents only if the first one is a header with `spec`");
                }
                return Some(document.clone());
            }
            [document, ..] => {
                self.diagnostics.error(document.span, "Invalid configuration format");
            }
        }
        None
    }

    /// Returns the trees of all included files, in order.
    fn included(&mut self, include: &Node, outer: &Context<'_>) -> Vec<Node> {
        // All entries are collected before the first file is read, because an included file may match a wildcard of its
        // own.
        let mut all = Vec::new();
        for include in self.entries(include) {
            all.extend(self.expanded(include, outer.home));
            if self.count + all.len() > MAX_INCLUDES {
                break;
            }
        }
        let mut trees = Vec::new();
        for include in all {
            if self.is_over {
                break;
            }
            let Some(Found { name, text, home }) = self.find(&include, outer.home) else {
                self.lacks_files = true;
                continue;
            };
            self.count += 1;
            if text.trim().is_empty() {
                self.lacks_files = true;
                self.diagnostics.error(include.span, empty_message(&include));
                continue;
            }
            let problem = if self.count > MAX_INCLUDES {
                format!("Maximum of {MAX_INCLUDES} nested includes are allowed!")
            } else if self.size > size::MAX_TOTAL {
                "The parsed YAML is too big".to_owned()
            } else {
                // `expand_context_attrs` of `lib/gitlab/ci/config/external/file/local.rb` and `component.rb`
                let is_of_component = include.kind == "component" || outer.is_of_component && include.kind == "local";
                let context =
                    Context { inputs: &include.inputs, span: Some(include.span), home: &home, is_of_component };
                let tree = self.file(&name, &text, &context);
                self.lacks_files |= tree.is_none();
                trees.extend(tree);
                continue;
            };
            // One error is enough: every further include would exceed the limit as well.
            self.is_over = true;
            self.lacks_files = true;
            self.diagnostics.error(include.span, problem);
        }
        trees
    }
}

/// `validate_content!` of `lib/gitlab/ci/config/external/file/`
fn empty_message(include: &Include) -> String {
    match &include.file {
        Some(file) => format!("Project `{}` file `{file}` is empty!", include.target),
        None if include.kind == "local" => format!("Local file `{}` is empty!", include.target.trim_start_matches('/')),
        None => format!("Included file `{}` is empty!", include.target),
    }
}
