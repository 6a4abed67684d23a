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

/// The Role before the exercise.
const ORIGINAL: &str = include_str!("../../../manifests/cluster/role.yaml");

fn config_maps(project: &Project) -> Verdict {
    check(&project.read(FILE)?)
}

fn check(text: &str) -> Verdict {
    let objects = manifest::parse(FILE, text)?;
    let is_role = |object: &&Value| object["kind"] == "Role" || object["kind"] == "ClusterRole";
    let rules: Vec<&Value> = objects.iter().filter(is_role).flat_map(rules).collect();
    Unsolved::unless(!rules.is_empty(), || format!("{FILE} has no Role with rules"))?;
    let may = |verb: &str| rules.iter().any(|rule| allows(rule, "", "configmaps", verb));
    let missing: Vec<&str> = EXPECTED.into_iter().filter(|verb| !may(verb)).collect();
    Unsolved::unless(missing.is_empty(), || {
        format!("the Role does not allow the account to {} ConfigMaps", missing.join(", "))
    })?;
    let before = manifest::parse(FILE, ORIGINAL)?;
    let is_permitted = |group: &str, resource: &str, verb: &str| {
        (group.is_empty() && resource == "configmaps" && EXPECTED.contains(&verb))
            || before.iter().flat_map(self::rules).any(|rule| allows(rule, group, resource, verb))
    };
    let excess = rules
        .iter()
        .flat_map(|rule| actions(rule))
        .find(|(group, resource, verb)| !is_permitted(group, resource, verb));
    Unsolved::unless(excess.is_none(), || {
        let (_, resource, verb) = excess.unwrap_or_default();
        let verb = if verb == "*" { "do anything with" } else { verb };
        let resource = if resource == "*" { "objects of every kind" } else { resource };
        format!("the Role now also allows the account to {verb} {resource}")
    })
}

fn rules(role: &Value) -> impl Iterator<Item = &Value> {
    role["rules"].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// The API group, the resource and the verb of each action that a rule allows, as written: `*` is one of them.
fn actions(rule: &Value) -> Vec<(&str, &str, &str)> {
    let words =
        |list: &str| rule[list].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str);
    let resources = || words("resources").flat_map(|resource| words("verbs").map(move |verb| (resource, verb)));
    words("apiGroups").flat_map(|group| resources().map(move |(resource, verb)| (group, resource, verb))).collect()
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ANSWER: &str = "{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list, create, patch, delete]}";

    #[rstest]
    #[case::the_answer(&[ANSWER], None)]
    #[case::in_two_rules(
        &[
            "{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}",
            "{apiGroups: [\"\"], resources: [configmaps, services], verbs: [create, patch, delete]}",
        ],
        None
    )]
    #[case::a_missing_verb(
        &["{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list, create, patch]}"],
        Some("the Role does not allow the account to delete ConfigMaps")
    )]
    #[case::every_verb(
        &["{apiGroups: [\"\"], resources: [configmaps], verbs: [\"*\"]}"],
        Some("the Role now also allows the account to do anything with configmaps")
    )]
    #[case::another_verb(
        &["{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list, watch, create, patch, delete]}"],
        Some("the Role now also allows the account to watch configmaps")
    )]
    #[case::another_kind(
        &[ANSWER, "{apiGroups: [batch], resources: [jobs], verbs: [create]}"],
        Some("the Role now also allows the account to create jobs")
    )]
    #[case::every_kind(
        &["{apiGroups: [\"\"], resources: [\"*\"], verbs: [get, list, create, patch, delete]}"],
        Some("the Role now also allows the account to get objects of every kind")
    )]
    fn the_role_allows_exactly_this(#[case] rules: &[&str], #[case] expected: Option<&str>) {
        let text = rules.iter().fold(ORIGINAL.to_owned(), |text, rule| format!("{text}  - {rule}\n"));
        assert_eq!(check(&text).err().map(|error| error.0).as_deref(), expected);
    }
}
