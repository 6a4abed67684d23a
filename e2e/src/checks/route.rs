//! How requests from outside the cluster reach an environment: by its Ingress, or by its `HTTPRoute` in a cluster with the Gateway API.

use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::environment::{Environment, object_ref};
use super::gateway_api::HttpRoute;
use crate::record::Failure;

/// The object that routes requests for the environment's host to its Service.
#[derive(Clone, Debug)]
pub(super) enum Route {
    Ingress(Box<Ingress>),
    HttpRoute(Box<HttpRoute>),
}

impl Route {
    /// The route of an environment.
    ///
    /// # Errors
    /// If the environment has several Ingresses, or neither an Ingress nor an `HTTPRoute`, or the API server does not list them.
    pub(super) async fn find(environment: &Environment) -> Result<Self, Failure> {
        let ingresses = environment.list::<Ingress>().await?;
        if ingresses.is_empty() {
            let routes = environment.list_if_known::<HttpRoute>().await?;
            if !routes.is_empty() {
                let route = environment.single(routes).map_err(|failure| *failure)?;
                return Ok(Self::HttpRoute(Box::new(route)));
            }
        }
        Ok(Self::Ingress(Box::new(environment.single(ingresses).map_err(|failure| *failure)?)))
    }

    /// The hosts whose requests it routes.
    pub(super) fn hosts(&self) -> Vec<String> {
        match self {
            Self::Ingress(ingress) => {
                let rules = ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten());
                rules.filter_map(|rule| rule.host.clone()).collect()
            }
            Self::HttpRoute(route) => route.spec.hostnames.clone(),
        }
    }

    /// Whether the object was created less than `age` ago, by the clock of this machine.
    pub(super) fn is_younger_than(&self, age: SignedDuration) -> bool {
        let created = match self {
            Self::Ingress(ingress) => &ingress.metadata.creation_timestamp,
            Self::HttpRoute(route) => &route.metadata.creation_timestamp,
        };
        created.as_ref().is_some_and(|created| Timestamp::now().duration_since(created.0) < age)
    }

    /// The object, in messages.
    pub(super) fn object_ref(&self) -> String {
        match self {
            Self::Ingress(ingress) => object_ref(&**ingress),
            Self::HttpRoute(route) => object_ref(&**route),
        }
    }

    /// A failure at this object, with its events and those of the environment's pods.
    pub(super) async fn with_diagnostics(&self, failure: Failure, environment: &Environment) -> Failure {
        let diagnostics = match self {
            Self::Ingress(ingress) => environment.diagnostics(&**ingress).await,
            Self::HttpRoute(route) => environment.diagnostics(&**route).await,
        };
        failure.at(self.object_ref()).with(&diagnostics)
    }
}
