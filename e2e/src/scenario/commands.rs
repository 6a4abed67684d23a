//! Commands with which the user inspects the resources of a run.

use super::definition::{ClusterSource, Scenario};
use super::replay::EnvironmentJobs;
use crate::checks::target::Target;
use crate::record::Record;
use container_engine::labels;

/// Adds the commands, and a note whether the resources still exist.
pub(super) fn add(
    record: &mut Record,
    scenario: &Scenario,
    target: &Target,
    review: &EnvironmentJobs,
    live: &EnvironmentJobs,
) {
    let cluster = match &scenario.cluster {
        ClusterSource::Kind(plan) => Some(&*plan.cluster),
        ClusterSource::Existing(_) => None,
    };
    note(&mut record.commands_note, scenario.keep, cluster.is_some());
    record.commands = commands(target, cluster, &[review, live]);
}

fn note(note: &mut String, is_kept: bool, is_own: bool) {
    note.push_str(match (is_kept, is_own) {
        (false, true) => "The resources of this run were removed at its end. To keep them: make e2e E2E_FLAGS=--keep",
        (false, false) => "The deployed objects were removed at the end. To keep them: the same command with --keep",
        (true, true) => "Everything that this run created is still up. To remove it: make down",
        (true, false) => {
            "Everything that this run deployed is still up. To remove it, delete the objects with its label ref."
        }
    });
}

/// `cluster` is the name of a cluster that kind has created.
fn commands(target: &Target, cluster: Option<&str>, environments: &[&EnvironmentJobs]) -> Vec<(String, String)> {
    let kubectl = format!("{} --namespace {}", target.kubectl, target.namespace);
    let mut commands = vec![("everything that was deployed".to_owned(), format!("{kubectl} get all,ingress"))];
    if let Some(cluster) = cluster {
        let command = format!("docker ps --all --filter label={}={cluster}", labels::CLUSTER);
        commands.push(("everything that carries the run's label".to_owned(), command));
    }
    for environment in environments {
        let (name, slug) = (&environment.name, &environment.slug);
        // The run stops this environment itself, also with --keep.
        let until = environment.on_stop.as_ref().map(|job| format!(", until {job} has run")).unwrap_or_default();
        if let Some(ingress) = target.ingress {
            let command = format!("curl --header 'Host: {}' http://{ingress}/", target.host(slug));
            commands.push((format!("the service on {name}{until}"), command));
        }
        let command = format!("{kubectl} logs --selector ref={slug} --prefix --tail 20");
        commands.push((format!("the last lines of each pod on {name}{until}"), command));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::connection::Connection;

    fn environment(name: &str, slug: &str, on_stop: Option<&str>) -> EnvironmentJobs {
        EnvironmentJobs {
            name: name.to_owned(),
            slug: slug.to_owned(),
            job: "deploy".into(),
            is_manual: false,
            on_stop: on_stop.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn commands_for_each_kind_of_cluster() {
        let connection = Connection::from(kube::Config::new(http::Uri::from_static("http://127.0.0.1:1")));
        let target = Target {
            client: connection.client().unwrap(),
            connection,
            kubectl: "kubectl --kubeconfig /x/config --context mine".to_owned(),
            deployer_kubeconfig: None,
            deployer: None,
            deployer_kubectl: None,
            namespace: "demo".to_owned(),
            base_domain: "example.test".to_owned(),
            ingress: Some(([192, 0, 2, 1], 80).into()),
            registry: None,
            prometheus: None,
            networks: Vec::new(),
            timeout: std::time::Duration::ZERO,
        };
        let review = environment("review/x", "review-x-f0a1b2", Some("stop_review"));
        let live = environment("live", "live", None);
        let lines = |cluster, target: &Target| {
            let commands = commands(target, cluster, &[&review, &live]);
            commands.iter().map(|(what, command)| format!("{what}:\n  {command}")).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!("a_cluster_that_exists", lines(None, &target));
        let without_ingress = Target { ingress: None, ..target };
        insta::assert_snapshot!("a_cluster_of_kind_without_an_ingress", lines(Some("kind"), &without_ingress));
    }

    #[test]
    fn the_note_says_whether_it_still_exists() {
        let note = |is_kept, is_own| {
            let mut text = String::new();
            super::note(&mut text, is_kept, is_own);
            text
        };
        assert!(note(false, true).contains("were removed") && note(false, true).contains("--keep"));
        assert!(note(false, false).contains("--keep") && !note(false, false).contains("make"));
        assert!(note(true, true).contains("make down") && note(true, false).contains("label ref"));
    }
}
