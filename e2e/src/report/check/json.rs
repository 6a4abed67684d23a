//! The JSON report: the report itself, with unmodified texts. `docs/report.schema.json` is its schema.

use crate::record::check_report::CheckReport;

/// The report as JSON.
///
/// # Errors
/// If it cannot be serialized, which would be a bug.
pub fn text(report: &CheckReport) -> serde_json::Result<String> {
    serde_json::to_string_pretty(report).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use boon::{Compiler, Schemas};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::record::check_report::Cluster;
    use crate::report::check::fixture;

    const SCHEMA: &str = include_str!("../../../../docs/report.schema.json");

    /// Forbids fields that the schema does not describe. The published one allows them, so that it accepts newer reports of its version.
    fn close(schema: &mut Value) {
        if let Value::Object(fields) = schema {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
    }

    /// The violations of the schema.
    fn validated(document: &Value) -> Result<(), String> {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let mut schema = serde_json::from_str(SCHEMA).unwrap();
        close(&mut schema);
        compiler.add_resource("report.json", schema).unwrap();
        let schema = compiler.compile("report.json", &mut schemas).unwrap();
        schemas.validate(document, schema).map_err(|error| format!("{error:#}"))
    }

    fn document(report: &CheckReport) -> Value {
        serde_json::from_str(&text(report).unwrap()).unwrap()
    }

    #[test]
    fn the_document() {
        insta::assert_snapshot!(text(&fixture::failed()).unwrap());
    }

    #[rstest]
    #[case::passed(fixture::passed())]
    #[case::failed(fixture::failed())]
    #[case::an_account_without_rights(CheckReport { cluster: Cluster::default(), ..fixture::passed() })]
    fn the_schema_accepts_it(#[case] report: CheckReport) {
        assert_eq!(validated(&document(&report)), Ok(()));
    }

    /// A schema that accepts anything would prove nothing.
    #[rstest]
    #[case::another_version("/apiVersion", json!("gitlab-ci-k8s-demo/v2"))]
    #[case::another_verdict("/checks/0/verdict", json!("pased"))]
    #[case::another_type("/checks/0/evidence", json!("a sentence"))]
    #[case::an_unknown_field("/found/0", json!({"subject": "", "value": null, "reason": "", "cloud": ""}))]
    #[case::a_missing_field("/product", json!({"name": "e2e"}))]
    #[case::no_time("/began_at", json!("today"))]
    fn the_schema_rejects_other_documents(#[case] place: &str, #[case] value: Value) {
        let mut document = document(&fixture::failed());
        *document.pointer_mut(place).unwrap() = value;
        let error = validated(&document).unwrap_err();
        assert!(error.contains(place), "{error}");
    }

    /// Readers of the array that was the document before find its elements unchanged in `checks`.
    #[test]
    fn the_fields_of_a_check_are_those_in_the_report_of_a_run() {
        let report = fixture::failed();
        for (entry, check) in document(&report)["checks"].as_array().unwrap().iter().zip(&report.checks) {
            let run_form = serde_json::to_value(&check.check).unwrap();
            for (name, value) in run_form.as_object().unwrap() {
                assert_eq!(entry[name], *value, "{name}");
            }
        }
    }
}
