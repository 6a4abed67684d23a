//! The report as chromium shows it: what a person sees, and what a page could do without anybody's wish. The pictures are in
//! `target/browser`.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

/// Where the fixture looks for the types of what it makes.
use e2e::record;

// The library's own tests have these, too; in the library they would be for tests alone.
#[path = "../../src/report/run/html/contrast.rs"]
mod contrast;
#[path = "../../src/report/run/fixture.rs"]
mod fixture;

#[path = "../support/mod.rs"]
mod support;

mod devtools;
mod page;
mod sabotage;
