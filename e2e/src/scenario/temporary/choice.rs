//! Chooses the values of the manifests that differ between clusters: the class of the Ingress and the architecture of the nodes.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::IngressClass;
use kube::ResourceExt;

use crate::checks::discovery::Choice;
use crate::checks::ingress_class;

/// How requests from outside the cluster reach the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// By an Ingress of this class.
    Class(String),
    /// By an `HTTPRoute` to this Gateway.
    Gateway { namespace: String, name: String },
}

/// The cluster has several possible values, which the error contains. The user must select one with an option.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmbiguousCluster {
    #[error("the cluster has several IngressClasses, and none is the default: {0}; select one with --ingress-class")]
    Classes(String),
    #[error("the nodes have several architectures: {0}; select that of the image with --architecture")]
    Architectures(String),
}

/// The exposure that the user has given, or else the class of the cluster, if it has one.
pub(super) fn exposure(
    given: Option<Exposure>,
    classes: &[IngressClass],
) -> Result<(Option<Exposure>, Choice), AmbiguousCluster> {
    let choice =
        |value: Option<String>, reason: &str| Choice { subject: "entry point", value, reason: reason.to_owned() };
    let (exposure, reason) = match given {
        Some(class @ Exposure::Class(_)) => (class, "selected with `--ingress-class`"),
        Some(gateway @ Exposure::Gateway { .. }) => (gateway, "selected with `--gateway`"),
        None => match (classes.iter().find(|class| ingress_class::is_default(class)), classes) {
            (Some(class), _) => (Exposure::Class(class.name_any()), "the cluster's default class"),
            (None, [class]) => (Exposure::Class(class.name_any()), "the only class of the cluster"),
            (None, []) => {
                let reason = "the cluster has no IngressClass; select a Gateway with `--gateway`";
                return Ok((None, choice(None, reason)));
            }
            (None, several) => {
                let names: BTreeSet<String> = several.iter().map(ResourceExt::name_any).collect();
                return Err(AmbiguousCluster::Classes(names.into_iter().collect::<Vec<_>>().join(", ")));
            }
        },
    };
    let shown = match &exposure {
        Exposure::Class(class) => format!("Ingress of class {class}"),
        Exposure::Gateway { namespace, name } => format!("Gateway {namespace}/{name}"),
    };
    Ok((Some(exposure), choice(Some(shown), reason)))
}

/// The architecture that the user has given, or else that of the nodes.
pub(super) fn architecture(given: Option<String>, nodes: &[String]) -> Result<(String, Choice), AmbiguousCluster> {
    let choice = |value: &str, reason: &str| {
        let chosen = Choice { subject: "architecture", value: Some(value.to_owned()), reason: reason.to_owned() };
        (value.to_owned(), chosen)
    };
    match (given, nodes) {
        (Some(given), _) => Ok(choice(&given, "selected with `--architecture`")),
        (None, [one]) => Ok(choice(one, "the architecture of all nodes")),
        // Without the right to list nodes, the default of the pipeline.
        (None, []) => Ok(choice("amd64", "the default of the pipeline, because the account cannot list the nodes")),
        (None, several) => Err(AmbiguousCluster::Architectures(several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn class(name: &str, is_default: bool) -> IngressClass {
        let annotations =
            if is_default { json!({"ingressclass.kubernetes.io/is-default-class": "true"}) } else { json!({}) };
        serde_json::from_value(json!({"metadata": {"name": name, "annotations": annotations}})).unwrap()
    }

    #[rstest]
    #[case::given(Some(Exposure::Class("own".into())), &[("a", true)], Ok(Some(Exposure::Class("own".into()))))]
    #[case::default(None, &[("a", false), ("b", true)], Ok(Some(Exposure::Class("b".into()))))]
    #[case::only(None, &[("a", false)], Ok(Some(Exposure::Class("a".into()))))]
    #[case::none(None, &[], Ok(None))]
    #[case::several(None, &[("b", false), ("a", false)], Err(AmbiguousCluster::Classes("a, b".into())))]
    fn an_option_precedes_the_class_of_the_cluster(
        #[case] given: Option<Exposure>,
        #[case] classes: &[(&str, bool)],
        #[case] expected: Result<Option<Exposure>, AmbiguousCluster>,
    ) {
        let classes: Vec<_> = classes.iter().map(|(name, is_default)| class(name, *is_default)).collect();
        assert_eq!(exposure(given, &classes).map(|(exposure, _)| exposure), expected);
    }

    #[rstest]
    #[case::given(Some("arm64"), &["amd64"], Ok("arm64"))]
    #[case::same(None, &["arm64"], Ok("arm64"))]
    #[case::unknown(None, &[], Ok("amd64"))]
    #[case::several(None, &["amd64", "arm64"], Err(AmbiguousCluster::Architectures("amd64, arm64".into())))]
    fn an_option_precedes_the_architecture_of_the_nodes(
        #[case] given: Option<&str>,
        #[case] nodes: &[&str],
        #[case] expected: Result<&str, AmbiguousCluster>,
    ) {
        let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
        let chosen = architecture(given.map(str::to_owned), &nodes).map(|(architecture, _)| architecture);
        assert_eq!(chosen, expected.map(str::to_owned));
    }
}
