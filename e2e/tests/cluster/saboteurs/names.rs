//! Saboteurs of name resolution: the check `dns`.

use serde_json::{Value, json};

use super::{assert_causes, failing, intact, patch_pods, pod_spec};
use crate::fixture::{DEPLOYER, dns_address};

#[test]
#[ignore = "a variant: make test-variants"]
fn the_pods_use_the_resolver_of_the_node() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("outward");
    resolves_nothing("outward", &json!({"dnsPolicy": "Default"}), "its pods have dnsPolicy Default");
}

#[test]
fn the_pods_have_a_name_server_that_does_not_respond() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("unanswered");
    // An address of the range for documentation: <https://www.rfc-editor.org/rfc/rfc5737>
    let config = json!({"nameservers": ["192.0.2.1"], "options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "1"}]});
    let cause = "its pods have dnsPolicy None, with the name servers 192.0.2.1";
    resolves_nothing("unanswered", &json!({"dnsPolicy": "None", "dnsConfig": config}), cause);
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_pods_have_no_search_path() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("pathless");
    let config = json!({"nameservers": [dns_address()]});
    resolves_nothing("pathless", &json!({"dnsPolicy": "None", "dnsConfig": config}), "and the search path none");
}

/// Changes how the pods resolve names, and asserts that only `dns` fails, with this cause.
fn resolves_nothing(slug: &str, change: &Value, cause: &str) {
    patch_pods(slug, &pod_spec(change));
    let names = ["dns", "deployment", "service", "version"];
    let failed = failing(slug, &names, "10s", &[]);
    assert_causes(&failed, &names, &[("dns", cause)]);
}
