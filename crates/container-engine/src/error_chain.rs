//! Formats an error together with its causes: the root cause is often the most helpful part.

/// An error and its causes on one line, outermost first, separated by `: `.
///
/// ```
/// use container_engine::error_chain::error_chain;
///
/// let error = std::io::Error::other("connection refused");
/// assert_eq!(error_chain(&error), "connection refused");
/// ```
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
