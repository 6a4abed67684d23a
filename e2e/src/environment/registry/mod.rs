//! The private registry: TLS by an authority of its own, one user with a generated password.
//!
//! - [`certificate`]: the authority, and the certificate that it signs.
//! - [`login`]: the user.
//! - [`run`]: the container.

pub mod certificate;
pub mod login;
pub mod run;

pub use self::login::Login;

/// Its name, for the cluster's nodes and for containers on the cluster's network. It is in no DNS: `.test` is reserved for
/// this. RFC 6761
pub const HOST: &str = "registry.gitlab-k8s-demo.test";
