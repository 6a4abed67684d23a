//! Services beside jobs.
