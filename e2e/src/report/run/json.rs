//! For programs: the record itself, with its texts as they were written.

use crate::record::Record;

/// All of it.
///
/// # Errors
/// When it cannot be written as JSON, which would be a mistake in its types.
pub fn text(record: &Record) -> serde_json::Result<String> {
    serde_json::to_string_pretty(record).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run::fixture;

    #[test]
    fn it_is_read_again() {
        let text = text(&fixture::failed()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["verdict"], "failed");
        assert_eq!(value["pipelines"][0]["jobs"][0]["name"], "test");
        assert!(text.ends_with("}\n"));
    }
}
