//! A thin loop that turns Services into records of Debian's dnsmasq.
//!
//! It exists for one place only: clusters built from Debian packages where no public image registry is reachable, and
//! Debian packages nothing that answers for Services. Real clusters use the upstream part, `CoreDNS`.
//!
//! [`records`] decides who has which name, [`render`](mod@render) writes that in dnsmasq's words without touching a file
//! or a process, and [`server`] does both. Clients ask [`relay`], so that nobody notices when dnsmasq is replaced.

#[cfg(test)]
mod fixtures;
pub mod records;
pub mod relay;
pub mod render;
pub mod server;
pub mod state;
