//! Page 8: a second host, and a query.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use reqwest::Url;
use serde_json::Value;

use super::deployed::Deployed;
use super::exercise::{Exercise, Id, Verifier};
use super::project::Project;
use super::verdict::{Unsolved, Verdict};
use crate::checks::environment::{Environment, Prometheus};

pub(super) const SECOND_HOST: Exercise = Exercise {
    id: Id { page: 8, number: 1 },
    title: "A second host",
    goal: "users reach each environment also under the host SLUG-api.DOMAIN, for paths below /version only; the first host is unchanged",
    hint: "a rule has one host; how does `pathType` decide whether /version/x or /versions match?",
    verifier: Verifier::Project(second_host),
};

pub(super) const QUERY: Exercise = Exercise {
    id: Id { page: 8, number: 2 },
    title: "Requests per second",
    goal: "a file requests.promql in the project with a query: the requests per second to route \"/\" over the last five minutes, summed \
           for each environment (`ref`) and status",
    hint: "the number of a counter says how many requests there were since the pod's start; which function turns it into a speed, and \
           what must happen first: that, or the sum?",
    verifier: Verifier::Cluster(|project, environment| query(project, environment).boxed()),
};

/// The domain of the plan's variables, from .gitlab-ci.yml.
const DOMAIN: &str = "gitlab-k8s-demo.test";

const QUERY_FILE: &str = "requests.promql";

/// The query of the answer.
const EXPECTED: &str = r#"sum by (ref, status) (rate(http_requests_total{route="/"}[5m]))"#;

fn second_host(project: &Project) -> Verdict {
    Deployed::each(project)?.iter().try_for_each(has_second_host)
}

fn has_second_host(deployed: &Deployed) -> Verdict {
    let rules = deployed.only("Ingress")?["spec"]["rules"].as_array().cloned().unwrap_or_default();
    let path_of = |host: &str| {
        let host_rules: Vec<&Value> = rules.iter().filter(|rule| rule["host"] == host).collect();
        let paths = host_rules.iter().flat_map(|rule| rule["http"]["paths"].as_array().cloned().unwrap_or_default());
        paths.collect::<Vec<Value>>()
    };
    let hosts =
        rules.iter().map(|rule| rule["host"].as_str().unwrap_or("without a host").to_owned()).collect::<Vec<_>>();
    for (host, path) in
        [(format!("{}.{DOMAIN}", deployed.slug), "/"), (format!("{}-api.{DOMAIN}", deployed.slug), "/version")]
    {
        let paths = path_of(&host);
        let [only] = paths.as_slice() else {
            return Err(Unsolved(format!("host {host} has {} paths; the hosts are {}", paths.len(), hosts.join(", "))));
        };
        Unsolved::unless(only["path"] == path && only["pathType"] == "Prefix", || {
            format!("host {host} serves the path {} with pathType {}", only["path"], only["pathType"])
        })?;
        let service = &only["backend"]["service"];
        let is_right = service["name"] == format!("gitlab-k8s-demo-{}", deployed.slug)
            && (service["port"]["name"] == "http-metrics" || service["port"]["number"] == 8000);
        Unsolved::unless(is_right, || format!("the backend of host {host} is {service}"))?;
    }
    Ok(())
}

async fn query(project: &Project, environment: &Environment) -> Verdict {
    let query = project.read(QUERY_FILE)?;
    let Some(prometheus) = &environment.prometheus else {
        return Err(Unsolved::new("the cluster has no Prometheus (`--prometheus`)"));
    };
    // Both queries are evaluated at the same time, 5 s ago: a scrape that ends between them cannot
    // change the result.
    let now = SystemTime::now() - Duration::from_secs(5);
    let time = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let expected = series(environment, prometheus, EXPECTED, &time).await?;
    Unsolved::unless(!expected.is_empty(), || {
        "Prometheus knows no requests to / of the last five minutes: send some, and wait half a minute".to_owned()
    })?;
    let found = series(environment, prometheus, query.trim(), &time).await?;
    Unsolved::unless(found.keys().eq(expected.keys()), || {
        format!("the query has {}; expected {}", describe(&found), describe(&expected))
    })?;
    // Both are sums of the same floating point numbers, in any order.
    let differing = found.iter().find(|(labels, value)| {
        let expected = expected.get(*labels).copied().unwrap_or_default();
        (*value - expected).abs() > 1e-6 * expected.abs().max(1.0)
    });
    Unsolved::unless(differing.is_none(), || {
        let (labels, value) = differing.map(|(labels, value)| (labels.as_str(), *value)).unwrap_or_default();
        format!("{labels} is {value}, which is not the number of requests per second")
    })
}

/// The number of the series, and the names of their labels or the series themselves.
fn describe(series: &BTreeMap<String, f64>) -> String {
    let parsed = series.keys().filter_map(|labels| serde_json::from_str::<BTreeMap<String, Value>>(labels).ok());
    let names: BTreeSet<String> = parsed.flat_map(BTreeMap::into_keys).collect();
    match (names.len(), series.len()) {
        (_, 0) => "no series".to_owned(),
        (..=2, ..=4) => format!("the series {}", series.keys().cloned().collect::<Vec<_>>().join(" ")),
        (_, count) => format!("{count} series with the labels {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// The series of an instant query, with their values. <https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>
async fn series(
    environment: &Environment,
    prometheus: &Prometheus,
    query: &str,
    time: &str,
) -> Result<BTreeMap<String, f64>, Unsolved> {
    // Only the path and its parameters are used.
    let url = Url::parse_with_params("http://prometheus/api/v1/query", [("query", query), ("time", time)]);
    let url = url.map_err(|error| Unsolved(format!("{QUERY_FILE}: {error}")))?;
    let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    let data = environment.ask_prometheus(prometheus, &path).await?;
    let result = data["result"].as_array().filter(|_| data["resultType"] == "vector");
    let result = result.ok_or_else(|| Unsolved(format!("the result of the query is a {}", data["resultType"])))?;
    let value = |series: &Value| series["value"][1].as_str().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN);
    Ok(result.iter().map(|series| (series["metric"].to_string(), value(series))).collect())
}
