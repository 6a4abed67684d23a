//! The requirements of a Kubernetes version on kind, kubectl and the kernel.

use std::fmt;

use crate::environment::images::KubernetesVersion;

/// The Kubernetes version of a cluster's nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeVersion {
    /// The first number of `1.37`.
    pub(super) major: u32,
    /// The second number of `1.37`.
    pub(super) minor: u32,
}

/// Minor versions of Kubernetes 1, each with the first kind release that has node images for it, newest first. An older kind may fail
/// with a newer node: kind guarantees nothing for node images of other releases, and kubeadm 1.37 rejects the configuration that kind
/// 0.31 and older write. <https://github.com/kubernetes-sigs/kind/releases>
const KIND: &[(u32, (u32, u32))] = &[(37, (0, 33)), (36, (0, 32)), (35, (0, 31)), (34, (0, 30))];

/// The oldest kind for Kubernetes versions that are older than those in [`KIND`].
const OLDEST_KIND: (u32, u32) = (0, 20);

/// The first minor version whose kubelet starts on cgroup v1 only if its configuration allows it.
/// <https://kubernetes.io/docs/concepts/architecture/cgroups/>
const REFUSES_CGROUP_V1: u32 = 35;

/// Maximum difference between the minor versions of kubectl and the cluster. <https://kubernetes.io/releases/version-skew-policy/#kubectl>
const KUBECTL_SKEW: u32 = 1;

impl From<KubernetesVersion> for NodeVersion {
    fn from(version: KubernetesVersion) -> Self {
        Self { major: 1, minor: version.minor() }
    }
}

impl fmt::Display for NodeVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl NodeVersion {
    /// The oldest kind that creates nodes of this version, as major and minor version.
    pub(super) fn oldest_kind(self) -> (u32, u32) {
        KIND.iter().find(|(minor, _)| self.minor >= *minor).map_or(OLDEST_KIND, |(_, kind)| *kind)
    }

    /// The oldest and newest kubectl that support a cluster of this version.
    pub(super) fn kubectl_range(self) -> (Self, Self) {
        let minor = |minor| Self { major: self.major, minor };
        (minor(self.minor.saturating_sub(KUBECTL_SKEW)), minor(self.minor + KUBECTL_SKEW))
    }

    /// Whether the kubelet starts on cgroup v1 only if its configuration allows it.
    pub(super) fn refuses_cgroup_v1(self) -> bool {
        self.minor >= REFUSES_CGROUP_V1
    }
}

/// The first `N.N` in a text, with or without a leading `v`.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '.')).find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.');
        let number = |text: &str| text.trim_end_matches(|character: char| !character.is_ascii_digit()).parse().ok();
        Some((number(numbers.next()?)?, number(numbers.next()?)?))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::newer_than_the_table(38, (0, 33))]
    #[case::newest(37, (0, 33))]
    #[case::oldest_of_the_table(34, (0, 30))]
    #[case::older_than_the_table(33, (0, 20))]
    fn the_oldest_kind_depends_on_the_kubernetes_version(#[case] minor: u32, #[case] expected: (u32, u32)) {
        assert_eq!(NodeVersion { major: 1, minor }.oldest_kind(), expected);
    }
}
