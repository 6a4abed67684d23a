//! CI/CD variables: their origins, precedence and expansion.
//!
//! - [`collection`]: the precedence. [`dotenv`]: variables from the reports of earlier jobs.
//! - `resolve.rs`: expansion of all values together. `reference.rs` finds the references, `order.rs` the order of
//!   expansion.
//! - [`expand`]: expansion in single texts, and on the runner.
//! - [`settings`]: the variables of a project's settings, and which jobs get them.
//! - [`slug`]: names for hosts and labels.

pub mod collection;
pub mod dotenv;
pub mod expand;
mod order;
mod reference;
mod resolve;
pub mod settings;
pub mod slug;

pub use self::reference::has_reference;
