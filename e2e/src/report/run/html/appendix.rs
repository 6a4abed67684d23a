//! The versions of all components, and commands for inspecting the result.

use maud::{Markup, html};

use crate::record::Record;

pub(super) fn versions(record: &Record) -> Option<Markup> {
    (!record.versions.is_empty()).then(|| {
        html! {
            div.card {
                table.versions {
                    thead { tr { th scope="col" { "Component" } th scope="col" { "Version" } } }
                    tbody {
                        @for (what, version) in &record.versions {
                            tr { th scope="row" { (what) } td { (version) } }
                        }
                    }
                }
            }
        }
    })
}

pub(super) fn commands(record: &Record) -> Option<Markup> {
    (!record.commands.is_empty()).then(|| {
        html! {
            div.card {
                @if !record.commands_note.is_empty() { p.note { (record.commands_note) } }
                dl.commands {
                    @for (what, command) in &record.commands {
                        div { dt { (what) } dd { pre tabindex="0" { (command) } } }
                    }
                }
            }
        }
    })
}
