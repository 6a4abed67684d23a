//! The keys of a service in the runner configuration, which are the same for all executors.

use std::ops::Range;

use super::reader::{Reader, Table};
use super::units::pair;
use crate::config::service::ServiceConfig;

const SERVICE: &[&str] = &["alias", "command", "entrypoint", "environment", "name"];

/// Reads one service. Returns `None` if it has no name.
pub(super) fn read_service(table: Table<'_>, range: &Range<usize>, reader: &mut Reader) -> Option<ServiceConfig> {
    reader.keys(table, SERVICE, &[], &[]);
    let Some(name) = reader.string(table, "name") else {
        if !table.entries.contains_key("name") {
            reader.error(range, format!("{} has no `name`; expected an image", table.name));
        }
        return None;
    };
    let alias = reader.string(table, "alias").unwrap_or_default();
    Some(ServiceConfig {
        name,
        aliases: alias.split([',', ' ']).filter(|alias| !alias.is_empty()).map(str::to_owned).collect(),
        entrypoint: reader.strings(table, "entrypoint"),
        command: reader.strings(table, "command"),
        environment: reader.list(table, "environment", "`KEY=VALUE`", pair).unwrap_or_default(),
    })
}
