//! Tests of the Jobs that run the harness inside the cluster, with the image of `make harness-image`.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

mod checks;
mod pipeline;
mod systems;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use crate::fixture::{load, owner};
use crate::support::{docker, eventually, run};

/// Maximum time for a Job: all checks, on a machine that runs other tests at the same time.
const TIMEOUT: Duration = Duration::from_mins(8);

/// Copies the image to the nodes, once.
fn load_image() {
    static LOADED: OnceLock<()> = OnceLock::new();
    LOADED.get_or_init(|| {
        let image = "gitlab-ci-k8s-demo/e2e:latest";
        assert!(!docker(&["images", "--quiet", image]).is_empty(), "{image} does not exist: run `make harness-image`");
        load(image);
    });
}

/// A Job, and the `ConfigMap` with the same name that contains its report.
struct Job<'name> {
    namespace: &'name str,
    name: &'name str,
}

impl Job<'_> {
    /// kubectl in the Job's namespace.
    fn kubectl(&self, arguments: &[&str]) -> String {
        run(owner(arguments).args(["--namespace", self.namespace]))
    }

    /// The values of the report.
    fn report(&self) -> BTreeMap<String, String> {
        let get = ["get", "configmap", self.name, "--ignore-not-found", "--output=jsonpath={.data}"];
        serde_json::from_str(&self.kubectl(&get)).unwrap_or_default()
    }

    /// Waits for the end of the Job. Returns `Complete` or `Failed`, and the report.
    fn end(&self) -> (String, BTreeMap<String, String>) {
        let ended = eventually("the end of the Job", TIMEOUT, || {
            let path = "--output=jsonpath={.status.conditions[?(@.status=='True')].type}";
            let conditions = self.kubectl(&["get", "job", self.name, path]);
            let ended = conditions.split_whitespace().find(|it| ["Complete", "Failed"].contains(it));
            ended.map(str::to_owned).ok_or_else(|| self.kubectl(&["describe", "job,pod"]))
        });
        (ended, self.report())
    }
}
