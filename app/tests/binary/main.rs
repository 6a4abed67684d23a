//! Tests that run the real binary.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test helpers fail by panicking")]

mod hostile_clients;
mod life;
mod support;
