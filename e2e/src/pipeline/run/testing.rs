//! Plans for tests.

use std::collections::BTreeMap;

use crate::pipeline::document::load::{Environment, Files};
use crate::pipeline::git::Commit;
use crate::pipeline::lint::lint;
use crate::pipeline::plan::Plan;
use crate::pipeline::plan::build::{Project, build};
use crate::pipeline::plan::context::{Context, RefKind, Source};

struct One(String);

impl Files for One {
    fn read(&self, _: &str) -> Option<String> {
        Some(self.0.clone())
    }

    fn list(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The plan of a file for a push to the default branch.
pub(super) fn plan(text: &str) -> Plan {
    let (files, folders) = (One(text.to_owned()), BTreeMap::new());
    let environment = Environment { files: &files, expand: &str::to_owned, admits: &|_, _| true, folders: &folders };
    let lint = lint(".gitlab-ci.yml", &environment);
    let said: Vec<_> = lint.diagnostics.sorted().iter().map(|it| it.message.clone()).collect();
    assert!(!lint.diagnostics.has_errors(), "{said:?}");
    let context = Context {
        ref_name: "main".to_owned(),
        kind: RefKind::Branch,
        source: Source::Push,
        commit: Commit { sha: "0123456789abcdef0123456789abcdef01234567".to_owned(), ..Commit::default() },
        before: None,
        tag_message: String::new(),
        default_branch: "main".to_owned(),
        project_path: "course/demo".to_owned(),
        server: "https://gitlab.test".to_owned(),
        target_branch: None,
        kubernetes: false,
        changed: None,
        user: (String::new(), String::new()),
    };
    let project = Project { variables: &[], fits: &|_, _| true, exists: &|_| true, compare: &|_| None };
    build(&lint.configuration.unwrap(), &context, &project).unwrap()
}
