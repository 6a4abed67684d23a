//! Page 7: a third probe, and a longer shutdown.

use serde_json::Value;

use super::deployed::Deployed;
use super::exercise::{Exercise, Id, Verifier};
use super::project::Project;
use super::verdict::{Unsolved, Verdict};

pub(super) const STARTUP: Exercise = Exercise {
    id: Id { page: 7, number: 1 },
    title: "A slow start",
    goal: "a startupProbe on /livez gives the container at least 60 s to start; the other two probes have no initialDelaySeconds, and \
           are otherwise unchanged",
    hint: "which two fields of a probe, multiplied, are the time that a container has?",
    verifier: Verifier::Project(startup),
};

pub(super) const SHUTDOWN: Exercise = Exercise {
    id: Id { page: 7, number: 2 },
    title: "A long shutdown",
    goal: "the container gets --shutdown-timeout 60s, and Kubernetes never kills a pod that still keeps to its own time limits",
    hint: "a shutdown has two phases: `dist/app --help`; a comment in the Deployment names the field",
    verifier: Verifier::Project(shutdown),
};

/// The default of `periodSeconds`, and of `failureThreshold`.
/// <https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>
const PERIOD: u64 = 10;
const FAILURES: u64 = 3;

fn number(probe: &Value, field: &str, default: u64) -> u64 {
    probe[field].as_u64().unwrap_or(default)
}

/// Time for which the probe may fail until the kubelet reacts, in seconds.
fn budget(probe: &Value) -> u64 {
    number(probe, "periodSeconds", PERIOD).saturating_mul(number(probe, "failureThreshold", FAILURES))
}

fn startup(project: &Project) -> Verdict {
    Deployed::each(project)?.iter().try_for_each(may_start_slowly)
}

fn may_start_slowly(deployed: &Deployed) -> Verdict {
    let container = deployed.container()?;
    let probe = &container["startupProbe"];
    Unsolved::unless(!probe.is_null(), || "the container has no startupProbe".to_owned())?;
    for (name, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/health")] {
        let get = &container[name]["httpGet"];
        Unsolved::unless(get["path"] == path && get["port"] == "http-metrics", || {
            format!("{name} requests path {} of port {}", get["path"], get["port"])
        })?;
    }
    let seconds = budget(probe);
    Unsolved::unless((60..=600).contains(&seconds), || {
        format!("with this startupProbe, the kubelet kills a container that has not started after {seconds} s")
    })?;
    for name in ["livenessProbe", "readinessProbe"] {
        let delay = &container[name]["initialDelaySeconds"];
        Unsolved::unless(delay.is_null() || delay == 0, || format!("{name} has initialDelaySeconds: {delay}"))?;
    }
    // A tolerant liveness probe would have the same effect at the start, and would be slow for ever.
    let seconds = budget(&container["livenessProbe"]);
    Unsolved::unless(seconds <= 15, || format!("the liveness probe takes {seconds} s to detect that the service hangs"))
}

fn shutdown(project: &Project) -> Verdict {
    Deployed::each(project)?.iter().try_for_each(may_end_slowly)
}

fn may_end_slowly(deployed: &Deployed) -> Verdict {
    let (delay, timeout) = (flag(deployed, "--shutdown-delay")?, flag(deployed, "--shutdown-timeout")?);
    let timeout = timeout.ok_or_else(|| Unsolved::new("the container has no argument --shutdown-timeout"))?;
    Unsolved::unless(timeout == 60, || format!("--shutdown-timeout is {timeout} s"))?;
    // 5 s is the default of the service.
    let needed = timeout + delay.unwrap_or(5);
    let period = deployed.only("Deployment")?["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64();
    // 30 s is the default of Kubernetes.
    let period = period.unwrap_or(30);
    Unsolved::unless(period > needed, || {
        format!("the kubelet kills the container {period} s after SIGTERM, and the service may need {needed} s to end")
    })
}

/// The value of a flag of the container in seconds, from `--flag VALUE` or `--flag=VALUE`.
fn flag(deployed: &Deployed, name: &str) -> Result<Option<u64>, Unsolved> {
    let arguments = deployed.container()?["args"].as_array().cloned().unwrap_or_default();
    let arguments: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
    let joined = arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
    let apart = arguments.iter().position(|argument| *argument == name).and_then(|at| arguments.get(at + 1)).copied();
    let Some(value) = joined.or(apart) else { return Ok(None) };
    let parsed = humantime::parse_duration(value).map_err(|error| Unsolved(format!("{name} {value}: {error}")))?;
    Ok(Some(parsed.as_secs()))
}
