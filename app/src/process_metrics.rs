//! The `process_*` family, as every Prometheus client library names it.
//!
//! The `prometheus` crate has a collector of this kind, which counts CPU time in whole seconds and opens five files for
//! a scrape. A demo's pods use milliseconds of CPU between two scrapes, so this one asks the kernel's clock.
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::str;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};
use rustix::fs::fstat;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Collects the metrics of the calling process. A value that the kernel does not tell is left out.
#[derive(Debug)]
pub(crate) struct ProcessMetrics {
    descriptions: Vec<Desc>,
    start_time_seconds: Option<f64>,
    // Opened once: reading and asking through an open file is one system call each, through a path it is six.
    memory: Option<File>,
    files: Option<File>,
    threads: Option<File>,
}

/// Name, help and kind of each, in the order in which [`ProcessMetrics::read`] returns their values.
const FAMILIES: [(&str, &str, MetricType); 7] = [
    ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", MetricType::COUNTER),
    ("process_max_fds", "Maximum number of open file descriptors.", MetricType::GAUGE),
    ("process_open_fds", "Number of open file descriptors.", MetricType::GAUGE),
    ("process_resident_memory_bytes", "Resident memory size in bytes.", MetricType::GAUGE),
    ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", MetricType::GAUGE),
    ("process_threads", "Number of OS threads in the process.", MetricType::GAUGE),
    ("process_virtual_memory_bytes", "Virtual memory size in bytes.", MetricType::GAUGE),
];

impl ProcessMetrics {
    /// # Errors
    /// None that the names above could cause; the type is that of `prometheus`.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let descriptions = FAMILIES
            .iter()
            .map(|(name, help, _)| Desc::new((*name).to_owned(), (*help).to_owned(), Vec::new(), HashMap::new()))
            .collect::<Result<_, _>>()?;
        let open = |path| File::open(path).ok();
        Ok(Self {
            descriptions,
            start_time_seconds: start_time_seconds(),
            memory: open("/proc/self/statm"),
            files: open("/proc/self/fd"),
            threads: open("/proc/self/task"),
        })
    }

    fn open_files(&self) -> Option<f64> {
        // Linux 6.2 and later tell the number as the size of the folder; before, the size is zero and the entries are
        // counted. One of them is the folder, opened for this look.
        match fstat(self.files.as_ref()?).ok()?.st_size {
            0 => Some(sample(fs::read_dir("/proc/self/fd").ok()?.count() as u64 - 1)),
            open => Some(sample(open.try_into().ok()?)),
        }
    }

    fn threads(&self) -> Option<f64> {
        // A folder has a link from its parent, one from itself, and one from each folder in it: here, a thread.
        let links = u32::try_from(fstat(self.threads.as_ref()?).ok()?.st_nlink).ok()?;
        Some(sample(links.checked_sub(2)?.into()))
    }

    /// Virtual and resident size: the first two fields of `/proc/self/statm`, which counts pages.
    fn memory_bytes(&self) -> Option<(f64, f64)> {
        // Seven numbers of at most 20 digits.
        let mut buffer = [0; 160];
        let length = self.memory.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let mut pages = str::from_utf8(&buffer[..length]).ok()?.split_ascii_whitespace();
        let mut bytes = || Some(sample(pages.next()?.parse::<u64>().ok()? * rustix::param::page_size() as u64));
        Some((bytes()?, bytes()?))
    }

    fn read(&self) -> [Option<f64>; FAMILIES.len()] {
        let memory = self.memory_bytes();
        [
            Some(cpu_seconds()),
            getrlimit(Resource::Nofile).current.map(sample),
            self.open_files(),
            memory.map(|(_, resident)| resident),
            self.start_time_seconds,
            self.threads(),
            memory.map(|(total, _)| total),
        ]
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        FAMILIES
            .iter()
            .zip(self.read())
            .filter_map(|((name, help, kind), value)| {
                let mut metric = Metric::default();
                if *kind == MetricType::COUNTER {
                    let mut counter = Counter::default();
                    counter.set_value(value?);
                    metric.set_counter(counter);
                } else {
                    let mut gauge = Gauge::default();
                    gauge.set_value(value?);
                    metric.set_gauge(gauge);
                }
                let mut family = MetricFamily::default();
                family.set_name((*name).to_owned());
                family.set_help((*help).to_owned());
                family.set_field_type(*kind);
                family.set_metric(vec![metric]);
                Some(family)
            })
            .collect()
    }
}

/// Prometheus' samples are floating point; every count here is far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of files, threads and bytes stay far below 2^53")]
fn sample(count: u64) -> f64 {
    count as f64
}

fn cpu_seconds() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a process would have to run for 285 million years")]
    let seconds = spent.tv_sec as f64;
    #[expect(clippy::cast_precision_loss, reason = "below 10^9")]
    let nanoseconds = spent.tv_nsec as f64;
    seconds + nanoseconds / 1e9
}

fn start_time_seconds() -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let process = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses; `starttime` is
    // field 22, so the 20th after the last parenthesis. proc_pid_stat(5)
    let ticks: u64 = process.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some(sample(boot) + sample(ticks) / sample(rustix::param::clock_ticks_per_second()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use super::*;

    fn collect() -> BTreeMap<String, f64> {
        ProcessMetrics::new()
            .unwrap()
            .collect()
            .iter()
            .map(|family| {
                let metric = &family.get_metric()[0];
                let value = match family.get_field_type() {
                    MetricType::COUNTER => metric.get_counter().get_value(),
                    _ => metric.get_gauge().get_value(),
                };
                (family.name().to_owned(), value)
            })
            .collect()
    }

    #[test]
    fn the_kernel_tells_every_value() {
        let values = collect();
        assert_eq!(values.keys().collect::<Vec<_>>(), FAMILIES.map(|(name, ..)| name).iter().collect::<Vec<_>>());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - values["process_start_time_seconds"];
        assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
        assert!(values["process_resident_memory_bytes"] > 100_000.0);
        assert!(values["process_virtual_memory_bytes"] > values["process_resident_memory_bytes"]);
        assert!(values["process_threads"] >= 1.0);
        assert!(values["process_max_fds"] >= values["process_open_fds"]);
    }

    #[test]
    fn an_opened_file_is_counted() {
        let before = collect()["process_open_fds"];
        // Other tests of this process open and close files at the same time, but not a hundred.
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let with_files = collect()["process_open_fds"];
        drop(files);
        assert!((100.0..300.0).contains(&(with_files - before)), "{before} -> {with_files}");
    }

    #[test]
    fn work_is_counted_in_less_than_seconds() {
        let before = cpu_seconds();
        let mut sum = 0_u64;
        while cpu_seconds() - before < 0.001 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_seconds() > before);
    }
}
