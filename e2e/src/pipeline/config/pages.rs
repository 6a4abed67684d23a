//! `pages`: a site that GitLab publishes. That is not replayed, but its folder is among the job's artifacts.
//! <https://docs.gitlab.com/ci/yaml/#pagespublish>

use std::sync::Arc;

use super::artifacts::Artifacts;
use super::reader::{Reader, Text};
use crate::pipeline::document::node::{Node, Value};
use crate::pipeline::source::Span;

/// The folder of a site that does not say.
const FOLDER: &str = "public";

/// The artifacts of the job `name`, with the folder of its site if it has one. `app/models/ci/build.rb` (`pages_generator?`)
pub fn with_site(
    (name, span): (&Arc<str>, Span),
    pages: Option<&Node>,
    publish: Option<&Node>,
    artifacts: Option<Artifacts>,
    reader: &mut Reader<'_>,
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
    let folder = publish.and_then(|node| reader.string(node, "publish"));
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

    use crate::pipeline::run::testing::plan;

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
