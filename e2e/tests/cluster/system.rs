//! Tests of the cluster itself: nodes, system pods, DNS, outgoing connections and volumes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use crate::fixture::{Cleanup, STATUS, feed, host_address, owner};
use crate::support::{docker, eventually, run};

const TIMEOUT: Duration = Duration::from_mins(1);

/// A shell in an existing pod: that of Prometheus, whose image always has a shell.
fn in_a_pod(script: &str) -> std::process::Command {
    owner(&["exec", "--namespace=monitoring", "deployment/prometheus", "--", "sh", "-c", script])
}

#[test]
fn nodes_and_all_their_pods_are_ready() {
    let nodes = run(&mut owner(&["get", "nodes", "--no-headers"]));
    assert!(!nodes.is_empty() && nodes.lines().all(|node| node.split_whitespace().nth(1) == Some("Ready")), "{nodes}");
    let pods = run(&mut owner(&["get", "pods", "--namespace=kube-system", "--no-headers"]));
    // Columns NAME READY STATUS: all containers must be ready, and the pod Running.
    let is_ready = |pod: &str| {
        let mut columns = pod.split_whitespace().skip(1);
        let (ready, total) = columns.next().and_then(|it| it.split_once('/')).unwrap_or(("0", "1"));
        ready == total && columns.next() == Some("Running")
    };
    assert!(pods.lines().count() >= 6 && pods.lines().all(is_ready), "{pods}");
}

#[test]
fn all_resources_have_the_runs_label() {
    let run_id = STATUS["run"].as_str().expect("a run");
    let label = format!("label=io.gitlab-ci-k8s-demo.run={run_id}");
    let cluster = STATUS["cluster"].as_str().expect("a name");
    let containers = docker(&["ps", "--filter", &label, "--format", "{{.Names}}"]);
    let mut containers: Vec<_> = containers.lines().collect();
    containers.sort_unstable();
    assert_eq!(containers, [format!("{cluster}-control-plane"), format!("{cluster}-registry")]);
    assert_eq!(docker(&["network", "ls", "--filter", &label, "--format", "{{.Name}}"]), cluster);
    let selector = format!("io.gitlab-ci-k8s-demo.run={run_id}");
    let namespaces = run(&mut owner(&["get", "namespaces", "--selector", &selector, "--output=name"]));
    assert_eq!(namespaces, "namespace/gitlab\nnamespace/ingress\nnamespace/monitoring");
}

#[test]
fn pods_resolve_services_by_name() {
    let address = run(&mut owner(&["get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}"]));
    for name in ["kubernetes.default.svc.cluster.local", "kubernetes.default", "kubernetes.default.svc"] {
        assert_eq!(address_of(name).as_ref(), Ok(&address), "{name}");
    }
    let unknown = address_of("nobody.default.svc.cluster.local").unwrap_err();
    assert!(unknown.contains("bad address"), "{unknown}");
}

/// The address to which a pod resolves a name. Busybox's `nslookup` ignores search domains; its `wget` uses the C library like other
/// programs, and prints `Connecting to NAME:443 (ADDRESS:443)` before it connects.
///
/// # Errors
/// The output of `wget` if it contains no address, or the reason why kubectl cannot run.
fn address_of(name: &str) -> Result<String, String> {
    let mut wget = in_a_pod(&format!("wget -T 5 -O /dev/null http://{name}:443 2>&1"));
    let output = wget.output().map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let address =
        printed.split_once('(').and_then(|(_, rest)| rest.split_once(":443)")).map(|(address, _)| address.to_owned());
    address.ok_or(printed)
}

#[test]
fn a_new_service_can_be_resolved_soon() {
    let _cleanup = Cleanup(vec!["--namespace=default".into(), "service".into(), "named".into()]);
    feed(
        &mut owner(&["apply", "--filename", "-"]),
        "apiVersion: v1\nkind: Service\nmetadata: {name: named, namespace: default}\nspec: {ports: [{port: 80, protocol: TCP}]}\n",
    );
    let address = run(&mut owner(&["get", "service", "named", "--output=jsonpath={.spec.clusterIP}"]));
    eventually("its name", TIMEOUT, || {
        let found = address_of("named.default.svc.cluster.local")?;
        if found == address { Ok(()) } else { Err(found) }
    });
}

#[test]
fn pods_reach_external_hosts_by_address_and_by_name() {
    // A name that only DNS outside the cluster has.
    let found = address_of("registry.gitlab-k8s-demo.test");
    let cluster = STATUS["cluster"].as_str().expect("a name");
    let format = format!("{{{{(index .NetworkSettings.Networks \"{cluster}\").IPAddress}}}}");
    let address = docker(&["inspect", "--format", &format, &format!("{cluster}-registry")]);
    assert_eq!(found, Ok(address));

    // A server on this machine, behind the network's gateway.
    let gateway = host_address();
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut connection, _) = listener.accept()?;
        // Closing a connection with an unread request resets it, and the response may be lost.
        let mut request = BufReader::new(&connection).lines();
        while request.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        connection.write_all(b"HTTP/1.0 200 OK\r\n\r\nfrom outside")
    });
    let answer = run(&mut in_a_pod(&format!("wget -q -T 10 -O - http://{gateway}:{port}")));
    assert_eq!(answer, "from outside");
}

#[test]
fn logs_can_be_read() {
    let text = run(&mut owner(&["logs", "--namespace=monitoring", "deployment/prometheus"]));
    assert!(text.contains("Server is ready to receive web requests"), "{text}");
}

/// A volume claim behaves as `e2e status` reports: with a default class it is bound, without one it stays Pending.
#[test]
fn a_volume_claim_behaves_as_status_reports() {
    let parts = STATUS["parts"].as_array().expect("parts");
    let storage = parts.iter().find(|part| part["name"] == "StorageClass").expect("a part")["detail"].as_str();
    let expected = if storage.expect("a detail").starts_with("no default") { "Pending" } else { "Bound" };
    let _cleanup =
        Cleanup(vec!["--namespace=default".into(), "pod/claims".into(), "persistentvolumeclaim/claim".into()]);
    // A pod that uses the claim, because some classes bind a claim only then.
    let manifest = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: claim, namespace: default}\n\
        spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: claims, namespace: default}\n\
        spec: {containers: [{name: c, image: none.test/none}], volumes: [{name: v, persistentVolumeClaim: {claimName: claim}}]}\n";
    feed(&mut owner(&["apply", "--filename", "-"]), manifest);
    eventually("the claim", TIMEOUT, || {
        let phase = run(&mut owner(&["get", "persistentvolumeclaim", "claim", "--output=jsonpath={.status.phase}"]));
        if phase == expected { Ok(()) } else { Err(phase) }
    });
}
