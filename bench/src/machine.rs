//! Describes the machine for readers of the figures.

use std::fs;
use std::time::SystemTime;

use crate::error::{Context, Error};

/// Processor, CPUs and kernel.
pub(crate) fn describe() -> Result<String, Error> {
    let processors = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's release")?;
    let (model, cpus) = model_and_cpus(&processors);
    Ok(format!("{model}, {cpus} CPUs, Linux {}", kernel.trim()))
}

/// The current date in UTC.
pub(crate) fn today() -> String {
    let mut now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.truncate("2026-01-31".len());
    now
}

/// The model is not available on every architecture; the processors are numbered on most.
fn model_and_cpus(processors: &str) -> (&str, usize) {
    let values = |key: &'static str| {
        processors
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(move |(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim())
    };
    (values("model name").next().unwrap_or("unknown processor"), values("processor").count())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::two("processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n", ("AMD EPYC", 2))]
    #[case::no_name("processor\t: 0\nCPU part\t: 0xd0c\n", ("unknown processor", 1))]
    fn processors_are_read_from_cpuinfo(#[case] text: &str, #[case] expected: (&str, usize)) {
        assert_eq!(model_and_cpus(text), expected);
    }

    #[test]
    fn a_date_has_ten_characters() {
        assert_eq!(today().len(), 10);
    }
}
