//! Variables that configure GitLab Runner and have no effect here.
//! <https://docs.gitlab.com/ci/runners/configure_runners/>, <https://docs.gitlab.com/runner/configuration/feature-flags/>

/// Variables that change how a job runs. Those that only change its speed are not among them.
const VARIABLES: [&str; 7] = [
    "ARTIFACT_DOWNLOAD_ATTEMPTS",
    "EXECUTOR_JOB_SECTION_ATTEMPTS",
    "GIT_CLEAN_FLAGS",
    "GIT_CLONE_EXTRA_FLAGS",
    "GIT_CLONE_PATH",
    "GIT_SUBMODULE_FORCE_HTTPS",
    "RESTORE_CACHE_ATTEMPTS",
];

/// Feature flags that have their effect here, or none on the result of a job.
const KNOWN_FLAGS: [&str; 6] = [
    "FF_ENABLE_BASH_EXIT_CODE_CHECK",
    "FF_MASK_ALL_DEFAULT_TOKENS",
    "FF_NETWORK_PER_BUILD",
    "FF_TIMESTAMPS",
    "FF_USE_FASTZIP",
    "FF_USE_POD_ACTIVE_DEADLINE_SECONDS",
];

/// Parses a setting that is on or off. The values are those of Go's `strconv.ParseBool`; `None` for any other text.
///
/// ```
/// use gitlab_ci::config::runner_settings::parse_bool;
///
/// assert_eq!((parse_bool("T"), parse_bool("0"), parse_bool("yes")), (Some(true), Some(false), None));
/// ```
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether a job that sets the variable `key` runs differently with GitLab Runner.
///
/// ```
/// use gitlab_ci::config::runner_settings::is_unsupported;
///
/// assert!(is_unsupported("GIT_CLEAN_FLAGS", "none"));
/// assert!(!is_unsupported("GIT_CLEAN_FLAGS", "-ffdx"));
/// assert!(!is_unsupported("GIT_DEPTH", "1"));
/// ```
pub fn is_unsupported(key: &str, value: &str) -> bool {
    if key.starts_with("FF_") {
        return parse_bool(value) == Some(true) && !KNOWN_FLAGS.contains(&key);
    }
    let default = match key {
        // `common/build_settings.go` of GitLab Runner
        "GIT_CLEAN_FLAGS" => "-ffdx",
        _ if key.ends_with("_ATTEMPTS") => "1",
        _ => "",
    };
    VARIABLES.contains(&key) && value != default && !value.is_empty()
}
