//! How to look for oneself at what is there.

use super::replay::Environment;
use super::{Ground, Story};
use crate::labels;
use crate::target::Target;

/// What one sees, and the command.
pub(super) fn of(story: &Story, target: &Target, dev: &Environment, live: &Environment) -> Vec<(String, String)> {
    let mut commands = Vec::new();
    if let Ground::Kind(plan) = &story.ground {
        let kubeconfig = plan.state.kubeconfig();
        let namespace = &target.namespace;
        commands.push((
            "everything that was deployed".to_owned(),
            format!("kubectl --kubeconfig {} --namespace {namespace} get all,ingress", kubeconfig.display()),
        ));
        commands.push((
            "everything that carries the run's label".to_owned(),
            format!("docker ps --all --filter label={}={}", labels::CLUSTER, plan.cluster),
        ));
    }
    if let Some(ingress) = target.ingress {
        for environment in [dev, live] {
            let host = target.host(&environment.slug);
            let command = format!("curl --header 'Host: {host}' http://{ingress}/");
            commands.push((format!("the service on {}", environment.name), command));
        }
    }
    commands
}
