//! The directories in the containers of a job, and the programs that keep the containers running.
//!
//! The job's own container, `build`, and `helper` share two directories. The harness writes a script into the first one, starts it in
//! `build`, and reads its output and its exit code through `helper`. After a lost connection, the script continues, and reading
//! continues at the same position.

use std::time::Duration;

/// The container that runs the job's commands.
pub(super) const BUILD: &str = "build";

/// The container that moves files and reads the output.
pub(super) const HELPER: &str = "helper";

/// Scripts, exit codes and heartbeats, in memory: scripts contain secrets. Such a directory has the sticky bit.
pub(super) const SCRIPTS: &str = "/.e2e/scripts";

/// The output of scripts, and archives on their way out.
pub(super) const LOGS: &str = "/.e2e/logs";

/// The archive of the files that leave the pod.
pub(super) const ARCHIVE: &str = "/.e2e/logs/out.tar";

/// Exists while the harness reads the output of a script.
const FOLLOWED: &str = "/.e2e/logs/followed";

/// Interval at which the wrapper of a script is checked, in seconds.
const POLL_SECONDS: u32 = 2;

/// Time between two heartbeats of the harness.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_mins(1);

/// Time until the first heartbeat. Most jobs store a script earlier, which also counts as a heartbeat, or have ended by then.
pub(super) const FIRST_HEARTBEAT: Duration = Duration::from_secs(10);

/// Sets `now` to the machine's uptime in whole seconds. An image may have no `date`, and on a loaded machine each `sleep` takes longer.
const SECONDS: &str = "seconds() { read -r now _ < /proc/uptime; now=${now%.*}; }";

/// The first process of `build`. It adopts the processes that a job leaves behind, and ends at SIGTERM, which the kernel would otherwise
/// withhold from a first process without a handler.
///
/// The first process of a container is the only one that a job cannot kill. If the wrapper of a script, from [`start`], is gone and has
/// left no exit code, this process writes that of SIGKILL, and ends what remains of the script.
pub(super) fn idle() -> String {
    format!(
        "trap 'exit 0' TERM INT
while [ ! -e {SCRIPTS}/quit ]; do
  sleep {POLL_SECONDS} & wait $!
  [ $? -ne 127 ] || exit 127
  for begun in {SCRIPTS}/*.begun; do
    number=${{begun##*/}} number=${{number%.begun}} pid=
    [ -e \"$begun\" ] && [ ! -s {SCRIPTS}/$number.end ] && read -r pid < \"$begun\" || continue
    kill -0 \"$pid\" 2> /dev/null && continue
    [ ! -s {SCRIPTS}/$number.end ] || continue
    [ $$ -ne 1 ] || kill -KILL -1
    echo 'The process that ran the script was killed, by the script itself or because memory ran out.' >> {LOGS}/$number.log
    echo \"137 $(wc -c < {LOGS}/$number.log)\" >> {SCRIPTS}/$number.end
  done
done"
    )
}

/// The first process of `helper`. If the harness was killed, or has lost the cluster, and sends no heartbeat for ten minutes, it ends both
/// containers. The ten minutes start with the first heartbeat, because images of other containers may be pulled before it. The services run
/// until the deadline of the pod.
///
/// If another program deletes the pod while the harness reads output, it ends later than `build`, up to two seconds before the end of the
/// pod's grace period, so that the harness can read the rest.
pub(super) fn watchdog(grace_period: Duration) -> String {
    let wait = grace_period.as_secs().saturating_sub(2);
    format!(
        "{SECONDS}
end() {{
  seconds
  until=$((now + {wait}))
  while [ -e {FOLLOWED} ] && [ $now -lt $until ]; do
    sleep 0.1 2> /dev/null || sleep 1
    seconds
  done
  exit 0
}}
trap end TERM INT
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
    // that it starts get the default action. It notes its process ID for `idle`; `$$` would be that of the program that starts it.
    format!(
        ": >> {files}.end || exit 1
(
  set -C
  {{ : > {files}.begun; }} || exit 0
  set +C
  sh -c 'echo $PPID' >> {files}.begun
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

/// Stores the script `number`, of `$1` bytes, which arrives on standard input, and counts as a heartbeat.
pub(super) fn store(number: u32) -> String {
    let files = format!("{SCRIPTS}/{number}");
    format!(
        "umask 0
head -c \"$1\" > {files}.new || exit 1
[ \"$(wc -c < {files}.new)\" -eq \"$1\" ] || {{ echo 'the script is incomplete' >&2; exit 1; }}
echo {number} > {SCRIPTS}/alive
: >> {LOGS}/{number}.log && mv {files}.new {files}.sh"
    )
}

/// Copies the output of the script `number` to standard output, from byte `$1` on. The script is stored; this waits until it is started.
/// When the script has ended, writes its exit code and the size of its output to standard error. Also writes an empty line there every
/// 20 s as a heartbeat. Ends when standard input ends: after the harness has read everything, or when the connection is lost.
///
/// `tail` writes pieces of at most 8 KiB. `cat` joins those that wait, because the container runtime, the kubelet and the API server pass
/// on each piece separately: with `tail` alone, a large output takes almost twice as long.
pub(super) fn follow(number: u32) -> String {
    format!(
        ": > {FOLLOWED}
{{
  until [ -e {SCRIPTS}/{number}.end ]; do sleep 0.05 2> /dev/null || sleep 1; done
  exec tail -n +1 -f {SCRIPTS}/{number}.end
}} >&2 &
ends=$!
{{
  tail -c \"+$1\" -f {LOGS}/{number}.log &
  echo $! > {LOGS}/tail.$$
  wait
}} | cat &
while sleep 20; do echo >&2; done &
heartbeat=$!
head -c 1 > /dev/null
rm -f {FOLLOWED}
kill $ends $(cat {LOGS}/tail.$$) $heartbeat
rm -f {LOGS}/tail.$$"
    )
}

/// Stops all processes of `build` but the first one: sends SIGTERM, and SIGKILL when the script `number` has ended or after five to six
/// seconds.
pub(super) fn stop(number: u32) -> String {
    format!(
        "{SECONDS}
kill -TERM -1
seconds
until=$((now + 6))
while [ ! -s {SCRIPTS}/{number}.end ] && [ $now -lt $until ]; do
  sleep 0.1 2> /dev/null || sleep 1
  seconds
done
kill -KILL -1
exit 0"
    )
}

/// Ends the container that this runs in, by ending its first process. The kernel then kills all others, including this program.
pub(super) const END: &str = "kill -TERM 1
sleep 2";

/// The exit code of [`END`] in a container that has ended.
pub(super) const ENDED: i32 = 137;

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

/// The exit code of [`pack`] if nothing with that name exists, or a link to nothing.
pub(super) const ABSENT: i32 = 44;

/// Packs `name` of the directory `dir` into [`ARCHIVE`], and writes the archive's size to standard output. While the archive grows, writes
/// an empty line to standard error every 20 s as a heartbeat.
pub(super) fn pack(dir: &str, name: &str) -> String {
    let (dir, name) = (quote(dir), quote(name));
    // GNU tar reports a file that changes while it is read with exit code 1, after it has packed it.
    format!(
        "umask 0
cd {dir} 2> /dev/null || exit {ABSENT}
[ -e {name} ] || exit {ABSENT}
rm -f {ARCHIVE}
{{
  last=
  while sleep 20 3>&-; do
    size=$(wc -c < {ARCHIVE} 3>&-)
    [ \"$size\" = \"$last\" ] || echo >&3
    last=$size
  done
}} 3>&2 > /dev/null 2>&1 &
heartbeat=$!
tar -c -f {ARCHIVE} -- {name} 2> {LOGS}/tar.err
code=$?
kill $heartbeat
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
