//! Control groups: which version the machine has, and whether the cluster's kubelet accepts it.

use std::path::Path;

use super::finding::{Finding, Remedy, Verdict};
use super::version::NodeVersion;
use crate::environment::kind_config;

const SUBJECT: &str = "control groups";

/// What kind-config.yaml needs on cgroup v1. <https://kubernetes.io/docs/concepts/architecture/cgroups/>
const PATCH: &str = "kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    apiVersion: kubelet.config.k8s.io/v1beta1
    failCgroupV1: false";

/// Where this machine mounts them, if its version is 2. cgroups(7)
const UNIFIED: &str = "/sys/fs/cgroup/cgroup.controllers";

/// The version that the engine reports, else this machine's own.
pub(super) fn examine(engine: Option<u32>, kind_config: &Path, node: NodeVersion, is_published: bool) -> Finding {
    let version = engine.unwrap_or_else(|| if Path::new(UNIFIED).exists() { 2 } else { 1 });
    compare(version, kind_config, node, is_published)
}

/// `is_published` is whether the node's image is kind's own and not built here.
fn compare(version: u32, kind_config: &Path, node: NodeVersion, is_published: bool) -> Finding {
    let found = format!("version {version}");
    if version != 1 || !node.refuses_cgroup_v1() {
        return Finding::good(SUBJECT, "version 1 or 2", found);
    }
    let needed = format!("version 2, or the kubelet of {node} allowed to run on version 1");
    let missing = |advice: String| {
        let found = format!("{found}, and {} does not allow it", kind_config.display());
        Finding::good(SUBJECT, needed.clone(), found).with(Verdict::Missing, Remedy::Advice(advice))
    };
    match kind_config::allows_cgroup_v1(kind_config) {
        // The ports' finding says what is wrong with the file.
        Err(_) => Finding::good(SUBJECT, needed, found),
        Ok(false) => missing(format!(
            "the kubelet of Kubernetes 1.35 and newer does not start on version 1 by default. Add to {}:\n{PATCH}",
            kind_config.display()
        )),
        Ok(true) if is_published => Finding::good(SUBJECT, needed, found).with(
            Verdict::Warning,
            Remedy::Advice(
                "kind's own node images of Kubernetes 1.35 and newer no longer support version 1. If the cluster does not\n\
                 come up, build the node: `e2e up --images build`, or take Kubernetes 1.34"
                    .to_owned(),
            ),
        ),
        Ok(true) => Finding::good(SUBJECT, needed, format!("{found}, allowed")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::unified(2, 37, "", false, Verdict::Good, "version 2")]
    #[case::older_kubernetes(1, 34, "", false, Verdict::Good, "version 1")]
    #[case::allowed(1, 37, PATCH, false, Verdict::Good, "version 1, allowed")]
    #[case::published_node(1, 37, PATCH, true, Verdict::Warning, "version 1")]
    #[case::not_allowed(1, 35, "", true, Verdict::Missing, "version 1, and FILE does not allow it")]
    fn findings(
        #[case] version: u32,
        #[case] minor: u32,
        #[case] config: &str,
        #[case] is_published: bool,
        #[case] verdict: Verdict,
        #[case] found: &str,
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("kind: Cluster\n{config}\n")).unwrap();
        let finding = compare(version, file.path(), NodeVersion { major: 1, minor }, is_published);
        let path = file.path().display().to_string();
        assert_eq!((finding.verdict, finding.found.replace(&path, "FILE").as_str()), (verdict, found));
        if verdict == Verdict::Missing {
            let Some(Remedy::Advice(advice)) = finding.remedy else { panic!("no advice") };
            assert!(advice.ends_with(&format!("Add to {path}:\n{PATCH}")), "{advice}");
        }
    }
}
