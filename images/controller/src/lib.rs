//! What the two loops of recipe-built clusters share: [`ingress-controller`] and [`cluster-dns`] both keep copies of the
//! cluster's objects and drive a program of Debian's by them.
//!
//! They exist because Debian packages neither an Ingress controller nor a DNS server for Services, and where no public
//! image registry is reached there is no other source. Real clusters use the upstream parts, Traefik and `CoreDNS`.
//!
//! [`ingress-controller`]: ../ingress_controller/index.html
//! [`cluster-dns`]: ../cluster_dns/index.html

pub mod children;
pub mod driven;
pub mod files;
pub mod names;
pub mod shutdown;
pub mod watch;
