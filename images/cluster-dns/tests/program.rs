//! The program itself, with the real dnsmasq and what it needs of a cluster's API. Without dnsmasq these tests fail.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails; helpers count as outside of tests")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use rstest::rstest;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

/// Answers every list with an empty one, and holds every watch open.
fn cluster() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            if request.lines().next().unwrap_or_default().contains("watch=") {
                held.push(stream);
                continue;
            }
            let kind = if request.contains("/services") { "ServiceList" } else { "EndpointsList" };
            let body =
                format!(r#"{{"kind":"{kind}","apiVersion":"v1","metadata":{{"resourceVersion":"1"}},"items":[]}}"#);
            let start = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(stream, "{start}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

/// The program, with its number written to the file `number`.
fn numbered(folder: &Path) -> PathBuf {
    let program = folder.join("dnsmasq");
    let script = format!("#!/bin/sh\necho $$ > {}/number\nexec dnsmasq \"$@\"\n", folder.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn start(folder: &Path, port: u16) -> Child {
    let kubeconfig = folder.join("kubeconfig");
    let text = format!(
        r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{{"name": "c", "cluster": {{"server": "http://{}"}}}}],
            "contexts": [{{"name": "c", "context": {{"cluster": "c", "user": "u"}}}}],
            "users": [{{"name": "u", "user": {{}}}}]}}"#,
        cluster()
    );
    fs::write(&kubeconfig, text).unwrap();
    fs::write(folder.join("resolv.conf"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster-dns"));
    command.args(["--address=127.0.0.1", &format!("--port={port}")]);
    command.arg("--dnsmasq").arg(numbered(folder));
    command.arg(format!("--directory={}", folder.display()));
    command.arg(format!("--resolv-file={}/resolv.conf", folder.display()));
    command.env("KUBECONFIG", kubeconfig).spawn().unwrap()
}

#[rstest]
#[case::terminate(Signal::TERM)]
#[case::interrupt(Signal::INT)]
fn ends_with_its_dnsmasq(#[case] signal: Signal) {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut program = start(folder.path(), port);
    let serves = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
    kill_process(Pid::from_child(&program), signal).unwrap();
    let status = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        program.try_wait().unwrap()
    });
    // Before any assertion: what should have ended does now.
    let _ = program.kill();
    program.wait().unwrap();
    let number = fs::read_to_string(folder.path().join("number")).unwrap();
    let left = kill_process(Pid::from_raw(number.trim().parse().unwrap()).unwrap(), Signal::KILL);
    assert!(serves);
    assert_eq!(status.map(|it| (it.code(), it.signal())), Some((Some(0), None)));
    assert_eq!(left, Err(Errno::SRCH), "dnsmasq was still there");
}
