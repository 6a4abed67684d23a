//! A thin loop that turns Services into records of Debian's dnsmasq.
//!
//! It exists for one place only: clusters built from Debian packages where no public image registry is reachable, and
//! Debian packages nothing that answers for Services. Real clusters use the upstream part, `CoreDNS`.

pub mod render;
