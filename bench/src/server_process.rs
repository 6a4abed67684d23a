//! A server process, from its start to its end.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::param::clock_ticks_per_second;
use tokio::process::{Child, Command};

use crate::access_log::AccessLog;
use crate::cores::Cores;
use crate::error::{Context, Error};
use crate::http;

/// A server that can be started: it takes `--listen-address` and `--ready-after`, and logs to standard output.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its name in messages.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
}

/// Time that a server has to become ready.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two requests to `/health` while a server starts.
const POLL_INTERVAL: Duration = Duration::from_micros(200);

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    name: &'static str,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    /// Seconds from its creation to the first 200 on `/health`.
    pub(crate) start_up: f64,
    /// Answers to `/health` before that one.
    pub(crate) not_ready: u32,
    /// Its access log.
    pub(crate) log: AccessLog,
    child: Child,
    process_dir: PathBuf,
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    /// The maximum since the start.
    pub(crate) peak: f64,
}

impl ServerProcess {
    /// Starts `server` on its core and waits until it is ready.
    pub(crate) fn start(server: &Server, cores: Cores) -> Result<Self, Error> {
        let name = server.name;
        let address = free_address().context("cannot find a free port")?;
        let mut command = Command::new(&server.program);
        command
            .args(["--listen-address", &address.to_string(), "--ready-after", "0s"])
            // A variable of the developer, such as GOGC, would change the server's behavior.
            .env_clear()
            // As in the cluster. The Go service always logs JSON.
            .env("LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let (created, child) = cores.on_server_core(|| (Instant::now(), command.spawn()))?;
        let mut child = child.context(format_args!("cannot start {}", server.program.display()))?;
        let stdout = child.stdout.take().ok_or("its standard output is closed");
        let stdout = stdout.context(format_args!("cannot read the access log of {name}"))?;
        let log = stdout.into_owned_fd().and_then(AccessLog::read);
        let log = log.context(format_args!("cannot read the access log of {name}"))?;

        let mut not_ready = 0;
        let start_up = loop {
            match http::get(address, "/health") {
                Ok(answer) if answer.status == 200 => break created.elapsed(),
                Ok(_) => not_ready += 1,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error).context(format_args!("{name} does not answer")),
            }
            if let Some(status) = child.try_wait().context(format_args!("cannot read the exit status of {name}"))? {
                return Err(Error::Measurement(format!("{name} ended while it started: {status}")));
            }
            if created.elapsed() > TIMEOUT {
                return Err(Error::Measurement(format!("{name} is not ready after {TIMEOUT:?}")));
            }
            thread::sleep(POLL_INTERVAL);
        };
        let process_dir = PathBuf::from(format!("/proc/{}", child.id().unwrap_or_default()));
        Ok(Self { name, address, start_up: start_up.as_secs_f64(), not_ready, log, child, process_dir })
    }

    /// Reads its resident memory.
    pub(crate) fn memory(&self) -> Result<Memory, Error> {
        let path = self.process_dir.join("status");
        let status = fs::read_to_string(&path).context(path.display())?;
        memory(&status).ok_or("no VmRSS or VmHWM").context(path.display())
    }

    /// The CPU time that it has used on all cores since its start, in seconds.
    pub(crate) fn processor_seconds(&self) -> Result<f64, Error> {
        let path = self.process_dir.join("stat");
        let stat = fs::read_to_string(&path).context(path.display())?;
        let ticks = processor_ticks(&stat).ok_or("no utime or stime").context(path.display())?;
        let ticks_per_second = u32::try_from(clock_ticks_per_second()).context("clock ticks")?;
        Ok(ticks / f64::from(ticks_per_second))
    }

    /// Kills it. A graceful stop would take seconds, and is not measured.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        self.child.kill().await.context(format_args!("cannot kill {}", self.name))
    }
}

/// A loopback address with a port that is free now. Another process may take the port first: the server then ends with an error, and so
/// does the measurement.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// `VmRSS` and `VmHWM` of `/proc/PID/status`. The unit `kB` in that file means KiB. `proc_pid_status(5)`
fn memory(status: &str) -> Option<Memory> {
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kibibytes| kibibytes * 1024.0)
    };
    Some(Memory { now: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
}

/// The sum of `utime` and `stime` in `/proc/PID/stat`. `proc_pid_stat(5)`
fn processor_ticks(stat: &str) -> Option<f64> {
    // The program's name is in parentheses, and may contain spaces and parentheses.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some(ticks()? + ticks()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_proc_status() {
        let status = "Name:\tapp\nVmPeak:\t  207000 kB\nVmHWM:\t    4000 kB\nVmRSS:\t    3000 kB\nThreads:\t4\n";
        assert_eq!(memory(status), Some(Memory { now: 3_072_000.0, peak: 4_096_000.0 }));
        assert_eq!(memory("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn processor_ticks_are_read_from_proc_stat() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 300 0 0 0 120 34 0 0 20 0 4 0 100 200 300";
        assert_eq!(processor_ticks(stat), Some(154.0));
        assert_eq!(processor_ticks("7 (app) S 1 7"), None);
    }
}
