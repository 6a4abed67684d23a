//! A thin loop that turns Ingress objects into a configuration for Debian's `HAProxy`.
//!
//! It exists for one place only: clusters built from Debian packages where no public image registry is reachable, and
//! Debian packages no Ingress controller at all. Real clusters use the upstream part, Traefik v3; this one answers to
//! the same class name, `traefik`, so that the same manifests work in both.
//!
//! The crate has three parts that know nothing of each other: [`watch`] keeps a copy of the cluster's objects,
//! [`routes`] and [`render`](mod@render) turn such a copy into text without touching anything, and [`proxy`] writes the
//! text and drives `HAProxy`. [`reconcile`] ties them together.

pub mod certificate;
#[cfg(test)]
mod fixtures;
pub mod ports;
pub mod proxy;
pub mod reconcile;
pub mod render;
pub mod routes;
pub mod state;
pub mod watch;
