//! Tests of the report in Chromium: what the user sees, and that the page does nothing unwanted. The screenshots are in
//! `target/browser`.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

/// The path at which the fixture expects the record's types.
use e2e::record;

// Shared with the library's unit tests. They are not part of the library, because only tests use them.
#[path = "../../src/report/check/fixture.rs"]
mod check_fixture;
#[path = "../../src/report/run/html/contrast.rs"]
mod contrast;
#[path = "../../src/report/run/fixture.rs"]
mod fixture;

#[path = "../support/mod.rs"]
mod support;

mod checks;
mod devtools;
mod page;
mod sabotage;
