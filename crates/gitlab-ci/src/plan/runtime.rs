//! The variables that a job gets when it runs. <https://docs.gitlab.com/ci/variables/predefined_variables/>

use super::PlannedJob;
use crate::gitlab_version::GitlabVersion;
use crate::variables::collection::Origin;

/// The variables whose values are known only when a job runs.
const RUNTIME_VARIABLES: [(&str, Origin); 22] = [
    ("CI_PIPELINE_ID", Origin::Persisted),
    ("CI_PIPELINE_CREATED_AT", Origin::Persisted),
    ("CI_PIPELINE_URL", Origin::Persisted),
    ("CI_JOB_ID", Origin::Persisted),
    ("CI_JOB_URL", Origin::Persisted),
    ("CI_JOB_STARTED_AT", Origin::Persisted),
    ("CI_JOB_TOKEN", Origin::Persisted),
    ("CI_REPOSITORY_URL", Origin::Persisted),
    ("CI_BUILDS_DIR", Origin::Predefined),
    ("CI_PROJECT_DIR", Origin::Predefined),
    ("CI_CONCURRENT_ID", Origin::Predefined),
    ("CI_CONCURRENT_PROJECT_ID", Origin::Predefined),
    ("CI_JOB_STATUS", Origin::Predefined),
    ("CI_JOB_TIMEOUT", Origin::Predefined),
    ("CI_RUNNER_ID", Origin::Predefined),
    ("CI_RUNNER_DESCRIPTION", Origin::Predefined),
    ("CI_RUNNER_TAGS", Origin::Predefined),
    ("CI_RUNNER_SHORT_TOKEN", Origin::Predefined),
    ("CI_RUNNER_VERSION", Origin::Environment),
    ("CI_RUNNER_REVISION", Origin::Environment),
    ("CI_RUNNER_EXECUTABLE_ARCH", Origin::Environment),
    ("RUNNER_TEMP_PROJECT_DIR", Origin::Environment),
];

/// The variables of a job when it runs that came with later versions.
/// <https://docs.gitlab.com/ci/variables/predefined_variables/>
const LATER_RUNTIME_VARIABLES: [(GitlabVersion, &str); 3] = [
    (GitlabVersion::new(18, 7), "CI_JOB_STARTED_AT_SLUG"),
    (GitlabVersion::new(19, 3), "CI_JOB_RETRY_COUNT"),
    (GitlabVersion::new(19, 3), "CI_JOB_TAGS"),
];

/// Returns the names and origins of the variables that a job gets when it runs, in addition to those of its plan.
pub fn known_when_running(
    planned: &PlannedJob,
    version: GitlabVersion,
) -> impl Iterator<Item = (&'static str, Origin)> {
    let image = planned.job.image.as_ref().map(|_| ("CI_JOB_IMAGE", Origin::Predefined));
    let later = LATER_RUNTIME_VARIABLES.into_iter().filter(move |(since, _)| version >= *since);
    RUNTIME_VARIABLES.into_iter().chain(image).chain(later.map(|(_, key)| (key, Origin::Persisted)))
}
