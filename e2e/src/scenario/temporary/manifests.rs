//! The manifests of the service and of the cluster owner, as parts of the program: a binary without a checkout can deploy them.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::choice::Exposure;
use crate::checks::target::RegistryTarget;
use crate::environment::cluster::apply::{ApplyError, documents};
use crate::environment::cluster::owner;
use crate::environment::registry::login::docker_config;

/// The slug of the environment. It is the same in each temporary namespace, so that reports can be compared.
pub(super) const SLUG: &str = "check";

/// A file of the repository.
pub(super) struct Manifest {
    pub(super) path: &'static str,
    text: &'static str,
}

macro_rules! manifest {
    ($path:literal) => {
        Manifest { path: $path, text: include_str!(concat!("../../../../", $path)) }
    };
}

/// The namespace, with the level of Pod Security.
const NAMESPACE: Manifest = manifest!("manifests/cluster/namespace.yaml");

/// The account of the pipeline and its permissions.
const ACCOUNT: [Manifest; 3] = [
    manifest!("manifests/cluster/service-account.yaml"),
    manifest!("manifests/cluster/role.yaml"),
    manifest!("manifests/cluster/role-binding.yaml"),
];

/// The service, without its Ingress or `HTTPRoute`.
const SERVICE: [Manifest; 3] = [
    manifest!("manifests/deployment.yaml"),
    manifest!("manifests/service.yaml"),
    manifest!("manifests/pod-disruption-budget.yaml"),
];

const INGRESS: Manifest = manifest!("manifests/ingress.yaml");
const HTTP_ROUTE: Manifest = manifest!("manifests/http-route.yaml");

/// The section of the Ingress that the deploy jobs delete without a certificate: from the first line to the end of the second one.
const TLS: (&str, &str) = ("  tls:\n", "secretName: __KUBE_TLS_SECRET__\n");

/// The values of the placeholders.
pub(super) struct Values {
    /// With a tag or a digest.
    pub(super) image: String,
    pub(super) namespace: String,
    pub(super) base_domain: String,
    /// The commit that the image was built from.
    pub(super) commit: String,
    pub(super) architecture: String,
    /// `None` if no request from outside the cluster reaches the service.
    pub(super) exposure: Option<Exposure>,
}

/// An object, and the file that it comes from.
pub(super) type Object = (&'static str, DynamicObject);

/// The objects in the text of the manifest `path`.
fn objects(path: &'static str, text: &str) -> Result<Vec<Object>, ApplyError> {
    Ok(documents(path, text)?.into_iter().map(|object| (path, object)).collect())
}

/// The namespace with the name `name`.
pub(super) fn namespace(name: &str) -> Result<Object, ApplyError> {
    let text = NAMESPACE.text.replace("name: gitlab\n", &format!("name: {name}\n"));
    objects(NAMESPACE.path, &text)?.into_iter().next().ok_or_else(|| ApplyError::NotAManifest {
        file: NAMESPACE.path.to_owned(),
        reason: "it has no object".to_owned(),
    })
}

/// The account of the pipeline in a namespace, with its permissions there.
pub(super) fn account(namespace: &str) -> Result<Vec<Object>, ApplyError> {
    let mut all = Vec::new();
    for Manifest { path, text } in ACCOUNT {
        all.extend(objects(path, text)?);
    }
    for (_, object) in &mut all {
        object.metadata.namespace = Some(namespace.to_owned());
        for subject in object.data.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            subject["namespace"] = json!(namespace);
        }
    }
    Ok(all)
}

/// The Secret with which the nodes pull images of the registry.
pub(super) fn pull_secret(registry: &RegistryTarget, namespace: &str) -> Result<Vec<Object>, ApplyError> {
    let RegistryTarget { host, user, password, .. } = registry;
    objects("the pull secret", &owner::pull_secret(namespace, &docker_config(host, user, password)).to_string())
}

/// The objects of the service, as the deploy jobs apply them.
pub(super) fn service(values: &Values) -> Result<Vec<Object>, ApplyError> {
    let route = values.exposure.as_ref().map(|exposure| match exposure {
        Exposure::Class(_) => INGRESS,
        Exposure::Gateway { .. } => HTTP_ROUTE,
    });
    let mut all = Vec::new();
    for manifest in SERVICE.into_iter().chain(route) {
        all.extend(objects(manifest.path, &replaced(manifest.text, &values.placeholders()))?);
    }
    Ok(all)
}

impl Values {
    /// The value of each placeholder of the deploy jobs' `sed` command.
    fn placeholders(&self) -> BTreeMap<&'static str, &str> {
        // The manifest puts a colon between the two, also where it is part of a digest.
        let (name, version) = self.image.rsplit_once(':').unwrap_or((&self.image, ""));
        let (class, gateway, gateway_namespace) = match &self.exposure {
            Some(Exposure::Class(class)) => (&**class, "", ""),
            Some(Exposure::Gateway { namespace, name }) => ("", &**name, &**namespace),
            None => ("", "", ""),
        };
        BTreeMap::from([
            ("CI_COMMIT_SHA", &*self.commit),
            ("CI_ENVIRONMENT_SLUG", SLUG),
            ("CI_JOB_ID", "1"),
            ("CI_REGISTRY_IMAGE", name),
            ("KUBE_ARCH", &self.architecture),
            ("KUBE_GATEWAY_NAME", gateway),
            ("KUBE_GATEWAY_NAMESPACE", gateway_namespace),
            ("KUBE_INGRESS_BASE_DOMAIN", &self.base_domain),
            ("KUBE_INGRESS_CLASS", class),
            ("KUBE_NAMESPACE", &self.namespace),
            ("KUBE_TLS_SECRET", ""),
            ("VERSION", version),
        ])
    }
}

fn replaced(text: &str, placeholders: &BTreeMap<&str, &str>) -> String {
    let (begin, end) = TLS;
    let without_tls = text
        .split_once(begin)
        .and_then(|(before, tls)| tls.split_once(end).map(|(_, after)| format!("{before}{after}")));
    let text = without_tls.unwrap_or_else(|| text.to_owned());
    placeholders.iter().fold(text, |text, (name, value)| text.replace(&format!("__{name}__"), value))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;

    fn values(image: &str, exposure: Option<Exposure>) -> Values {
        Values {
            image: image.to_owned(),
            namespace: "e2e-check-1".to_owned(),
            base_domain: "e2e-check-1.example.com".to_owned(),
            commit: "0123abc".to_owned(),
            architecture: "amd64".to_owned(),
            exposure,
        }
    }

    fn yaml(objects: &[Object]) -> String {
        let texts = objects.iter().map(|(path, object)| {
            let text = serde_saphyr::to_string(&serde_json::to_value(object).unwrap()).unwrap();
            assert!(!text.contains("__"), "{path}: {text}");
            format!("# {path}\n{text}")
        });
        texts.collect::<Vec<_>>().join("---\n")
    }

    #[rstest]
    #[case::class(Some(Exposure::Class("nginx".into())), "Ingress")]
    #[case::gateway(Some(Exposure::Gateway { namespace: "edge".into(), name: "public".into() }), "HTTPRoute")]
    #[case::none(None, "none")]
    fn the_service_is_exposed_as_the_cluster_allows(#[case] exposure: Option<Exposure>, #[case] kind: &str) {
        let image = "registry.example.com/group/project:v1";
        let objects = service(&values(image, exposure)).unwrap();
        insta::assert_snapshot!(format!("the_service_with_entry_{kind}"), yaml(&objects));
    }

    #[rstest]
    #[case("registry.example.com:5000/project:v1")]
    #[case("project@sha256:0123456789abcdef")]
    #[case("project:v1@sha256:0123456789abcdef")]
    fn the_image_is_the_given_one(#[case] image: &str) {
        let objects = service(&values(image, None)).unwrap();
        assert_eq!(objects[0].1.data["spec"]["template"]["spec"]["containers"][0]["image"], image);
    }

    /// The deploy jobs and this program replace the same placeholders.
    #[test]
    fn the_placeholders_are_those_of_the_deploy_jobs() {
        let pipeline = include_str!("../../../../.gitlab-ci.yml");
        let expressions = pipeline.lines().filter_map(|line| line.trim().strip_prefix("-e \"s|__"));
        let expected: BTreeSet<&str> = expressions.filter_map(|rest| rest.split_once("__|").map(|it| it.0)).collect();
        let values = values("a:b", None);
        assert_eq!(values.placeholders().into_keys().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn the_account_has_its_permissions_only_in_the_namespace() {
        let (_, namespace) = namespace("e2e-check-1").unwrap();
        assert_eq!(namespace.metadata.name.as_deref(), Some("e2e-check-1"));
        let labels = namespace.metadata.labels.unwrap();
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        let objects = account("e2e-check-1").unwrap();
        let kinds: Vec<_> = objects.iter().map(|(_, object)| &*object.types.as_ref().unwrap().kind).collect();
        assert_eq!(kinds, ["ServiceAccount", "Role", "RoleBinding"]);
        for (path, object) in &objects {
            assert_eq!(object.metadata.namespace.as_deref(), Some("e2e-check-1"), "{path}");
        }
        assert_eq!(objects[2].1.data["subjects"][0]["namespace"], "e2e-check-1");
    }

    /// These lists are complete: no manifest of the cluster owner is left out.
    #[test]
    fn all_manifests_are_listed() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = |dir: &str| -> BTreeSet<String> {
            let paths = std::fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap().path());
            let files = paths.filter(|path| path.is_file());
            files.map(|file| file.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
        };
        let listed: BTreeSet<String> = [NAMESPACE, INGRESS, HTTP_ROUTE]
            .into_iter()
            .chain(ACCOUNT)
            .chain(SERVICE)
            .map(|manifest| manifest.path.to_owned())
            .collect();
        assert_eq!(listed, files("manifests").union(&files("manifests/cluster")).cloned().collect());
    }
}
