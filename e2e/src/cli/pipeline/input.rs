//! What is read: the pipeline's file, what it includes, and variables that come from elsewhere.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use e2e::pipeline::diagnostic::Diagnostics;
use e2e::pipeline::document::load::{Environment, Files};
use e2e::pipeline::document::node::Node;
use e2e::pipeline::glob;
use e2e::pipeline::lint::{Lint, admits, lint};
use e2e::pipeline::variables::collection::{Collection, Origin, Variable};

/// Which file is read, and what stands for what it includes from elsewhere.
#[derive(Debug, clap::Args)]
pub(super) struct Input {
    /// The project's folder
    #[arg(short = 'C', long = "directory", default_value = ".", value_name = "DIR")]
    pub(super) directory: PathBuf,

    /// The pipeline's file, from the project's folder
    #[arg(long, default_value = ".gitlab-ci.yml", value_name = "FILE")]
    file: String,

    /// A folder for what is included from elsewhere: `group/project=DIR`, `template=DIR`, `https://host/=DIR`
    #[arg(long = "include", value_name = "WHAT=DIR", value_parser = pair)]
    includes: Vec<(String, String)>,

    /// A variable of the pipeline
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "two texts with `=` between".to_owned())
}

impl Input {
    /// The pipeline's own variables.
    pub(super) fn pipeline_variables(&self) -> Vec<Variable> {
        self.variables.iter().map(|(key, value)| Variable::new(key, value, Origin::Pipeline)).collect()
    }

    /// Reads the file among `files`, and tells what is wrong with it.
    pub(super) fn lint(&self, files: &dyn Files, variables: &Collection) -> Lint {
        let folders: BTreeMap<String, PathBuf> =
            self.includes.iter().map(|(what, folder)| (what.clone(), PathBuf::from(folder))).collect();
        let paths = OnceCell::new();
        let exists = |patterns: &[String]| glob::any_exists(patterns, paths.get_or_init(|| files.list()));
        let environment = Environment {
            files,
            expand: &|text| variables.expand(text),
            admits: &|rules: &Node, diagnostics: &mut Diagnostics| admits(rules, variables, &exists, diagnostics),
            folders: &folders,
        };
        lint(&self.file, &environment)
    }
}
