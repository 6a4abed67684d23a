//! `pages` and `publish`: a site that GitLab publishes. This crate does not publish it. It adds the directory of the site to the job's
//! artifacts. <https://docs.gitlab.com/ci/yaml/#pagespublish>, `entry/pages.rb`, `entry/publish.rb`, `entry/job.rb`

use std::sync::Arc;

use super::artifacts::Artifacts;
use super::reader::{Reader, Text};
use crate::duration;
use crate::source::Span;
use crate::variables::has_reference;
use crate::yaml::node::{Mapping, Node, Value};

/// The default directory of a site.
const DEFAULT_DIR: &str = "public";

/// Checks both keywords of the job `name`.
pub fn check(name: &str, own: &Mapping, reader: &mut Reader<'_>) {
    let value = |key: &str| own.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let pages = value("pages");
    if let Some(node) = pages {
        check_pages(node, reader);
    }
    let Some(publish) = value("publish") else { return };
    reader.string(publish, "publish");
    // A job named `pages` has a site unless it sets `pages: false`.
    let is_by_name = name == "pages" && !matches!(pages.map(|node| &node.value), Some(Value::Boolean(false)));
    if !is_by_name && pages.is_none_or(Node::is_blank) && !publish.is_blank() {
        reader.complain(publish.span, " publish", "can only be used within a `pages` job");
    }
    if let Some(pages_publish) = pages.and_then(|node| node.get("publish")) {
        // `validate_job_pages_publish!` of `lib/gitlab/ci/yaml_processor.rb`
        reader
            .diagnostics
            .error(pages_publish.span, format!("{name} job: use either {name}:publish or {name}:pages:publish"));
    }
}

fn check_pages(node: &Node, reader: &mut Reader<'_>) {
    let Some(mapping) = node.mapping() else {
        if !matches!(node.value, Value::Boolean(_)) {
            reader.complain(node.span, "pages", "config should be a hash or a boolean value");
        }
        return;
    };
    reader.known_keys(mapping, "pages", ["path_prefix", "expire_in", "publish"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    for key in ["path_prefix", "publish"] {
        if let Some(node) = value(key) {
            reader.string(node, &format!("pages {key}"));
        }
    }
    // `contains_variable?` of `lib/gitlab/config/entry/validators.rb`
    let has_variable = |node: &Node| node.scalar().is_some_and(has_reference);
    if let Some(node) = value("expire_in").filter(|node| !has_variable(node)) {
        reader.duration_by(node, "pages expire_in", duration::parse_expiry);
    }
}

/// Returns the artifacts of the job `name`, with the directory of its site if it has one. `pages_job?` of `entry/job.rb`
pub fn with_site(
    (name, span): (&Arc<str>, Span),
    pages: Option<&Node>,
    publish: Option<&Node>,
    artifacts: Option<Artifacts>,
) -> Option<Artifacts> {
    let is_site = match pages {
        Some(Node { value: Value::Boolean(is_site), .. }) => *is_site,
        Some(pages) if !pages.is_blank() => true,
        _ => &**name == "pages",
    };
    if !is_site {
        return artifacts;
    }
    let publish = pages.and_then(|pages| pages.get("publish")).or(publish).filter(|node| !node.is_null());
    // `check` reports an invalid value.
    let dir = publish.and_then(|node| Some(Text { value: node.string()?.into(), span: node.span }));
    let dir = dir.unwrap_or_else(|| Text { value: DEFAULT_DIR.into(), span });
    let mut artifacts = artifacts.unwrap_or_default();
    if artifacts.paths.iter().all(|path| path.value.trim_end_matches('/') != dir.value.trim_end_matches('/')) {
        artifacts.paths.push(dir);
    }
    Some(artifacts)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::testing::plan;

    #[rstest]
    #[case::job_named_pages("pages: {script: x}", &["public"])]
    #[case::in_addition_to_other_paths("pages: {script: x, artifacts: {paths: [a]}}", &["a", "public"])]
    #[case::listed_already("pages: {script: x, artifacts: {paths: [public/]}}", &["public/"])]
    #[case::disabled("pages: {script: x, pages: false}", &[])]
    #[case::another_directory("pages: {script: x, publish: site}", &["site"])]
    #[case::keyword_pages("a: {script: x, pages: true}", &["public"])]
    #[case::keyword_with_a_directory("a: {script: x, pages: {publish: site}}", &["site"])]
    #[case::keyword_without_content("a: {script: x, pages: {}}", &[])]
    #[case::job_named_pages_with_an_empty_keyword("pages: {script: x, pages: {}}", &["public"])]
    #[case::another_job("a: {script: x}", &[])]
    fn adds_the_directory_of_the_site(#[case] text: &str, #[case] expected: &[&str]) {
        let plan = plan(&format!("{text}\n"));
        let artifacts = plan.jobs[0].job.artifacts.as_ref();
        let paths: Vec<_> = artifacts.into_iter().flat_map(|it| &it.paths).map(|path| &*path.value).collect();
        assert_eq!(paths, expected);
    }
}
