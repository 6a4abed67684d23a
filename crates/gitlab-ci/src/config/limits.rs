//! GitLab's limits that several keywords share.

use std::time::Duration;

/// The maximum length of a job's name, in characters. `entry/processable.rb`
pub(super) const MAX_JOB_NAME: usize = 255;

/// The maximum of `start_in`. `entry/job.rb`
pub(super) const MAX_DELAY: Duration = Duration::from_hours(7 * 24);
