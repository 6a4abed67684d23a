//! The output about a cluster: the state of its parts, and commands to reach it.

use std::fmt::Write;

use comfy_table::{Table, presets};

use crate::environment::down::Removed;
use crate::environment::status::{Access, Status};

/// The status of a cluster, for the terminal.
pub fn text(status: &Status) -> String {
    let Some(run) = &status.run else {
        return format!("Cluster `{}` does not exist. Create it with `e2e up`.\n", status.cluster);
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for part in &status.parts {
        table.add_row([if part.ready { "ok" } else { "NO" }, part.name, &part.detail]);
    }
    let mut text = format!("Cluster {}, run {run}\n\n{}\n", status.cluster, table.trim_fmt());
    if let Some(access) = &status.access {
        text.push_str(&commands(access));
    }
    let missing = status.parts.iter().filter(|part| !part.ready).map(|part| part.name).collect::<Vec<_>>();
    let verdict = if missing.is_empty() {
        "Everything is up.".to_owned()
    } else {
        format!("Not ready: {}. Repair the cluster with `e2e up`.", missing.join(", "))
    };
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "\n{verdict}");
    text
}

fn commands(access: &Access) -> String {
    let mut text = format!("\nexport KUBECONFIG={}\nkubectl get pods --all-namespaces\n", access.kubeconfig.display());
    if let Some(address) = access.ingress_http {
        for (host, path) in [("dev.gitlab-k8s-demo.test", "/"), (access.prometheus_host, "/api/v1/targets")] {
            let _ = writeln!(text, "curl --header 'Host: {host}' http://{address}{path}");
        }
    }
    if let Some(address) = access.registry_address {
        let (authority, netrc) = (access.registry_authority.display(), access.registry_netrc.display());
        let _ = writeln!(
            text,
            "curl --cacert {authority} --netrc-file {netrc} https://localhost:{}/v2/_catalog",
            address.port()
        );
    }
    text
}

/// The removed resources, on one line.
pub fn removed(removed: &Removed) -> String {
    if removed.is_nothing() {
        return format!("Nothing to remove for cluster `{}`.\n", removed.cluster);
    }
    let counted = [
        (removed.programs, "program"),
        (removed.containers.len(), "container"),
        (removed.images.len(), "image"),
        (removed.volumes.len(), "volume"),
        (removed.networks.len(), "network"),
    ];
    let words = counted.into_iter().filter(|(count, _)| *count > 0);
    let words = words.map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }));
    format!("Removed cluster `{}`: {}.\n", removed.cluster, words.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::status::Part;

    fn access() -> Access {
        Access {
            kubeconfig: "/x/kubeconfig".into(),
            gitlab_kubeconfig: "/x/gitlab.kubeconfig".into(),
            gitlab_internal_kubeconfig: "/x/gitlab-internal.kubeconfig".into(),
            ingress_http: Some(([127, 0, 0, 1], 8080).into()),
            ingress_https: Some(([127, 0, 0, 1], 8443).into()),
            prometheus_host: "prometheus.gitlab-k8s-demo.test",
            registry_host: "registry.gitlab-k8s-demo.test",
            registry_address: Some(([127, 0, 0, 1], 32768).into()),
            registry_user: "gitlab",
            registry_password: "/x/registry-password".into(),
            registry_netrc: "/x/registry-netrc".into(),
            registry_authority: "/x/registry-ca.crt".into(),
        }
    }

    fn status(ready: bool) -> Status {
        let part = |name, ready, detail: &str| Part { name, ready, detail: detail.to_owned() };
        Status {
            cluster: "demo".to_owned(),
            run: Some("0123abcd".to_owned()),
            parts: vec![
                part("cluster", true, "Kubernetes v1.37.0, 1 of 1 nodes Ready"),
                part("registry", ready, if ready { "registry.gitlab-k8s-demo.test" } else { "not running" }),
            ],
            access: Some(access()),
        }
    }

    #[test]
    fn everything_is_up() {
        insta::assert_snapshot!(text(&status(true)));
    }

    #[test]
    fn something_is_missing() {
        insta::assert_snapshot!(text(&status(false)));
    }

    #[test]
    fn there_is_no_cluster() {
        let nothing = Status { cluster: "demo".to_owned(), run: None, parts: Vec::new(), access: None };
        assert_eq!(text(&nothing), "Cluster `demo` does not exist. Create it with `e2e up`.\n");
        assert!(!nothing.is_complete());
    }

    #[test]
    fn removed_resources_are_counted() {
        let nothing = Removed { cluster: "demo".to_owned(), ..Removed::default() };
        assert_eq!(removed(&nothing), "Nothing to remove for cluster `demo`.\n");
        let names = |count: usize| (0..count).map(|number| number.to_string()).collect();
        let all = Removed { programs: 1, containers: names(2), images: names(1), networks: names(1), ..nothing };
        assert_eq!(removed(&all), "Removed cluster `demo`: 1 program, 2 containers, 1 image, 1 network.\n");
    }
}
