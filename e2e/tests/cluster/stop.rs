//! The saboteurs of the check `stop`, which only `e2e run` executes.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use crate::fixture::{Cleanup, DEPLOYER, access, owner};
use crate::saboteurs::{intact, record};
use crate::support::{project, run};

/// The cluster of `make up` as the target of a scenario.
async fn target() -> e2e::checks::target::Target {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = std::path::Path::new(access("kubeconfig")).parent().and_then(|it| it.parent()).expect("a directory");
    let state = e2e::environment::cluster_dir::ClusterDir::new(dir, "gitlab-ci-k8s-demo").expect("a state");
    let kind_config = project().join("kind-config.yaml");
    let target = e2e::checks::target::Target::from_kind(&state, "gitlab-ci-k8s-demo", &kind_config, None).await;
    let mut target = target.expect("a target");
    target.timeout = std::time::Duration::from_secs(45);
    target
}

#[tokio::test]
async fn stopping_an_environment_leaves_objects_or_deletes_too_many() {
    use e2e::scenario::snapshot::{Snapshot, remove, stopped};
    // Runs alone: objects that other tests delete in the namespace would count as deleted by the stop job.
    let _deployer = DEPLOYER.write();
    let (cleanup, _other) = (intact("ending"), intact("staying"));
    let _extra = Cleanup(vec!["--namespace=gitlab".into(), "configmaps/ending".into(), "configmaps/unrelated".into()]);
    let make = |name: &str| run(&mut owner(&["--namespace=gitlab", "create", "configmap", name]));
    make("ending");
    run(&mut owner(&["--namespace=gitlab", "label", "configmap", "ending", "ref=ending"]));
    make("unrelated");
    let target = target().await;
    let (ending, staying) = (target.environment("ending", None), target.environment("staying", None));
    let before = Snapshot::take(&staying).await.expect("a snapshot");
    let origin = std::time::Instant::now();
    let delete = |kinds: &str, slug: &str| {
        run(owner(&["--namespace=gitlab", "delete", kinds]).arg(format!("--selector=ref={slug}")));
    };
    let left = async |words: &str| {
        let failure = stopped(&ending, &staying, &before, origin).await.failure.expect("something is left");
        assert!(failure.seen.contains(words), "{words}: {failure:?}");
        record(&["stop"], &[("stop", words)]);
        failure
    };
    delete("deployments,ingresses", "ending");
    left("Service gitlab-k8s-demo-ending").await;
    // No job of this pipeline applies this kind, so a stop job can easily miss it.
    drop(cleanup);
    let failure = left("ConfigMap ending").await;
    assert_eq!(failure.seen, "ConfigMap ending");
    run(&mut owner(&["--namespace=gitlab", "delete", "configmap", "ending"]));
    let check = stopped(&ending, &staying, &before, origin).await;
    assert_eq!(check.failure, None, "{check:?}");
    run(&mut owner(&["--namespace=gitlab", "delete", "configmap", "unrelated"]));
    let failure = left("ConfigMap unrelated is gone").await;
    assert_eq!(failure.seen, "ConfigMap unrelated is gone");
    delete("services", "staying");
    let failure = left("Service gitlab-k8s-demo-staying is gone").await;
    assert!(
        failure.expected.starts_with("staying and all other objects in namespace gitlab are unchanged"),
        "{failure:?}"
    );
    // After `remove`, nothing is left that a later step would have to wait for.
    remove(&staying).await.expect("it is removed");
    assert_eq!(Snapshot::take(&staying).await.expect("a snapshot").names(), None);
}
