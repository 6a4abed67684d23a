//! Variables: where they come from, which of them wins, and what `$` in them means.

pub mod collection;
pub mod dotenv;
pub mod expand;
pub mod slug;
