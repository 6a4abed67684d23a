//! Changes a random field of a manifest, deploys it, and runs all checks. If they all pass, the service must still meet every claim,
//! measured here with other means than those of the checks.
//!
//! `MUTATION_SEED` selects the changes (each is printed with its seed), `MUTATIONS` their number.

#![expect(clippy::expect_used, clippy::panic, reason = "test helpers fail by panicking")]

use serde_json::{Value, json};

use crate::deployment::manifest_of;
use crate::fixture::{Cleanup, DEPLOYER, fed, feed, owner, wait_for_pods};
use crate::measure::measured;
use crate::saboteurs::{COMMIT, all, failing};
use crate::support::run;
use crate::temporary::alone;

const FILES: [&str; 3] = ["deployment.yaml", "service.yaml", "ingress.yaml"];

/// The fields that name an object. With other names it would be another object, which no check looks for.
const NAMES: [&str; 4] = ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"];

/// One changed field of one manifest.
#[derive(Debug)]
struct Mutation {
    file: &'static str,
    /// A JSON pointer.
    field: String,
    /// `None` removes the field.
    value: Option<Value>,
}

impl Mutation {
    fn random(manifests: &[(&'static str, Value)], random: &mut fastrand::Rng) -> Self {
        let (file, manifest) = &manifests[random.usize(..manifests.len())];
        let mut fields = Vec::new();
        collect(manifest, "", &mut fields);
        // Without a host, an Ingress answers for the hosts of all environments, which other tests use at the same time.
        fields.retain(|field| !NAMES.contains(&&**field) && !field.ends_with("/host"));
        let field = fields.swap_remove(random.usize(..fields.len()));
        let old = manifest.pointer(&field).expect("a field of the manifest");
        // A node has room for some pods only.
        let value =
            changed(old, random).map(|value| if field == "/spec/replicas" { json!(random.u8(..4)) } else { value });
        Self { file, field, value }
    }

    fn apply(&self, manifest: &mut Value) {
        let (parent, key) = self.field.rsplit_once('/').expect("a pointer");
        let key = key.replace("~1", "/").replace("~0", "~");
        match (manifest.pointer_mut(parent).expect("a parent"), &self.value) {
            (Value::Object(fields), Some(value)) => drop(fields.insert(key, value.clone())),
            (Value::Object(fields), None) => drop(fields.remove(&key)),
            (Value::Array(items), Some(value)) => items[key.parse::<usize>().expect("an index")] = value.clone(),
            (Value::Array(items), None) => drop(items.remove(key.parse().expect("an index"))),
            (other, _) => panic!("{other} has no fields"),
        }
    }
}

/// The pointers of all fields and list items.
fn collect(value: &Value, pointer: &str, fields: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(all) => all.iter().map(|(key, it)| (key.replace('~', "~0").replace('/', "~1"), it)).collect(),
        Value::Array(all) => all.iter().enumerate().map(|(index, it)| (index.to_string(), it)).collect(),
        _ => return,
    };
    for (key, child) in children {
        let pointer = format!("{pointer}/{key}");
        collect(child, &pointer, fields);
        fields.push(pointer);
    }
}

/// Another value of the same type, or none.
fn changed(old: &Value, random: &mut fastrand::Rng) -> Option<Value> {
    if random.u8(..3) == 0 {
        return None;
    }
    match old {
        Value::Bool(it) => Some(json!(!it)),
        Value::Number(it) => {
            let it = it.as_i64().unwrap_or(1);
            Some(json!([0, 1, it + 1, it * 10, 3600][random.usize(..5)]))
        }
        Value::String(it) => Some(match random.u8(..4) {
            0 => json!(""),
            1 => json!(format!("{it}x")),
            2 => json!("true"),
            _ => json!("1"),
        }),
        _ => None,
    }
}

#[test]
#[ignore = "a change of one seed: make test-variants; random ones: make soak-mutations"]
fn a_random_change_of_a_manifest_is_caught_or_harmless() {
    let (_alone, _deployer) = (alone(), DEPLOYER.read());
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |it| it.parse().expect("a number"));
    let (mut seed, mut left) = (number("MUTATION_SEED", 3), number("MUTATIONS", 1));
    while left > 0 {
        let deployed = Deployed::new(seed);
        match deployed.verdict() {
            Verdict::Rejected => {}
            Verdict::Caught(checks) => {
                eprintln!("seed {seed}: {}: caught by {checks}", deployed.what);
                left -= 1;
            }
            Verdict::Harmless => {
                eprintln!("seed {seed}: {}: harmless", deployed.what);
                left -= 1;
            }
        }
        seed += 1;
    }
}

/// An environment with a mutation.
struct Deployed {
    slug: String,
    /// The mutation, for messages.
    what: String,
    is_accepted: bool,
    _cleanup: Cleanup,
}

enum Verdict {
    /// The API server does not accept the manifest.
    Rejected,
    /// These checks fail.
    Caught(String),
    /// The service meets every claim.
    Harmless,
}

impl Deployed {
    fn new(seed: u64) -> Self {
        let slug = format!("mutant-{seed}");
        let json = |file: &str| {
            let arguments = ["create", "--dry-run=client", "--output=json", "--filename=-"];
            let text = feed(&mut owner(&arguments), &manifest_of(file, &slug, &COMMIT));
            serde_json::from_str(&text).expect("JSON")
        };
        let mut manifests = FILES.map(|file| (file, json(file)));
        let mutation = Mutation::random(&manifests, &mut fastrand::Rng::with_seed(seed));
        let mut cleanup = vec!["--namespace=gitlab".to_owned()];
        cleanup.extend(["deployment", "service", "ingress"].map(|kind| format!("{kind}/gitlab-k8s-demo-{slug}")));
        let cleanup = Cleanup(cleanup);
        for (file, manifest) in &mut manifests {
            if *file == mutation.file {
                mutation.apply(manifest);
            }
        }
        let texts = manifests.map(|(_, manifest)| manifest.to_string());
        let is_accepted = texts.iter().all(|text| is_applied(text));
        // Like the deploy job, which waits, and fails if the pods do not become ready.
        let name = format!("deployment/gitlab-k8s-demo-{slug}");
        let _ = owner(&["--namespace=gitlab", "rollout", "status", "--timeout=20s", &name]).output();
        let what = format!(
            "{} {} = {}",
            mutation.file,
            mutation.field,
            mutation.value.map_or("none".to_owned(), |it| it.to_string())
        );
        Self { slug, what, is_accepted, _cleanup: cleanup }
    }

    fn verdict(&self) -> Verdict {
        if !self.is_accepted {
            return Verdict::Rejected;
        }
        // The checks wait for what is still to come.
        let failed = failing(&self.slug, &all(), "20s", &["--commit", &COMMIT]);
        if !failed.is_empty() {
            return Verdict::Caught(failed.into_keys().collect::<Vec<_>>().join(", "));
        }
        match measured(&self.slug) {
            Ok(()) => Verdict::Harmless,
            Err(broken) => panic!("{}: all checks pass, but {broken}", self.what),
        }
    }
}

fn is_applied(manifest: &str) -> bool {
    fed(&mut owner(&["apply", "--filename=-"]), manifest).status.success()
}

/// Without a mutation, the measurements agree with the checks.
#[test]
#[ignore = "CI has no time for it: make test-variants"]
fn an_intact_environment_meets_every_claim() {
    let _deployer = DEPLOYER.read();
    let _cleanup = crate::saboteurs::intact("measured");
    assert_eq!(measured("measured"), Ok(()));
    run(&mut owner(&["--namespace=gitlab", "scale", "--replicas=1", "deployment/gitlab-k8s-demo-measured"]));
    wait_for_pods("gitlab", "ref=measured", 1, std::time::Duration::from_mins(1));
    assert!(measured("measured").is_err());
}
