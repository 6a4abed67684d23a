//! The status of a job, and the composite status of several jobs: `lib/gitlab/ci/status/composite.rb`.

use serde::Serialize;

/// The status of a job, of a stage or of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Earlier jobs have not completed.
    Created,
    /// The job can start.
    Pending,
    /// The job runs.
    Running,
    /// Another job holds the resource group.
    WaitingForResource,
    /// A user must start the job.
    Manual,
    /// The job is delayed and starts by itself.
    Scheduled,
    /// The job passed.
    Success,
    /// The job failed.
    Failed,
    /// The job was stopped, or can no longer start.
    Canceled,
    /// The job will not run.
    Skipped,
}

impl Status {
    /// Whether the status is final.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Canceled | Self::Skipped)
    }

    /// The name that GitLab's user interface shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::WaitingForResource => "waiting for resource",
            Self::Manual => "manual",
            Self::Scheduled => "delayed",
            Self::Success => "passed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
        }
    }
}

/// The class of a job in a composite status.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    Plain(Status),
    /// The job failed or was canceled, and its failure is allowed.
    Warned,
    /// The job is manual and optional.
    Ignored,
}

/// The composite status of jobs. Each item is a job's status and whether its failure is allowed.
///
/// With `are_needs`, the jobs are the `needs` of another job: if one of them does not run, the result is [`Status::Skipped`].
pub fn composite(jobs: impl Iterator<Item = (Status, bool)>, are_needs: bool) -> Status {
    // At most twelve elements: the ten statuses and two more classes.
    let mut set: Vec<Counted> = Vec::new();
    for (status, allow_failure) in jobs {
        let counted = match (status, allow_failure) {
            (Status::Failed | Status::Canceled, true) => Counted::Warned,
            (Status::Manual, true) => Counted::Ignored,
            _ => Counted::Plain(status),
        };
        if !set.contains(&counted) {
            set.push(counted);
        }
    }
    let has = |status| set.contains(&Counted::Plain(status));
    let only = |statuses: &[Status], others: &[Counted]| {
        set.iter().all(|counted| match counted {
            Counted::Plain(status) => statuses.contains(status),
            other => others.contains(other),
        })
    };
    let passing = [Counted::Warned, Counted::Ignored];
    if set.is_empty() {
        Status::Success
    } else if (are_needs && (has(Status::Skipped) || set.contains(&Counted::Ignored)))
        || only(&[Status::Skipped], &[Counted::Ignored])
    {
        Status::Skipped
    } else if only(&[Status::Success, Status::Skipped], &passing) {
        Status::Success
    } else if only(&[Status::Created], &passing) {
        Status::Created
    } else if only(&[Status::Canceled, Status::Success, Status::Skipped], &passing) {
        Status::Canceled
    } else if only(&[Status::Pending, Status::Created, Status::Skipped], &passing) {
        Status::Pending
    } else if has(Status::Running) || has(Status::Pending) {
        Status::Running
    } else if has(Status::WaitingForResource) {
        Status::WaitingForResource
    } else if has(Status::Manual) {
        Status::Manual
    } else if has(Status::Scheduled) {
        Status::Scheduled
    } else if has(Status::Created) {
        Status::Running
    } else {
        Status::Failed
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // `spec/lib/gitlab/ci/status/composite_spec.rb`. A `?` allows the failure.
    #[rstest]
    #[case::nothing("", Status::Success, Status::Success)]
    #[case::skipped("skipped", Status::Skipped, Status::Skipped)]
    #[case::one_skipped("skipped success", Status::Success, Status::Skipped)]
    #[case::an_optional_manual("manual?", Status::Skipped, Status::Skipped)]
    #[case::an_optional_manual_and_success("success manual?", Status::Success, Status::Skipped)]
    #[case::an_allowed_failure("failed? success", Status::Success, Status::Success)]
    #[case::a_failure("failed success", Status::Failed, Status::Failed)]
    #[case::a_failure_and_a_skip("failed skipped", Status::Failed, Status::Skipped)]
    #[case::created_only("created created", Status::Created, Status::Created)]
    #[case::created_and_allowed("created failed?", Status::Created, Status::Created)]
    #[case::created_and_success("created success", Status::Running, Status::Running)]
    #[case::canceled("canceled success", Status::Canceled, Status::Canceled)]
    #[case::canceled_and_failed("canceled failed", Status::Failed, Status::Failed)]
    #[case::pending("pending created", Status::Pending, Status::Pending)]
    #[case::pending_and_success("pending success", Status::Running, Status::Running)]
    #[case::running("running success created", Status::Running, Status::Running)]
    #[case::blocked("manual success", Status::Manual, Status::Manual)]
    #[case::blocked_wins_over_failure("manual failed", Status::Manual, Status::Manual)]
    #[case::scheduled("scheduled success", Status::Scheduled, Status::Scheduled)]
    #[case::waiting("waiting success", Status::WaitingForResource, Status::WaitingForResource)]
    fn composite_status_of_stages_and_needs(#[case] jobs: &str, #[case] stages: Status, #[case] needs: Status) {
        let read = |word: &str| {
            let (word, allowed) = word.strip_suffix('?').map_or((word, false), |word| (word, true));
            let all = [
                ("created", Status::Created),
                ("pending", Status::Pending),
                ("running", Status::Running),
                ("waiting", Status::WaitingForResource),
                ("manual", Status::Manual),
                ("scheduled", Status::Scheduled),
                ("success", Status::Success),
                ("failed", Status::Failed),
                ("canceled", Status::Canceled),
                ("skipped", Status::Skipped),
            ];
            (all.iter().find(|(name, _)| *name == word).unwrap().1, allowed)
        };
        let jobs: Vec<_> = jobs.split_whitespace().map(read).collect();
        assert_eq!(composite(jobs.iter().copied(), false), stages);
        assert_eq!(composite(jobs.iter().copied(), true), needs);
    }
}
