use std::process::{Command, Stdio};
use std::time::Duration;

use rstest::rstest;

use super::layout::*;

/// Replaces the directories of the containers with those of a test.
fn here(script: &str, dir: &std::path::Path) -> String {
    script.replace("/.e2e", dir.to_str().unwrap())
}

fn dirs() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("scripts")).unwrap();
    std::fs::create_dir(dir.path().join("logs")).unwrap();
    dir
}

fn sh(shell: &str, script: &str, arguments: &[&str], input: &str) -> std::process::Output {
    let mut command = Command::new(shell);
    command.args(["-c", script, "sh"]).args(arguments).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[rstest]
#[case::success("echo out; echo err >&2", "0", "out\nerr\n")]
#[case::exit_code("echo a; exit 3", "3", "a\n")]
#[case::forged_code("echo 0; exit 7", "7", "0\n")]
fn a_script_runs_once_and_leaves_its_exit_code(#[case] script: &str, #[case] code: &str, #[case] output: &str) {
    for shell in ["bash", "dash"] {
        let dir = dirs();
        let length = script.len().to_string();
        let stored = sh(shell, &here(&store(1), dir.path()), &[&length], script);
        assert!(stored.status.success(), "{stored:?}");
        for _ in 0..2 {
            assert!(sh(shell, &here(&start(1, None), dir.path()), &[], "").status.success());
        }
        let end = dir.path().join("scripts/1.end");
        while std::fs::read_to_string(&end).unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let expected = format!("{code} {}\n", output.len());
        assert_eq!(std::fs::read_to_string(&end).unwrap(), expected, "{shell}");
        assert_eq!(std::fs::read_to_string(dir.path().join("logs/1.log")).unwrap(), output, "{shell}");
        // The follower starts at the second byte, and ends with its input.
        let mut command = Command::new(shell);
        command.args(["-c", &here(&follow(1), dir.path()), "sh", "2"]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let (mut out, mut err) = (vec![0; output.len() - 1], String::new());
        std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut out).unwrap();
        let mut reader = std::io::BufReader::new(child.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut reader, &mut err).unwrap();
        drop(input);
        child.wait().unwrap();
        assert_eq!(out, output.as_bytes().get(1..).unwrap(), "{shell}");
        assert_eq!(err, expected, "{shell}");
    }
}

const GRACE_PERIOD: Duration = Duration::from_secs(5);

#[test]
fn without_heartbeats_both_containers_end() {
    for shell in ["bash", "dash"] {
        let dir = dirs();
        let quick = |script: String| {
            here(&script, dir.path()).replace("sleep 60", "sleep 0.2").replace("sleep 2 ", "sleep 0.2 ")
        };
        let alive = dir.path().join("scripts/alive");
        let mut containers = [watchdog(GRACE_PERIOD), idle()]
            .map(|script| Command::new(shell).args(["-c", &quick(script)]).stdin(Stdio::null()).spawn().unwrap());
        for beat in 0..20 {
            std::fs::write(&alive, format!("{beat}\n")).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(!dir.path().join("scripts/quit").exists(), "{shell}");
        for container in &mut containers {
            assert!(container.wait().unwrap().success(), "{shell}");
        }
    }
}

/// If a script kills its wrapper, the first process of the container writes the exit code.
#[test]
fn a_script_that_kills_its_wrapper_has_an_exit_code() {
    for shell in ["bash", "dash"] {
        let dir = dirs();
        let idle = here(&idle(), dir.path()).replace("sleep 2", "sleep 0.1");
        let mut first = Command::new(shell).args(["-c", &idle]).stdin(Stdio::null()).spawn().unwrap();
        for (number, script, code) in [(1, "echo out; exit 4", "4"), (2, "echo out; kill -9 $PPID; exit 4", "137")] {
            let stored = sh(shell, &here(&store(number), dir.path()), &[&script.len().to_string()], script);
            assert!(stored.status.success(), "{stored:?}");
            // The second call must not replace the process ID.
            for _ in 0..2 {
                assert!(sh(shell, &here(&start(number, None), dir.path()), &[], "").status.success());
            }
            let end = dir.path().join(format!("scripts/{number}.end"));
            let started = std::time::Instant::now();
            while std::fs::read_to_string(&end).unwrap().is_empty() && started.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(500));
            let log = std::fs::read_to_string(dir.path().join(format!("logs/{number}.log"))).unwrap();
            let end = std::fs::read_to_string(&end).unwrap();
            assert_eq!(end, format!("{code} {}\n", log.len()), "{shell} {number}: {log}");
            assert_eq!(log.contains("The process that ran the script was killed"), code == "137", "{shell}: {log}");
        }
        std::fs::write(dir.path().join("scripts/quit"), "").unwrap();
        assert!(first.wait().unwrap().success(), "{shell}");
    }
}

/// When another program deletes the pod, the helper must end after the reader, or the rest of the output would be lost.
#[test]
fn the_helper_ends_after_the_output_is_read() {
    for shell in ["bash", "dash"] {
        let dir = dirs();
        for is_read in [false, true] {
            let script = here(&watchdog(GRACE_PERIOD), dir.path()).replace("sleep 60", "sleep 5");
            let mut helper = Command::new(shell).args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
            while !dir.path().join("scripts/alive").exists() {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(300));
            let followed = dir.path().join("logs/followed");
            if is_read {
                std::fs::write(&followed, "").unwrap();
            }
            let started = std::time::Instant::now();
            assert!(Command::new("kill").arg(helper.id().to_string()).status().unwrap().success());
            if is_read {
                std::thread::sleep(Duration::from_secs(1));
                std::fs::remove_file(&followed).unwrap();
            }
            assert!(helper.wait().unwrap().success(), "{shell}");
            let duration = started.elapsed();
            assert_eq!(duration >= Duration::from_secs(1), is_read, "{shell}: {duration:?}");
            std::fs::remove_file(dir.path().join("scripts/alive")).unwrap();
        }
    }
}

#[test]
fn an_incomplete_script_is_not_stored() {
    let dir = dirs();
    let stored = sh("dash", &here(&store(1), dir.path()), &["5"], "echo");
    assert_eq!(stored.status.code(), Some(1));
    assert!(!dir.path().join("scripts/1.sh").exists());
}

#[test]
fn a_packed_directory_is_unpacked_elsewhere() {
    let dir = dirs();
    let project = dir.path().join("it's a project/sub");
    std::fs::create_dir_all(&project).unwrap();
    std::fs::write(project.join("file"), "text").unwrap();
    std::os::unix::fs::symlink("nowhere", project.join("link")).unwrap();
    let packed = |name: &str| {
        let script = pack(project.parent().unwrap().to_str().unwrap(), name);
        sh("dash", &script.replace("/.e2e/", &format!("{}/", dir.path().display())), &[], "")
    };
    assert_eq!(packed("absent").status.code(), Some(ABSENT));
    let output = packed("sub");
    let archive = std::fs::read(dir.path().join("logs/out.tar")).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), archive.len().to_string());
    let rest = sh("dash", &here(&fetch(), dir.path()), &["11"], "");
    assert_eq!(rest.stdout, archive.get(10..).unwrap());
    let target = dir.path().join("target");
    let mut command = Command::new("dash");
    command.args(["-c", &here(UNPACK, dir.path()), "sh", &archive.len().to_string(), target.to_str().unwrap()]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &archive).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(target.join("sub/file")).unwrap(), "text");
    assert_eq!(std::fs::read_link(target.join("sub/link")).unwrap(), std::path::Path::new("nowhere"));
}

/// A `tar` that hangs must not look like one that works.
#[test]
fn an_archive_that_grows_is_a_heartbeat() {
    for shell in ["bash", "dash"] {
        let dir = dirs();
        let tar = "#!/bin/sh\nfor i in 1 2 3 4 5; do echo x >> $3; sleep 0.3; done\nsleep 1.5\n";
        std::fs::write(dir.path().join("tar"), tar).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path().join("tar"), executable).unwrap();
        let script = here(&pack("/", "etc"), dir.path()).replace("sleep 20", "sleep 0.1");
        let path = format!("PATH={}:$PATH\n{script}", dir.path().display());
        let started = std::time::Instant::now();
        let output = sh(shell, &path, &[], "");
        // Nothing holds the streams open after the end.
        assert!(started.elapsed() < Duration::from_secs(15), "{shell}: {:?}", started.elapsed());
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).trim()), (Some(0), "10"), "{shell}");
        let heartbeats = String::from_utf8(output.stderr).unwrap();
        assert!(heartbeats.chars().all(|letter| letter == '\n'), "{shell}: {heartbeats:?}");
        assert!((1..=6).contains(&heartbeats.len()), "{shell}: {heartbeats:?}");
    }
}

#[test]
fn listening_ports_are_found() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    assert!(sh("dash", &wait_for_ports(&[open]), &["0"], "").stdout.is_empty());
    drop(listener);
    let silent = sh("dash", &wait_for_ports(&[open]), &["0"], "").stdout;
    assert_eq!(String::from_utf8(silent).unwrap().trim(), format!("{open:04X}"));
}

#[test]
fn the_configured_shell_is_the_only_one() {
    assert!(start(1, None).contains("/bin/bash"));
    let sh = start(1, Some("sh"));
    assert!(!sh.contains("bash") && sh.contains("/busybox/sh"), "{sh}");
}
