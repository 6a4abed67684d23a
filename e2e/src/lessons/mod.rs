//! The article's five failures as executable lessons: each shows the real failure and its cause, and that the remedy removes it.
//!
//! The files of each lesson's project are in `e2e/lessons`.

use gitlab_ci::suggest;

/// A file of a lesson's project: its path and its text.
pub type File = (&'static str, &'static str);

#[derive(Debug)]
pub struct Lesson {
    /// The lesson's name.
    pub name: &'static str,
    /// The failure, in one line.
    pub title: &'static str,
    /// The project as it fails.
    pub broken: &'static [File],
    /// The files that the remedy changes.
    pub fixed: &'static [File],
    /// The CI/CD variables that are missing in the broken project and set by the remedy.
    pub withheld: &'static [&'static str],
    /// Whether the project also contains the service and its Dockerfile.
    pub has_service: bool,
    /// How the failure shows.
    pub seen: Seen,
    pub cause: &'static str,
    pub remedy: &'static str,
}

/// How a failure shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// This job fails, and its last log lines contain one of these texts.
    Job(&'static str, &'static [&'static str]),
    /// The pipeline passes, and this check of the environment `lesson` fails. The log of a job contains this text.
    Check(&'static str, &'static str),
}

#[derive(Clone, Debug)]
pub struct LessonResult {
    /// The place of the failure, and its last lines.
    pub failure: (String, Vec<String>),
    /// The log of the failed job, if a job failed.
    pub log: Option<String>,
}

/// The environment that lessons deploy to.
pub const ENVIRONMENT: &str = "lesson";

const PIPELINE: &str = ".gitlab-ci.yml";
const RELEASE: File = ("release.yml", include_str!("../../lessons/image/release.yml"));
const DEPLOYMENT: File = ("deployment.yaml", include_str!("../../lessons/image/deployment.yaml"));

/// All lessons, in the article's order.
pub static LESSONS: &[Lesson] = &[
    Lesson {
        name: "registry-variables",
        title: "the job logs in to a registry, but the registry variables are not set",
        broken: &[(PIPELINE, include_str!("../../lessons/registry-variables/.gitlab-ci.yml"))],
        fixed: &[],
        withheld: &["CI_REGISTRY", "CI_REGISTRY_IMAGE", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"],
        has_service: false,
        // These texts are printed by `docker login` itself: the log also contains the text of the job's command.
        seen: Seen::Job(
            "image_build",
            &[
                "username is empty",
                "Must provide --username with --password-stdin",
                "Cannot perform an interactive login",
            ],
        ),
        cause: "GitLab sets the CI_REGISTRY variables only if its own registry is enabled; without them, the arguments of \
        `docker login` are empty",
        remedy: "set CI_REGISTRY, CI_REGISTRY_IMAGE, CI_REGISTRY_USER and, masked, CI_REGISTRY_PASSWORD in Settings > CI/CD > \
                 Variables",
    },
    Lesson {
        name: "unknown-authority",
        title: "the registry's certificate is signed by an authority that the job's engine does not trust",
        broken: &[(PIPELINE, include_str!("../../lessons/unknown-authority/broken/.gitlab-ci.yml"))],
        fixed: &[(PIPELINE, include_str!("../../lessons/unknown-authority/fixed/.gitlab-ci.yml"))],
        withheld: &[],
        has_service: false,
        seen: Seen::Job(
            "image_build",
            &["x509: certificate signed by unknown authority", "failed to verify certificate"],
        ),
        cause: "the docker-in-docker engine connects to the registry, and does not use the trusted authorities of the runner or the job",
        remedy: "start the service with --insecure-registry for this registry only, or copy the registry's authority to \
                 /etc/docker/certs.d/HOST/ca.crt of the service",
    },
    Lesson {
        name: "no-cluster",
        title: "the deploy job has kubectl, but no cluster",
        broken: &[(PIPELINE, include_str!("../../lessons/no-cluster/.gitlab-ci.yml"))],
        fixed: &[],
        withheld: &["KUBECONFIG"],
        has_service: false,
        seen: Seen::Job("deploy", &["The connection to the server localhost:8080 was refused", "localhost:8080"]),
        cause: "without KUBECONFIG, kubectl connects to localhost:8080, where no server listens in a job's container; the article's \
        cluster integration, which GitLab has removed, set this variable",
        remedy: "set KUBECONFIG as a variable of type File, with a token of the ServiceAccount in manifests/cluster",
    },
    Lesson {
        name: "no-pull-secret",
        title: "the image is in a private registry, but the pods have no credentials for it",
        broken: &[
            (PIPELINE, include_str!("../../lessons/no-pull-secret/.gitlab-ci.yml")),
            RELEASE,
            ("deployment.yaml", include_str!("../../lessons/no-pull-secret/broken/deployment.yaml")),
        ],
        fixed: &[DEPLOYMENT],
        withheld: &[],
        has_service: true,
        seen: Seen::Job("deploy", &["ImagePullBackOff", "ErrImagePull"]),
        cause: "the job's credentials are only for pushing: the nodes pull the image, with the pod's credentials",
        remedy: "create a Secret of type docker-registry in the namespace, and list it in the pod template's imagePullSecrets",
    },
    Lesson {
        name: "hidden-failure",
        title: "`|| true` hides that a Service is rejected, and the pipeline passes",
        broken: &[
            (PIPELINE, include_str!("../../lessons/hidden-failure/broken/.gitlab-ci.yml")),
            ("service.yaml", include_str!("../../lessons/hidden-failure/broken/service.yaml")),
            RELEASE,
            DEPLOYMENT,
        ],
        fixed: &[
            (PIPELINE, include_str!("../../lessons/hidden-failure/fixed/.gitlab-ci.yml")),
            ("service.yaml", include_str!("../../lessons/hidden-failure/fixed/service.yaml")),
        ],
        withheld: &[],
        has_service: true,
        seen: Seen::Check("service", "Invalid value"),
        cause: "the API server rejects the port name `http_metrics`, and `|| true` makes the job ignore the error",
        remedy: "remove `|| true`, and name the port `http-metrics`",
    },
];

/// Finds the lesson with this name.
///
/// # Errors
/// The most similar name, if no lesson has this name.
pub fn find(name: &str) -> Result<&'static Lesson, &'static str> {
    if let Some(lesson) = LESSONS.iter().find(|lesson| lesson.name == name) {
        return Ok(lesson);
    }
    Err(suggest::nearest(name, LESSONS.iter().map(|lesson| lesson.name)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_remedy_changes_existing_files_or_sets_variables() {
        for lesson in LESSONS {
            for (path, text) in lesson.fixed {
                let before = lesson.broken.iter().find(|(known, _)| known == path);
                assert!(before.is_some_and(|(_, before)| before != text), "{}: {path}", lesson.name);
            }
            let is_fixed = !lesson.fixed.is_empty() || !lesson.withheld.is_empty();
            assert!(is_fixed && lesson.broken.iter().any(|(path, _)| *path == PIPELINE), "{}", lesson.name);
        }
        assert_eq!(find("no-pul-secret").unwrap_err(), "no-pull-secret");
    }
}
