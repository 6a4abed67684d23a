//! Tests of `manifests/pipeline`: a Job that clones a repository and runs its pipeline.

use super::{Job, load_image};
use crate::fixture::{Cleanup, DEPLOYER, feed, load, owner};
use crate::repository::Repository;
use crate::support::{image, run};

#[test]
fn the_job_runs_the_pipeline_of_a_clone_in_pods_of_the_cluster() {
    let _deployer = DEPLOYER.read();
    load_image();
    let image = image("debian-forky");
    load(&image);
    // Namespaces and bindings of its own, because other tests install manifests/runner.
    let name = format!("inside-{:08x}", fastrand::u32(..));
    let jobs = format!("{name}-jobs");
    let _namespaces = Cleanup(vec!["namespaces".to_owned(), name.clone(), jobs.clone()]);
    let _binding = Cleanup(vec!["--namespace=gitlab".to_owned(), "rolebinding".to_owned(), format!("{name}-deployer")]);
    let render = |dir: &str| run(&mut owner(&["kustomize", dir])).replace("gitlab-runner", &name);
    let job = Job { namespace: &name, name: "pipeline" };

    let repository = Repository::new(
        "main",
        &format!(
            "good: {{stage: build, image: '{image}', script: ['echo \"$GREETING from $CI_COMMIT_BRANCH\"']}}\n\
             bad: {{image: '{image}', script: [exit 7]}}\n"
        ),
    );
    let bundle = repository.path().join("project.bundle");
    repository.git(&["bundle", "create", "--quiet", bundle.to_str().expect("a path"), "--all"]);
    let variables = repository.path().join("variables.json");
    std::fs::write(&variables, r#"[{"key": "GREETING", "value": "good-morning", "masked": true}]"#).expect("a file");

    let namespace = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    feed(&mut owner(&["apply", "--server-side", "--filename", "-"]), &namespace.to_string());
    // The pod can read the files of this Secret, so the bundle needs no volume of its own.
    let files = [&variables, &bundle].map(|file| format!("--from-file={}", file.display()));
    job.kubectl(&["create", "secret", "generic", "pipeline", &files[0], &files[1]]);
    let objects = render("manifests/pipeline")
        .replace("https://gitlab.example.com/group/gitlab-ci-k8s-demo.git", "/variables/project.bundle");
    feed(&mut owner(&["apply", "--server-side", "--force-conflicts", "--filename", "-"]), &objects);

    let (ended, report) = job.end();
    let log = job.kubectl(&["logs", "job/pipeline", "--container=e2e"]);
    assert_eq!((&*ended, report.get("result").map(String::as_str)), ("Failed", Some("failed")), "{log}");
    assert!(log.contains("[MASKED] from main"), "{log}");
    let text = &report["report.txt"];
    assert!(text.contains("bad failed: ") && text.contains("| ") && !text.contains("good-morning"), "{text}");
    let row = text.lines().find(|line| line.trim_start().starts_with("good")).unwrap_or_default();
    assert!(row.contains("passed"), "{text}");
    let left = run(&mut owner(&["get", "pods,secrets", "--namespace", &jobs, "--output=name"]));
    assert_eq!(left, "");
}
