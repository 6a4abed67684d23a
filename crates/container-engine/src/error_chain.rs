//! Formats an error together with its causes: the root cause is often the most helpful part.

/// An error and its causes on one line, outermost first, separated by `: `.
///
/// ```
/// use container_engine::error_chain::error_chain;
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("cannot pull the image")]
/// struct NotPulled(#[source] std::io::Error);
///
/// let error = NotPulled(std::io::Error::other("connection refused"));
/// assert_eq!(error_chain(&error), "cannot pull the image: connection refused");
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
