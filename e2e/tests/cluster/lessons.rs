//! Tests of the article's five failures: each shows its real message, and disappears with its remedy.

use crate::fixture::{DEPLOYER, access};
use crate::support::e2e;

#[test]
fn all_five_lessons_show_their_failures() {
    let _deployer = DEPLOYER.read();
    // Fails with a clear message if there is no cluster.
    access("kubeconfig");
    let output = e2e(&["lesson", "--quiet"]).output().expect("e2e runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("✔ passes with the remedy").count(), 5, "{text}");
    for message in [
        "username is empty",
        "x509: certificate signed by unknown authority",
        "localhost:8080",
        "ImagePullBackOff",
        "is invalid: spec.ports[0].name: Invalid value: \"http_metrics\"",
        "actual: none",
    ] {
        assert!(text.contains(message), "{message}: {text}");
    }
}
