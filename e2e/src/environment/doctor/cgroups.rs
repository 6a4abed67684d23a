//! Checks the version of control groups (cgroups), and whether the cluster's kubelet accepts it.

use std::path::Path;

use super::finding::{Finding, Remedy, Verdict};
use super::version::NodeVersion;
use crate::environment::kind_config;

const SUBJECT: &str = "control groups";

/// The patch that kind-config.yaml needs on cgroup v1. <https://kubernetes.io/docs/concepts/architecture/cgroups/>
const PATCH: &str = "kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    apiVersion: kubelet.config.k8s.io/v1beta1
    failCgroupV1: false";

/// A file that exists if this machine mounts cgroup v2. cgroups(7)
const UNIFIED: &str = "/sys/fs/cgroup/cgroup.controllers";

/// Uses the version that the engine reports, or else this machine's own.
pub(super) fn examine(engine: Option<u32>, kind_config: &Path, node: NodeVersion, is_published: bool) -> Finding {
    let version = engine.unwrap_or_else(|| if Path::new(UNIFIED).exists() { 2 } else { 1 });
    compare(version, kind_config, node, is_published)
}

/// `is_published` is true if the node image is published by kind, and false if it is built here.
fn compare(version: u32, kind_config: &Path, node: NodeVersion, is_published: bool) -> Finding {
    let found = format!("version {version}");
    if version != 1 || !node.refuses_cgroup_v1() {
        return Finding::good(SUBJECT, "version 1 or 2", found);
    }
    let needed = format!("version 2, or a kubelet of Kubernetes {node} that is allowed to run on version 1");
    let missing = |advice: String| {
        let found = format!("{found}, which {} does not allow", kind_config.display());
        Finding::good(SUBJECT, needed.clone(), found).with(Verdict::Missing, Remedy::Advice(advice))
    };
    match kind_config::allows_cgroup_v1(kind_config) {
        // The finding about ports reports the error in the file.
        Err(_) => Finding::good(SUBJECT, needed, found),
        Ok(false) => missing(format!(
            "by default, the kubelet of Kubernetes 1.35 and newer does not start on version 1. Add to {}:\n{PATCH}",
            kind_config.display()
        )),
        Ok(true) if is_published => Finding::good(SUBJECT, needed, found).with(
            Verdict::Warning,
            Remedy::Advice(
                "kind's node images of Kubernetes 1.35 and newer no longer support version 1. If the cluster does not\n\
                come up, build the node image with `e2e up --images build`, or use Kubernetes 1.34"
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
    #[case::not_allowed(1, 35, "", true, Verdict::Missing, "version 1, which FILE does not allow")]
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
