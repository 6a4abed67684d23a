//! The environment that a pipeline needs: a machine with its prerequisites, images, a cluster and a registry.

pub mod cluster;
pub mod cluster_dir;
pub mod command;
pub mod doctor;
pub mod down;
pub mod images;
pub mod kind_config;
pub mod orphans;
pub mod package_sources;
pub mod progress;
pub mod registry;
pub mod setup;
pub mod status;
pub mod up;
