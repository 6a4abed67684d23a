//! Writes permissions as a manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::audit::{Object, Rights, Verbs};
use crate::record::check_report::Mode;

impl Rights {
    /// The manifest of a mode.
    pub fn manifest(&self, mode: Mode) -> String {
        let mut text = format!(
            "# The permissions of `{}`, computed by e2e/tests/cluster/rights.rs from the requests in an audit log.\n",
            mode.command()
        );
        if !self.namespaces.is_empty() {
            let namespaces: Vec<&str> = self.namespaces.keys().map(String::as_str).collect();
            let _ =
                writeln!(text, "# The namespaces are those of the cluster of `make up`: {}.", namespaces.join(", "));
        }
        let cluster = (!self.cluster.is_empty()).then(|| role("ClusterRole", mode.role(), None, &self.cluster));
        let namespaces =
            self.namespaces.iter().map(|(namespace, verbs)| role("Role", mode.role(), Some(namespace), verbs));
        text.push_str(&cluster.into_iter().chain(namespaces).collect::<Vec<_>>().join("---\n"));
        text
    }
}

fn role(kind: &str, name: &str, namespace: Option<&str>, verbs: &Verbs) -> String {
    let namespace = namespace.map(|it| format!("  namespace: {it}\n")).unwrap_or_default();
    let rules = rules(verbs);
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{namespace}rules:\n{rules}"
    )
}

/// The properties that the resources of one rule have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Common<'rights> {
    group: &'rights str,
    name: Option<&'rights str>,
    verbs: &'rights BTreeSet<String>,
}

fn rules(verbs: &Verbs) -> String {
    let mut merged: BTreeMap<Common<'_>, Vec<&str>> = BTreeMap::new();
    for (Object { group, resource, name }, verbs) in verbs {
        merged.entry(Common { group, name: name.as_deref(), verbs }).or_default().push(resource);
    }
    let mut text = String::new();
    for (Common { group, name, verbs }, resources) in merged {
        let group = if group.is_empty() { "\"\"" } else { group };
        let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
        let _ = writeln!(text, "  - apiGroups: [{group}]\n    resources: [{}]", resources.join(", "));
        if let Some(name) = name {
            let _ = writeln!(text, "    resourceNames: [{name}]");
        }
        let _ = writeln!(text, "    verbs: [{}]", verbs.join(", "));
    }
    text
}
