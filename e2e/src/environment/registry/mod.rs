//! The private registry, with TLS from its own certificate authority and one user with a generated password.
//!
//! - [`certificate`]: the authority and the certificate that it signs.
//! - [`login`]: the user's credentials.
//! - [`run`]: the container.

pub mod certificate;
pub mod login;
pub mod run;

pub use self::login::Login;

/// The registry's host name for the cluster's nodes and for containers on the cluster's network. It is not in public DNS: `.test` is
/// reserved for such names. RFC 6761
pub const HOST: &str = "registry.gitlab-k8s-demo.test";
