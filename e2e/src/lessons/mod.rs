//! The article's five failures, as lessons that run: each shows the real failure, names its cause, mends it, and shows that it is gone.
//!
//! The files of each lesson's project are in `e2e/lessons`.

/// A file of a lesson's project: its path, and its text.
pub type File = (&'static str, &'static str);

/// A lesson.
#[derive(Debug)]
pub struct Lesson {
    /// Its name.
    pub name: &'static str,
    /// What goes wrong, in one line.
    pub title: &'static str,
    /// The project as it fails.
    pub broken: &'static [File],
    /// The files that the remedy changes.
    pub fixed: &'static [File],
    /// The CI/CD variables that the project lacks until it is mended.
    pub withheld: &'static [&'static str],
    /// Whether the project has the service and its Dockerfile in it, too.
    pub has_service: bool,
    /// What is seen.
    pub seen: Seen,
    /// Why.
    pub cause: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// How a failure is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// This job fails, and its last lines have one of these texts in them.
    Job(&'static str, &'static [&'static str]),
    /// The pipeline passes, with this text somewhere in the log of a job, and this check of the environment `lesson` fails.
    Check(&'static str, &'static str),
}

/// What a lesson has shown.
#[derive(Clone, Debug)]
pub struct LessonResult {
    /// The failure: where, and its last lines.
    pub failure: (String, Vec<String>),
    /// The log of the job that failed, if one did.
    pub log: Option<String>,
}

/// The environment that lessons deploy to.
pub const ENVIRONMENT: &str = "lesson";

const PIPELINE: &str = ".gitlab-ci.yml";
const RELEASE: File = ("release.yml", include_str!("../../lessons/image/release.yml"));
const DEPLOYMENT: File = ("deployment.yaml", include_str!("../../lessons/image/deployment.yaml"));

/// All of them, in the article's order.
pub static LESSONS: &[Lesson] = &[
    Lesson {
        name: "registry-variables",
        title: "the job logs in to a registry that the project was not told of",
        broken: &[(PIPELINE, include_str!("../../lessons/registry-variables/.gitlab-ci.yml"))],
        fixed: &[],
        withheld: &["CI_REGISTRY", "CI_REGISTRY_IMAGE", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"],
        has_service: false,
        // The words of the job's own command are in its log, too: these are what `docker login` says itself.
        seen: Seen::Job(
            "image_build",
            &[
                "username is empty",
                "Must provide --username with --password-stdin",
                "Cannot perform an interactive login",
            ],
        ),
        cause: "GitLab sets CI_REGISTRY and the rest only where its own registry is on; without them `docker login` gets empty \
                texts",
        remedy: "set CI_REGISTRY, CI_REGISTRY_IMAGE, CI_REGISTRY_USER and, masked, CI_REGISTRY_PASSWORD in Settings > CI/CD > \
                 Variables",
    },
    Lesson {
        name: "unknown-authority",
        title: "the registry's certificate is signed by an authority that the job's engine does not know",
        broken: &[(PIPELINE, include_str!("../../lessons/unknown-authority/broken/.gitlab-ci.yml"))],
        fixed: &[(PIPELINE, include_str!("../../lessons/unknown-authority/fixed/.gitlab-ci.yml"))],
        withheld: &[],
        has_service: false,
        seen: Seen::Job(
            "image_build",
            &["x509: certificate signed by unknown authority", "failed to verify certificate"],
        ),
        cause: "it is the engine in docker-in-docker that talks to the registry: what the runner or the job trust does not help it",
        remedy: "start the service with --insecure-registry for this one registry, or put its authority into \
                 /etc/docker/certs.d/HOST/ca.crt of the service",
    },
    Lesson {
        name: "no-cluster",
        title: "the deploy job has kubectl, and no cluster",
        broken: &[(PIPELINE, include_str!("../../lessons/no-cluster/.gitlab-ci.yml"))],
        fixed: &[],
        withheld: &["KUBECONFIG"],
        has_service: false,
        seen: Seen::Job("deploy", &["The connection to the server localhost:8080 was refused", "localhost:8080"]),
        cause: "without KUBECONFIG, kubectl asks localhost:8080, where in a job's container nobody listens; the article's cluster \
                integration set it, which GitLab no longer has",
        remedy: "set KUBECONFIG as a variable of type File, with a token of the ServiceAccount of manifests/cluster",
    },
    Lesson {
        name: "no-pull-secret",
        title: "the image is in a private registry, and the pods have no login for it",
        broken: &[
            (PIPELINE, include_str!("../../lessons/no-pull-secret/.gitlab-ci.yml")),
            RELEASE,
            ("deployment.yaml", include_str!("../../lessons/no-pull-secret/broken/deployment.yaml")),
        ],
        fixed: &[DEPLOYMENT],
        withheld: &[],
        has_service: true,
        seen: Seen::Job("deploy", &["ImagePullBackOff", "ErrImagePull"]),
        cause: "that the job may push says nothing about who may pull: the nodes ask for the image, in the name of the pod",
        remedy: "make a Secret of type docker-registry in the namespace, and name it in the template's imagePullSecrets",
    },
    Lesson {
        name: "hidden-failure",
        title: "a Service fails behind `|| true`, and the pipeline is green",
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
        cause: "the API server refuses the port's name `http_metrics`, and `|| true` says that this does not matter",
        remedy: "leave `|| true` out; name the port `http-metrics`",
    },
];

/// The lesson of this name, or the name that is nearest to it.
///
/// # Errors
/// The nearest name, when there is none of this one.
pub fn find(name: &str) -> Result<&'static Lesson, &'static str> {
    if let Some(lesson) = LESSONS.iter().find(|lesson| lesson.name == name) {
        return Ok(lesson);
    }
    let likeness = |lesson: &Lesson| strsim::jaro_winkler(lesson.name, name);
    let nearest = LESSONS.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    Err(nearest.map_or("", |lesson| lesson.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_changes_what_is_there() {
        for lesson in LESSONS {
            for (path, text) in lesson.fixed {
                let before = lesson.broken.iter().find(|(known, _)| known == path);
                assert!(before.is_some_and(|(_, before)| before != text), "{}: {path}", lesson.name);
            }
            let is_mended = !lesson.fixed.is_empty() || !lesson.withheld.is_empty();
            assert!(is_mended && lesson.broken.iter().any(|(path, _)| *path == PIPELINE), "{}", lesson.name);
        }
        assert_eq!(find("no-pul-secret").unwrap_err(), "no-pull-secret");
    }
}
