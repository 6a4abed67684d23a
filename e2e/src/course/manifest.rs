//! Kubernetes objects in files.

use serde_json::Value;

use super::verdict::Unsolved;

/// The objects in a YAML file.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Value>, Unsolved> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let line = error.to_string().lines().next().unwrap_or_default().to_owned();
        Unsolved(format!("{file}: {line}"))
    })?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

/// The only object of a kind.
pub(super) fn only<'a>(objects: &'a [Value], kind: &str) -> Result<&'a Value, Unsolved> {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    match (found.next(), found.next()) {
        (Some(object), None) => Ok(object),
        (Some(_), Some(_)) => Err(Unsolved(format!("the job applies more than one {kind}"))),
        (None, _) => Err(Unsolved(format!("the job applies no {kind}"))),
    }
}
