//! Variables: where they come from, which of them wins, and what `$` in them means.
//!
//! - [`collection`]: which wins. [`dotenv`]: those of a job before.
//! - `resolve.rs`: values within values, all together; `reference.rs` finds what they refer to, `order.rs` what comes first.
//! - [`expand`]: values within single texts, and on the runner.
//! - [`settings`]: those of the project, and which jobs get them.
//! - [`slug`]: names for hosts and labels.

pub mod collection;
pub mod dotenv;
pub mod expand;
mod order;
mod reference;
mod resolve;
pub mod settings;
pub mod slug;
