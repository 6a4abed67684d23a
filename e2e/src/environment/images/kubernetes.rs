//! The Kubernetes versions of the node images.

use std::fmt;

use clap::ValueEnum;

use super::catalog::{Image, KIND_NODE_1_34, KIND_NODE_1_37};

/// A Kubernetes version for which the catalog has a node image: the oldest supported minor version and the newest.
/// <https://kubernetes.io/releases/>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum KubernetesVersion {
    /// The oldest supported minor version.
    #[value(name = "v1.34.4")]
    V1_34_4,
    /// The newest version, and the default of kind 0.33.
    #[default]
    #[value(name = "v1.37.0")]
    V1_37_0,
}

impl KubernetesVersion {
    pub fn node(self) -> &'static Image {
        match self {
            Self::V1_34_4 => &KIND_NODE_1_34,
            Self::V1_37_0 => &KIND_NODE_1_37,
        }
    }

    /// The minor version: 37 of v1.37.0.
    pub fn minor(self) -> u32 {
        match self {
            Self::V1_34_4 => 34,
            Self::V1_37_0 => 37,
        }
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V1_34_4 => "v1.34.4",
            Self::V1_37_0 => "v1.37.0",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_own_node_image_and_flag_value() {
        for version in KubernetesVersion::value_variants() {
            let value = version.to_possible_value().unwrap();
            assert_eq!(value.get_name(), version.to_string());
            assert_eq!(version.node().upstream.unwrap(), format!("docker.io/kindest/node:{version}"));
            assert!(version.to_string().starts_with(&format!("v1.{}.", version.minor())));
        }
    }
}
