//! The name that a user may have meant.

/// The minimum similarity of a name that is suggested. Jaro-Winkler: 0 to 1.
const MIN_SIMILARITY: f64 = 0.75;

/// The most similar of `names`, however different it is; nothing if there are no names.
///
/// # Examples
/// ```
/// assert_eq!(gitlab_ci::suggest::nearest("ingres", ["ingress", "service"]), Some("ingress"));
/// ```
pub fn nearest<'names>(word: &str, names: impl IntoIterator<Item = &'names str>) -> Option<&'names str> {
    most_similar(word, names).map(|(_, name)| name)
}

/// The most similar of `names`, if it is similar enough to be a likely typing mistake.
///
/// # Examples
/// ```
/// assert_eq!(gitlab_ci::suggest::similar("scrip", ["script", "stage"]), Some("script"));
/// assert_eq!(gitlab_ci::suggest::similar("x", ["script", "stage"]), None);
/// ```
pub fn similar<'names>(word: &str, names: impl IntoIterator<Item = &'names str>) -> Option<&'names str> {
    most_similar(word, names).filter(|(similarity, _)| *similarity > MIN_SIMILARITY).map(|(_, name)| name)
}

fn most_similar<'names>(word: &str, names: impl IntoIterator<Item = &'names str>) -> Option<(f64, &'names str)> {
    let similarities = names.into_iter().map(|name| (strsim::jaro_winkler(word, name), name));
    similarities.max_by(|one, other| one.0.total_cmp(&other.0))
}
