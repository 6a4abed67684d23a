//! Tests of the permissions of the pipeline's account, with its own token.

use rstest::rstest;

use crate::deployment::manifest;
use crate::fixture::{DEPLOYER, deployer, feed, owner};
use crate::support::{fail, run};

#[rstest]
#[case::pods(&["get", "pods"])]
#[case::deployments(&["get", "deployments"])]
#[case::ingresses(&["get", "ingresses"])]
#[case::events(&["get", "events"])]
fn the_account_is_allowed(#[case] arguments: &[&str]) {
    let _deployer = DEPLOYER.read();
    run(&mut deployer(arguments));
}

#[test]
fn the_account_is_allowed_to_apply_the_manifests() {
    let _deployer = DEPLOYER.read();
    for file in ["deployment.yaml", "service.yaml", "ingress.yaml", "pod-disruption-budget.yaml"] {
        feed(&mut deployer(&["apply", "--dry-run=server", "--filename", "-"]), &manifest(file, "dry-run"));
    }
}

#[rstest]
#[case::secrets(&["get", "secrets"])]
#[case::the_pull_secret(&["get", "secret", "myregistry"])]
#[case::shells(&["create", "--raw", "/api/v1/namespaces/gitlab/pods/x/exec?command=sh", "--filename=/dev/null"])]
#[case::pods_through_the_api_server(&["get", "--raw", "/api/v1/namespaces/gitlab/pods/x:8000/proxy/"])]
#[case::services_elsewhere(&["get", "--raw", "/api/v1/namespaces/default/services/https:kubernetes:443/proxy/"])]
#[case::another_namespace(&["get", "pods", "--namespace=default"])]
#[case::secrets_elsewhere(&["get", "secrets", "--namespace=kube-system"])]
#[case::deploying_elsewhere(&["create", "deployment", "x", "--image=x", "--namespace=default"])]
#[case::nodes(&["get", "nodes"])]
#[case::namespaces(&["create", "namespace", "x"])]
#[case::its_own_permissions(&["create", "rolebinding", "x", "--clusterrole=admin", "--serviceaccount=gitlab:gitlab"])]
fn the_account_is_not_allowed(#[case] arguments: &[&str]) {
    let _deployer = DEPLOYER.read();
    let error = fail(&mut deployer(arguments));
    assert!(error.to_lowercase().contains("forbidden"), "{error}");
}

/// Traefik lists Secrets to find certificates.
#[rstest]
#[case::of_the_service("gitlab", true)]
#[case::of_prometheus("monitoring", true)]
#[case::elsewhere("kube-system", false)]
fn the_ingress_controller_reads_secrets_only_where_it_serves(#[case] namespace: &str, #[case] is_allowed: bool) {
    let namespace = format!("--namespace={namespace}");
    let account = "--as=system:serviceaccount:ingress:traefik";
    let answer = owner(&["auth", "can-i", "list", "secrets", &namespace, account]).output().expect("kubectl");
    assert_eq!(answer.status.success(), is_allowed, "{answer:?}");
}

#[test]
fn the_token_is_short_lived_and_belongs_to_the_account() {
    let token = run(&mut deployer(&["config", "view", "--raw", "--output=jsonpath={.users[0].user.token}"]));
    let review =
        serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let mut command = owner(&["create", "--filename", "-", "--output=jsonpath={.status.user.username}"]);
    assert_eq!(feed(&mut command, &review.to_string()), "system:serviceaccount:gitlab:gitlab");
    // The middle part of a JSON Web Token contains the expiry time. RFC 7519
    let claims = token.split('.').nth(1).expect("a JSON Web Token");
    let claims = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims).expect("base64");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    let hours = (claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat")) / 3600;
    assert!((1..=24).contains(&hours), "{hours} hours");
}
