//! From Services and Endpoints to dnsmasq's files; nothing here touches a file or a process.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Service};

/// Everything that decides the records, at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Every Service.
    pub services: Vec<Arc<Service>>,
    /// Every Endpoints object; only those of headless Services are read.
    pub endpoints: Vec<Arc<Endpoints>>,
}

/// What the cluster does not decide.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's domain, without dots around it.
    pub domain: String,
    /// The address to answer on.
    pub address: IpAddr,
    /// The port to answer on.
    pub port: u16,
    /// Who is asked for everything outside of the domain.
    pub resolv_file: PathBuf,
    /// The file of [`hosts`].
    pub hosts_file: PathBuf,
}

/// The addresses: a file that dnsmasq reads again on SIGHUP.
pub fn hosts(state: &State, settings: &Settings) -> String {
    let mut lines = BTreeSet::new();
    for service in &state.services {
        let Some((name, namespace)) = service.metadata.name.as_ref().zip(service.metadata.namespace.as_ref()) else {
            continue;
        };
        let full = format!("{name}.{namespace}.svc.{}", settings.domain);
        match service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) {
            Some("None") => lines.extend(headless(state, namespace, name, &full)),
            Some(ip) => lines.extend(ip.parse::<IpAddr>().map(|ip| format!("{ip} {full}"))),
            None => {}
        }
    }
    lines.into_iter().fold(String::new(), |text, line| text + &line + "\n")
}

fn headless(state: &State, namespace: &str, name: &str, full: &str) -> Vec<String> {
    let fits = |it: &&Arc<Endpoints>| {
        it.metadata.name.as_deref() == Some(name) && it.metadata.namespace.as_deref() == Some(namespace)
    };
    let subsets = state.endpoints.iter().filter(fits).flat_map(|it| it.subsets.iter().flatten());
    let mut lines = Vec::new();
    for address in subsets.flat_map(|subset| subset.addresses.iter().flatten()) {
        let Ok(ip) = address.ip.parse::<IpAddr>() else { continue };
        lines.push(match &address.hostname {
            Some(hostname) => format!("{ip} {hostname}.{full} {full}"),
            None => format!("{ip} {full}"),
        });
    }
    lines
}

/// The rest: read once, so a change asks for a restart. Only Services of type `ExternalName` change it.
///
/// dnsmasq follows an alias only to names that it has itself, so such a Service works for targets inside the cluster.
pub fn configuration(state: &State, settings: &Settings) -> String {
    let Settings { domain, address, port, resolv_file, hosts_file } = settings;
    let (resolv_file, hosts_file) = (resolv_file.display(), hosts_file.display());
    let mut text = format!(
        "port={port}\nlisten-address={address}\nbind-interfaces\nkeep-in-foreground\nlog-facility=-\npid-file=\n\
         no-hosts\naddn-hosts={hosts_file}\nresolv-file={resolv_file}\nlocal=/{domain}/\nlocal-ttl=5\ncache-size=1000\n"
    );
    let mut aliases = BTreeSet::new();
    for service in &state.services {
        let metadata = &service.metadata;
        let target = service.spec.as_ref().and_then(|spec| spec.external_name.as_deref());
        if let (Some(name), Some(namespace), Some(target)) = (&metadata.name, &metadata.namespace, target) {
            let target = target.trim_end_matches('.');
            if !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
                aliases.insert(format!("cname={name}.{namespace}.svc.{domain},{target}"));
            }
        }
    }
    for alias in aliases {
        let _ = writeln!(text, "{alias}");
    }
    text
}
