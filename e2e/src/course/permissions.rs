//! Page 5: a permission of the pipeline's account.

use serde_json::Value;

use super::exercise::{Exercise, Id, Verifier};
use super::manifest;
use super::project::Project;
use super::verdict::{Unsolved, Verdict};

pub(super) const CONFIG_MAPS: Exercise = Exercise {
    id: Id { page: 5, number: 1 },
    title: "One more kind",
    goal: "the Role in manifests/cluster/role.yaml allows the pipeline's account to get, list, create, patch and delete ConfigMaps, and \
           nothing else that it did not allow before",
    hint: "which API group has ConfigMaps (`kubectl api-resources`)? A rule allows every verb for every resource in its lists",
    verifier: Verifier::Project(config_maps),
};

const FILE: &str = "manifests/cluster/role.yaml";

/// The actions of `kubectl apply` and of `kubectl delete --selector`.
const EXPECTED: [&str; 5] = ["get", "list", "create", "patch", "delete"];

/// API group, resource and verb: actions with which a job could read passwords, or become more powerful than its account.
const FORBIDDEN: [(&str, &str, &str); 8] = [
    ("", "secrets", "get"),
    ("", "secrets", "list"),
    ("", "pods", "create"),
    ("", "pods/exec", "create"),
    ("", "serviceaccounts/token", "create"),
    ("", "events", "create"),
    ("rbac.authorization.k8s.io", "roles", "patch"),
    ("apps", "replicasets", "delete"),
];

fn config_maps(project: &Project) -> Verdict {
    let objects = manifest::parse(FILE, &project.read(FILE)?)?;
    let role = objects.iter().find(|object| object["kind"] == "Role");
    let role = role.ok_or_else(|| Unsolved(format!("{FILE} has no Role")))?;
    let rules = role["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let may = |group: &str, resource: &str, verb: &str| rules.iter().any(|rule| allows(rule, group, resource, verb));
    let missing: Vec<&str> = EXPECTED.into_iter().filter(|verb| !may("", "configmaps", verb)).collect();
    Unsolved::unless(missing.is_empty(), || {
        format!("the Role does not allow the account to {} ConfigMaps", missing.join(", "))
    })?;
    let excess = FORBIDDEN.iter().find(|(group, resource, verb)| may(group, resource, verb));
    Unsolved::unless(excess.is_none(), || {
        let (_, resource, verb) = excess.copied().unwrap_or_default();
        format!("the Role now also allows the account to {verb} {resource}")
    })
}

/// Whether a rule of a Role allows an action. <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>
fn allows(rule: &Value, group: &str, resource: &str, verb: &str) -> bool {
    let has = |list: &str, word: &str| {
        let words = rule[list].as_array().map(Vec::as_slice).unwrap_or_default();
        words.iter().any(|it| it == word || it == "*")
    };
    // A rule for named objects does not allow the creation of any.
    rule["resourceNames"].is_null() && has("apiGroups", group) && has("resources", resource) && has("verbs", verb)
}
