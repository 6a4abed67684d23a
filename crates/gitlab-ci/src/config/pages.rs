//! `pages` and `publish`: a site that GitLab publishes. That is not replayed, but its folder is among the job's artifacts.
//! <https://docs.gitlab.com/ci/yaml/#pagespublish>, `entry/pages.rb`, `entry/publish.rb`, `entry/job.rb`

use std::sync::Arc;

use super::artifacts::Artifacts;
use super::reader::{Reader, Text};
use crate::duration;
use crate::source::Span;
use crate::yaml::node::Mapping;
use crate::yaml::node::Node;
use crate::yaml::node::Value;

/// The folder of a site that does not say.
const FOLDER: &str = "public";

/// Checks both keywords of the job `name`.
pub fn check(name: &str, own: &Mapping, reader: &mut Reader<'_>) {
    let value = |key: &str| own.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let pages = value("pages");
    if let Some(node) = pages {
        check_pages(node, reader);
    }
    let Some(publish) = value("publish") else { return };
    reader.string(publish, "publish");
    // A job of that name is one unless it says no.
    let is_by_name = name == "pages" && !matches!(pages.map(|node| &node.value), Some(Value::Boolean(false)));
    if !is_by_name && pages.is_none_or(Node::is_blank) && !publish.is_blank() {
        reader.complain(publish.span, " publish", "can only be used within a `pages` job");
    }
    if let Some(of_pages) = pages.and_then(|node| node.get("publish")) {
        // `validate_job_pages_publish!` of `lib/gitlab/ci/yaml_processor.rb`
        reader
            .diagnostics
            .error(of_pages.span, format!("{name} job: use either {name}:publish or {name}:pages:publish"));
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
    if let Some(node) = value("expire_in") {
        reader.duration_by(node, "pages expire_in", duration::parse_expiry);
    }
}

/// The artifacts of the job `name`, with the folder of its site if it has one. `app/models/ci/build.rb` (`pages_generator?`)
pub fn with_site(
    (name, span): (&Arc<str>, Span),
    pages: Option<&Node>,
    publish: Option<&Node>,
    artifacts: Option<Artifacts>,
) -> Option<Artifacts> {
    let is_site = match pages.map(|pages| &pages.value) {
        Some(Value::Boolean(is_site)) => *is_site,
        Some(Value::Mapping(_)) => true,
        _ => &**name == "pages",
    };
    if !is_site {
        return artifacts;
    }
    let publish = pages.and_then(|pages| pages.get("publish")).or(publish).filter(|node| !node.is_null());
    // What is wrong with it, `check` tells.
    let folder = publish.and_then(|node| Some(Text { value: node.string()?.into(), span: node.span }));
    let folder = folder.unwrap_or_else(|| Text { value: FOLDER.into(), span });
    let mut artifacts = artifacts.unwrap_or_default();
    if artifacts.paths.iter().all(|path| path.value.trim_end_matches('/') != folder.value.trim_end_matches('/')) {
        artifacts.paths.push(folder);
    }
    Some(artifacts)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::testing::plan;

    #[rstest]
    #[case::by_its_name("pages: {script: x}", &["public"])]
    #[case::beside_others("pages: {script: x, artifacts: {paths: [a]}}", &["a", "public"])]
    #[case::named_already("pages: {script: x, artifacts: {paths: [public/]}}", &["public/"])]
    #[case::not_one("pages: {script: x, pages: false}", &[])]
    #[case::another_folder("pages: {script: x, publish: site}", &["site"])]
    #[case::by_the_keyword("a: {script: x, pages: true}", &["public"])]
    #[case::with_a_folder("a: {script: x, pages: {publish: site}}", &["site"])]
    #[case::another_job("a: {script: x}", &[])]
    fn folders(#[case] text: &str, #[case] expected: &[&str]) {
        let plan = plan(&format!("{text}\n"));
        let artifacts = plan.jobs[0].job.artifacts.as_ref();
        let paths: Vec<_> = artifacts.into_iter().flat_map(|it| &it.paths).map(|path| &*path.value).collect();
        assert_eq!(paths, expected);
    }
}
