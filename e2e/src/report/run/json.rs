//! The JSON report for programs: the record itself, with unmodified texts.

use crate::record::Record;

/// The record as JSON.
pub fn text(record: &Record) -> serde_json::Result<String> {
    serde_json::to_string_pretty(record).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run::fixture;

    #[test]
    fn the_document_can_be_parsed() {
        let text = text(&fixture::failed()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["verdict"], "failed");
        assert_eq!(value["pipelines"][0]["jobs"][0]["name"], "test");
        assert!(text.ends_with("}\n"));
    }
}
