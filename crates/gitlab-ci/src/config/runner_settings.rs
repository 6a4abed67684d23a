//! Variables that configure GitLab Runner and have no effect here.
//! <https://docs.gitlab.com/ci/runners/configure_runners/>, <https://docs.gitlab.com/runner/configuration/feature-flags/>

/// Variables that change how a job runs. Those that only change its speed are not among them.
const VARIABLES: [&str; 8] = [
    "ARTIFACT_DOWNLOAD_ATTEMPTS",
    "EXECUTOR_JOB_SECTION_ATTEMPTS",
    "GET_SOURCES_ATTEMPTS",
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

/// Whether a job that sets the variable `key` runs differently with GitLab Runner.
///
/// ```
/// use gitlab_ci::config::runner_settings::is_unsupported;
///
/// assert!(is_unsupported("GIT_CLEAN_FLAGS", "none"));
/// assert!(!is_unsupported("GIT_DEPTH", "1"));
/// ```
pub fn is_unsupported(key: &str, value: &str) -> bool {
    // Go's `strconv.ParseBool`.
    let is_on = matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
    match key.starts_with("FF_") {
        true => is_on && !KNOWN_FLAGS.contains(&key),
        // One attempt is the default.
        false if key.ends_with("_ATTEMPTS") => VARIABLES.contains(&key) && value != "1",
        false => VARIABLES.contains(&key) && !value.is_empty(),
    }
}
