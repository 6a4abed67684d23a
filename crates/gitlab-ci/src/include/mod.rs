//! A file with everything that it includes, as one tree. `lib/gitlab/ci/config/external/`

mod entries;
mod find;
mod loader;

use std::collections::HashSet;
use std::sync::Arc;

use self::entries::Include;
use self::find::Found;
pub use self::loader::Environment;
use self::loader::{Home, Loader};

use super::inputs::{self, GivenBy};
use crate::diagnostic::Diagnostics;
use crate::source::FileId;
use crate::source::Sources;
use crate::source::Span;
use crate::yaml::header;
use crate::yaml::merge::merge_mappings;
use crate::yaml::node::Mapping;
use crate::yaml::node::Node;
use crate::yaml::node::Value;
use crate::yaml::parse::compose;
use crate::yaml::size;

/// How many files may be included in all, each counted as often as it is.
const MOST_INCLUDES: usize = 150;

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
    let inputs = inputs::of_pipeline(environment.inputs, sources);
    let mut loader =
        Loader { environment, sources, diagnostics, count: 0, size: 0, locals: HashSet::new(), is_over: false };
    loader.file(path, &text, &From { inputs: &inputs, span: None, home: &Home::Own })
}

/// How a file comes to be read.
struct From<'include> {
    /// What it is given.
    inputs: &'include Mapping,
    /// Where it is included, if it is.
    span: Option<Span>,
    /// Whose files it includes itself.
    home: &'include Home,
}

impl Loader<'_, '_> {
    /// A text as a tree, its includes below it.
    fn file(&mut self, name: &str, text: &str, from: &From<'_>) -> Option<Node> {
        let file = self.sources.add(name, text);
        self.size = self.size.saturating_add(text.len());
        let root = self.body(file, name, from)?;
        self.size = self.size.saturating_add(size::of(&root));
        let Some(own) = root.mapping() else {
            self.diagnostics.error(root.span, "Invalid configuration format");
            return None;
        };
        let Some(include) = own.get("include") else { return Some(root) };
        let mut below = Mapping::default();
        for tree in self.included(&include.value, from.home) {
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

    /// The tree of a text: of its second document, if the first is a header. `lib/gitlab/ci/config/yaml/loader.rb`
    fn body(&mut self, file: FileId, name: &str, from: &From<'_>) -> Option<Node> {
        let before = self.diagnostics.errors();
        let documents = compose(self.sources, file, self.diagnostics);
        let is_read = self.diagnostics.errors() == before;
        let spec = documents.first().filter(|_| documents.len() > 1).and_then(|header| header.get("spec"));
        let Some(spec) = spec else {
            if let Some((input, entry)) = from.inputs.first() {
                self.diagnostics
                    .error(entry.key_span, format!("unknown input arguments: {input}: {name} has no `spec:inputs`"));
            }
            return self.only(&documents, file, is_read);
        };
        documents.first().into_iter().for_each(|header| header::check(header, self.diagnostics));
        let by = from.span.map_or(GivenBy::Pipeline, GivenBy::Include);
        let values = inputs::values(spec, from.inputs, by, self.diagnostics);
        let body = self.only(documents.get(1..)?, file, is_read)?;
        let body = inputs::interpolate(&body, &values, self.environment.expand, self.sources, self.diagnostics);
        // Without all values it would be another file, of which much is wrong that is right in this one.
        (self.diagnostics.errors() == before).then_some(body)
    }

    fn only(&mut self, documents: &[Node], file: FileId, is_read: bool) -> Option<Node> {
        let span = Span { file, start: 0, end: 0 };
        match documents {
            // Why there is none has been told.
            [] if !is_read => {}
            [] => {
                self.diagnostics.error(span, "Please provide content of .gitlab-ci.yml");
            }
            [document] if document.is_null() => {
                self.diagnostics.error(document.span, "Please provide content of .gitlab-ci.yml");
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

    /// The trees of what is included, in their order.
    fn included(&mut self, include: &Node, home: &Home) -> Vec<Node> {
        // What is asked for is known before the first is read: a file may fit a wildcard of its own.
        let mut all = Vec::new();
        for include in self.entries(include) {
            all.extend(self.expanded(include, home));
            if self.count + all.len() > MOST_INCLUDES {
                break;
            }
        }
        let mut trees = Vec::new();
        for include in all {
            if self.is_over {
                break;
            }
            let Some(Found { name, text, home }) = self.find(&include, home) else { continue };
            self.count += 1;
            if text.trim().is_empty() {
                self.diagnostics.error(include.span, empty(&include));
                continue;
            }
            let complaint = if self.count > MOST_INCLUDES {
                format!("Maximum of {MOST_INCLUDES} nested includes are allowed!")
            } else if self.size > size::LARGEST_IN_ALL {
                "The parsed YAML is too big".to_owned()
            } else {
                let from = From { inputs: &include.inputs, span: Some(include.span), home: &home };
                trees.extend(self.file(&name, &text, &from));
                continue;
            };
            // Once is enough: everything else that is included would be too much as well.
            self.is_over = true;
            self.diagnostics.error(include.span, complaint);
        }
        trees
    }
}

/// `validate_content!` of `lib/gitlab/ci/config/external/file/`
fn empty(include: &Include) -> String {
    match &include.file {
        Some(file) => format!("Project `{}` file `{file}` is empty!", include.target),
        None if include.kind == "local" => format!("Local file `{}` is empty!", include.target.trim_start_matches('/')),
        None => format!("Included file `{}` is empty!", include.target),
    }
}
