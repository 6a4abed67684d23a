//! Tests of lost connections to the API server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use serde_json::Value;
use tempfile::NamedTempFile;

use super::{IMAGE, Namespace, Running, runner};
use crate::fixture::{access, owner};
use crate::repository::Repository;
use crate::support::{e2e, run};

/// The owner's kubeconfig as the context `test`, with another address of the API server or another account.
pub(super) fn kubeconfig(server: Option<&str>, token: Option<&str>) -> NamedTempFile {
    let text = run(&mut owner(&["config", "view", "--raw", "--flatten", "--output=json"]));
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    if let Some(server) = server {
        config["clusters"][0]["cluster"]["server"] = server.into();
    }
    if let Some(token) = token {
        config["users"][0]["user"] = serde_json::json!({"token": token});
    }
    config["contexts"][0]["name"] = "test".into();
    config["current-context"] = "test".into();
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), config.to_string()).expect("a kubeconfig");
    file
}

/// The reference of [`IMAGE`], which the nodes have after a job has used it.
pub(super) fn image_on_the_node(namespace: &Namespace) -> String {
    assert_eq!(namespace.run("a: {script: 'true'}\n", "").code(), 0);
    let images = run(&mut e2e(&["images", "--format", "json", IMAGE]));
    let images: Value = serde_json::from_str(&images).expect("JSON");
    images[0]["reference"].as_str().expect("a reference").to_owned()
}

/// A proxy in front of the API server, whose connections can be cut.
struct Proxy {
    address: String,
    is_cut: Arc<AtomicBool>,
    /// How many times all connections have fallen silent.
    silences: Arc<AtomicUsize>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn new() -> Self {
        let text = std::fs::read_to_string(access("kubeconfig")).expect("a kubeconfig");
        let server = text.lines().find_map(|line| line.trim().strip_prefix("server: https://")).expect("a server");
        let (server, listener) = (server.to_owned(), TcpListener::bind("127.0.0.1:0").expect("a port"));
        let address = format!("https://{}", listener.local_addr().expect("an address"));
        let (is_cut, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (cut, all) = (Arc::clone(&is_cut), Arc::clone(&connections));
        let silences = Arc::new(AtomicUsize::new(0));
        let silent = Arc::clone(&silences);
        spawn(move || {
            for client in listener.incoming().flatten() {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let mut all = all.lock().expect("a lock");
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    all.push(from.try_clone().expect("a socket"));
                    let silent = Arc::clone(&silent);
                    spawn(move || copy(from, to, &silent));
                }
            }
        });
        Self { address, is_cut, silences, connections }
    }

    /// Loses everything that is sent over the connections that exist now, without closing them.
    fn silence(&self) {
        self.silences.fetch_add(1, Ordering::SeqCst);
    }

    /// Cuts all connections, and accepts no others for a while.
    fn cut(&self, duration: Duration) {
        self.is_cut.store(true, Ordering::SeqCst);
        for connection in self.connections.lock().expect("a lock").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        sleep(duration);
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

/// Copies until the end, or until all connections fall silent: from then on, everything is lost.
fn copy(mut from: TcpStream, mut to: TcpStream, silences: &AtomicUsize) {
    let mut buffer = [0; 16 * 1024];
    let before = silences.load(Ordering::SeqCst);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) if silences.load(Ordering::SeqCst) > before => {}
            Ok(count) if to.write_all(buffer.get(..count).unwrap_or_default()).is_ok() => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Runs a job that writes 600 lines in 30 s through a proxy, and disturbs its connections. No line may be lost or repeated.
fn disturbed(disturb: impl Fn(&Proxy)) {
    let namespace = Namespace::new();
    let image = image_on_the_node(&namespace);
    let proxy = Proxy::new();
    let kubeconfig = kubeconfig(Some(&proxy.address), None);
    let print = r"perl -e '$| = 1; for (1..600) { print qq(line $_\\n); select undef, undef, undef, 0.05 }'";
    let pipeline = format!(
        "a:\n  image: '{image}'\n  script: [echo begun, \"{print}\", head -c 3000000 /dev/urandom > big, exit 9]\n  artifacts: \
         {{paths: [big], when: always}}\n",
    );
    let (repository, settings) = (Repository::new("main", &pipeline), runner(""));
    let mut command = namespace.command(&repository, &settings, &["--context", "test"]);
    let child = command.env("KUBECONFIG", kubeconfig.path()).spawn().expect("e2e");
    let running = Running { child, repository, _settings: settings };
    running.wait_for("begun");
    sleep(Duration::from_secs(3));
    disturb(&proxy);
    let run = running.end();
    assert_eq!(run.ended("a")["exit_code"], 9, "{:?}", run.result("a"));
    let lines = run.all_lines("a");
    let numbers = lines.iter().filter_map(|line| line.strip_prefix("line ")?.parse::<u32>().ok());
    assert!(numbers.eq(1..=600), "{lines:#?}");
    run.has("a", "Uploading artifacts... 1 files and directories, 3000000 bytes");
}

#[test]
fn a_lost_connection_costs_no_line() {
    disturbed(|proxy| {
        proxy.cut(Duration::from_secs(8));
        sleep(Duration::from_secs(3));
        proxy.cut(Duration::from_secs(8));
    });
}

/// A firewall or a suspended machine may forget a connection without closing it.
#[test]
fn a_silent_connection_costs_no_line() {
    disturbed(Proxy::silence);
}
