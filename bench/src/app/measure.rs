//! Measures one service at a time.

use std::fs;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::audit::{Sent, audit};
use crate::cores::Cores;
use crate::error::{Context, Error};
use crate::sample::Sample;
use crate::server_process::{Server, ServerProcess};
use crate::wrk;

/// The extent of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Number of starts of each service with load.
    pub(crate) rounds: u32,
    /// Seconds of load on each route in each round.
    pub(crate) seconds: u32,
    /// Number of starts of each service without load.
    pub(crate) starts: u32,
    /// Number of connections over which the load is sent.
    pub(crate) connections: u32,
}

/// The results for one service. Times are in seconds, sizes in bytes.
#[derive(Debug)]
pub(crate) struct Found {
    /// The compiler, as reported by the service.
    pub(crate) compiler: String,
    /// Size of the executable.
    pub(crate) executable: Sample,
    /// Time from the start of the process to the first 200 on `/health`.
    pub(crate) start_up: Sample,
    /// Resident memory before the first load.
    pub(crate) idle_memory: Sample,
    /// Peak resident memory.
    pub(crate) peak_memory: Sample,
    /// Results of the load on `/health`.
    pub(crate) health: Route,
    /// Results of the load on `/metrics`.
    pub(crate) metrics: Route,
    /// Size of the response of `/metrics`.
    pub(crate) exposition: Sample,
    /// Size of a line of the access log.
    pub(crate) log_line: Sample,
}

/// The results for one route.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Requests per second.
    pub(crate) per_second: Sample,
    /// Median latency.
    pub(crate) p50: Sample,
    /// 99th percentile of the latency.
    pub(crate) p99: Sample,
    /// Share of its core that the service used.
    pub(crate) busy: Sample,
}

impl Found {
    /// The results that are available without starting `server`.
    pub(crate) fn from_server(server: &Server) -> Result<Self, Error> {
        let executable = fs::metadata(&server.program).context(server.program.display())?.len();
        Ok(Self {
            compiler: String::new(),
            executable: [f64::from(u32::try_from(executable).context(server.program.display())?)].into_iter().collect(),
            start_up: Sample::default(),
            idle_memory: Sample::default(),
            peak_memory: Sample::default(),
            health: Route::default(),
            metrics: Route::default(),
            exposition: Sample::default(),
            log_line: Sample::default(),
        })
    }
}

/// Duration of the load before the measured load. It fills caches, heaps and branch predictors.
const WARM_UP_SECONDS: u32 = 1;

/// Time after which the start-up no longer affects the memory use.
const SETTLING: Duration = Duration::from_millis(500);

pub(crate) async fn start(server: &Server, cores: Cores, found: &mut Found) -> Result<(), Error> {
    let process = ServerProcess::start(server, cores)?;
    found.start_up.push(process.start_up);
    process.stop().await
}

/// Measures one process under load. Every round has its own process, so rounds are independent of each other.
pub(crate) async fn load(server: &Server, cores: Cores, plan: Plan, found: &mut Found) -> Result<(), Error> {
    let process = ServerProcess::start(server, cores)?;
    sleep(SETTLING).await;
    found.idle_memory.push(process.memory()?.now);
    let mut sent = Vec::new();
    for (path, route) in [("/health", &mut found.health), ("/metrics", &mut found.metrics)] {
        let warm_up = wrk::run(process.address, path, plan.connections, WARM_UP_SECONDS).await?;
        let (started, used) = (Instant::now(), process.processor_seconds()?);
        let load = wrk::run(process.address, path, plan.connections, plan.seconds).await?;
        route.busy.push((process.processor_seconds()? - used) / started.elapsed().as_secs_f64());
        route.per_second.push(load.per_second);
        route.p50.push(load.p50);
        route.p99.push(load.p99);
        // At the end of each of the two loads, every connection may have a request whose answer was not counted.
        let uncounted = f64::from(2 * plan.connections);
        sent.push(Sent { path, least: warm_up.requests + load.requests, uncounted });
    }
    found.peak_memory.push(process.memory()?.peak);
    let audited = audit(server.name, &process, &sent).await?;
    found.compiler = audited.compiler;
    found.exposition.push(audited.exposition);
    found.log_line.push(audited.log_line);
    process.stop().await
}
