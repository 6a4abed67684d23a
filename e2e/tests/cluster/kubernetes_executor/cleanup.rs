//! Tests of what is left of a pipeline that ends early: nothing.

use super::{Namespace, TIMEOUT};
use crate::support::eventually;

const PIPELINE: &str =
    "a: {script: [echo begun, sleep 600], services: [{name: debian-forky, alias: db, command: [sleep, '600']}]}\n";

#[test]
fn an_interrupted_pipeline_leaves_nothing() {
    let namespace = Namespace::new();
    let running = namespace.start(PIPELINE, "", "begun");
    running.signal("-INT");
    let run = running.end();
    assert_eq!((run.code(), run.result("a").0), (130, "canceled"));
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

#[test]
fn the_next_start_removes_what_a_killed_pipeline_has_left() {
    let namespace = Namespace::new();
    // Another pipeline of this machine, which goes on.
    let other = namespace.start(PIPELINE, "", "begun");
    let pods = namespace.objects();
    let mut killed = namespace.start(PIPELINE, "", "begun");
    killed.child.kill().expect("kill -9");
    killed.child.wait().expect("its end");
    assert!(namespace.objects().len() > pods.len(), "the killed pipeline has left a pod");
    let next = namespace.run("a: {script: 'true'}\n", "");
    assert_eq!(next.code(), 0);
    eventually("the removal", TIMEOUT, || {
        let left = namespace.objects();
        if left == pods { Ok(()) } else { Err(format!("{left:?}, expected {pods:?}")) }
    });
    other.signal("-INT");
    assert_eq!(other.end().code(), 130);
    assert_eq!(namespace.objects(), Vec::<String>::new());
}
