//! The directories in the containers of a job, and the programs that keep the containers running.
//!
//! The job's own container, `build`, and `helper` share two directories. The harness writes a script into the first one, starts it in
//! `build`, and reads its output and its exit code through `helper`. So a lost connection costs nothing: the script continues, and its
//! output is read from where the reader stopped.

use std::time::Duration;

/// The container that runs the job's commands.
pub(super) const BUILD: &str = "build";

/// The container that moves files and reads the output.
pub(super) const HELPER: &str = "helper";

/// Scripts, exit codes and signs of life, in memory: scripts contain secrets. Such a directory has the sticky bit.
pub(super) const SCRIPTS: &str = "/.e2e/scripts";

/// The output of scripts, and archives on their way out.
pub(super) const LOGS: &str = "/.e2e/logs";

/// The archive of the files that leave the pod.
pub(super) const ARCHIVE: &str = "/.e2e/logs/out.tar";

/// Time between two signs of life of the harness.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_mins(1);

/// The first process of `build`. It adopts the processes that a job leaves behind, and ends at SIGTERM, which the kernel would otherwise
/// withhold from a first process without a handler.
pub(super) fn idle() -> String {
    format!(
        "trap 'exit 0' TERM INT
while [ ! -e {SCRIPTS}/quit ]; do
  sleep 60 & wait $!
  [ $? -ne 127 ] || exit 127
done"
    )
}

/// The first process of `helper`. If the harness was killed, or has lost the cluster, and gives no sign of life for ten minutes, it ends
/// both containers. Before the first sign, images of other containers may still be pulled. The services run until the deadline of the pod.
pub(super) fn watchdog() -> String {
    format!(
        "trap 'exit 0' TERM INT
umask 0
: >> {SCRIPTS}/alive
missed=0 last=
while [ ! -e {SCRIPTS}/quit ]; do
  sleep 60 & wait $!
  [ $? -ne 127 ] || exit 127
  now=
  read -r now < {SCRIPTS}/alive
  if [ -n \"$now\" ] && [ \"$now\" = \"$last\" ]; then missed=$((missed + 1)); else missed=0; fi
  last=$now
  [ $missed -lt 10 ] || : > {SCRIPTS}/quit
done"
    )
}

/// Paths of shells, in order of preference: `shells/bash.go`, `bashDetectShellScript`.
const SHELLS: [&str; 7] =
    ["/usr/local/bin/bash", "/usr/bin/bash", "/bin/bash", "/usr/local/bin/sh", "/usr/bin/sh", "/bin/sh", "/busybox/sh"];

/// Starts the script `number` in `build`, with the first shell that exists or with the one that the runner is configured to use, and
/// returns at once. When the script ends, its exit code and the size of its output are appended to a file. A second call changes
/// nothing: the answer to the first one may have been lost.
pub(super) fn start(number: u32, shell: Option<&str>) -> String {
    let shells = SHELLS.iter().filter(|path| shell.is_none_or(|shell| path.rsplit('/').next() == Some(shell)));
    let shells = shells.copied().collect::<Vec<_>>().join(" ");
    let (name, files) = (shell.unwrap_or("bash or sh"), format!("{SCRIPTS}/{number}"));
    // The file for the exit code belongs to the user who writes it: the directory has the sticky bit, and the kernel may refuse to open
    // the files of other users there (`fs.protected_regular`). The wrapper survives SIGTERM, so that it can report the exit code. Programs
    // that it starts get the default action.
    format!(
        ": >> {files}.end || exit 1
(
  set -C
  {{ : > {files}.begun; }} || exit 0
  set +C
  trap : TERM
  for shell in {shells}; do [ -x $shell ] && break; shell=; done
  if [ -n \"$shell\" ]; then
    $shell < {files}.sh >> {LOGS}/{number}.log 2>&1
    code=$?
  else
    echo 'shell not found: {name}' >> {LOGS}/{number}.log
    code=1
  fi
  echo \"$code $(wc -c < {LOGS}/{number}.log)\" >> {files}.end
) < /dev/null > /dev/null 2>&1 &"
    )
}

/// Stores the script `number`, of `$1` bytes, which arrives on standard input.
pub(super) fn store(number: u32) -> String {
    let files = format!("{SCRIPTS}/{number}");
    format!(
        "umask 0
head -c \"$1\" > {files}.new || exit 1
[ \"$(wc -c < {files}.new)\" -eq \"$1\" ] || {{ echo 'the script is incomplete' >&2; exit 1; }}
: >> {LOGS}/{number}.log && mv {files}.new {files}.sh"
    )
}

/// Copies the output of the script `number`, from byte `$1` on, to standard output. When the script has ended, writes its exit code and the
/// size of its output to standard error. Writes an empty line there every 20 s, as a sign of life. Ends when standard input does: after
/// the harness has read everything, or when the connection is lost.
pub(super) fn follow(number: u32) -> String {
    format!(
        "tail -n +1 -f {SCRIPTS}/{number}.end >&2 &
ends=$!
tail -c \"+$1\" -f {LOGS}/{number}.log &
output=$!
while sleep 20; do echo >&2; done &
beats=$!
head -c 1 > /dev/null
kill $ends $output $beats"
    )
}

/// Stops all processes of `build` but the first one: sends SIGTERM, and SIGKILL when the script `number` has ended or after five seconds.
pub(super) fn stop(number: u32) -> String {
    format!(
        "kill -TERM -1
i=0
while [ ! -s {SCRIPTS}/{number}.end ] && [ $i -lt 50 ]; do
  i=$((i + 1))
  sleep 0.1 2> /dev/null || {{ sleep 1; i=$((i + 9)); }}
done
kill -KILL -1
exit 0"
    )
}

/// Unpacks an archive of `$1` bytes, which arrives on standard input, in the directory `$2`. New directories are writable for all users,
/// because the user of the job's image is not known here: GitLab Runner's helper works with umask 0 for the same reason. The files keep
/// their owners if the helper may set them.
pub(super) const UNPACK: &str = "umask 0
mkdir -p \"$2\" || exit 1
rm -f /.e2e/logs/owner
: > /.e2e/logs/owner
owner=
chown 65534 /.e2e/logs/owner 2> /dev/null || owner=-o
head -c \"$1\" | tar -x -p $owner -f - -C \"$2\"";

/// The exit code of [`pack`] if there is nothing of that name.
pub(super) const ABSENT: i32 = 44;

/// Packs `name` of the directory `dir` into [`ARCHIVE`], and writes the archive's size to standard output.
pub(super) fn pack(dir: &str, name: &str) -> String {
    let (dir, name) = (quote(dir), quote(name));
    // GNU tar reports a file that changes while it is read with exit code 1, after it has packed it.
    format!(
        "umask 0
cd {dir} 2> /dev/null || exit {ABSENT}
[ -e {name} ] || [ -h {name} ] || exit {ABSENT}
rm -f {ARCHIVE}
tar -c -f {ARCHIVE} -- {name} 2> {LOGS}/tar.err
code=$?
if [ $code -ne 0 ]; then
  [ $code -eq 1 ] && grep -q 'changed as we read it' {LOGS}/tar.err || {{ cat {LOGS}/tar.err >&2; exit 1; }}
fi
wc -c < {ARCHIVE}
exit 0
"
    )
}

/// Writes [`ARCHIVE`], from byte `$1` on, to standard output.
pub(super) fn fetch() -> String {
    format!("tail -c \"+$1\" {ARCHIVE}")
}

/// Waits until a program listens on each of these TCP ports, in any container of the pod, or until `$1` seconds have passed. Then it writes
/// the ports that no program listens on, in hexadecimal digits. The containers share the network, so the kernel's tables show all sockets.
pub(super) fn wait_for_ports(ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(|port| format!("{port:04X}")).collect();
    format!(
        "i=0
while :; do
  silent=
  for port in {}; do
    grep -q \": [0-9A-F]*:$port [0-9A-F]*:0000 0A\" /proc/net/tcp /proc/net/tcp6 2> /dev/null || silent=\"$silent $port\"
  done
  [ -n \"$silent\" ] || exit 0
  [ $i -lt \"$1\" ] || break
  i=$((i + 1))
  sleep 1
done
echo $silent",
        ports.join(" ")
    )
}

/// Quotes a text as a single word for every POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rstest::rstest;

    use super::*;

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
            std::thread::sleep(Duration::from_millis(500));
            drop(child.stdin.take());
            let (mut out, mut err) = (vec![0; output.len() - 1], String::new());
            std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut out).unwrap();
            let mut reader = std::io::BufReader::new(child.stderr.take().unwrap());
            std::io::BufRead::read_line(&mut reader, &mut err).unwrap();
            child.wait().unwrap();
            assert_eq!(out, output.as_bytes().get(1..).unwrap(), "{shell}");
            assert_eq!(err, expected, "{shell}");
        }
    }

    #[test]
    fn without_signs_of_life_both_containers_end() {
        for shell in ["bash", "dash"] {
            let dir = dirs();
            let quick = |script: String| here(&script, dir.path()).replace("sleep 60", "sleep 0.2");
            let alive = dir.path().join("scripts/alive");
            let mut containers = [watchdog(), idle()]
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
}
