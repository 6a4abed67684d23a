//! Records a run for the report, and reports its events to the live view.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::pending_checks;
use crate::record::event::{Event, EventSink, ImageOrigin, ImageProgress};
use crate::record::{Check, IMAGES, Pipeline, Record, SETUP, Span, Step, Verdict, overhead};

/// The reason why a step failed.
pub trait StepError: std::fmt::Display {
    /// Whether the user interrupted the step.
    fn is_interruption(&self) -> bool;
}

/// Records a run.
pub struct Recorder {
    started: Instant,
    kept: Mutex<Recorded>,
    notify: Box<EventSink<'static>>,
}

#[derive(Default)]
struct Recorded {
    record: Record,
    /// The start of everything that is running, by lane and name.
    open: HashMap<(String, String), f64>,
    /// The steps that were announced but have not started.
    expected: Vec<String>,
    /// The checks that were announced but have no result.
    expected_checks: Vec<Check>,
}

impl Recorder {
    /// Starts to record.
    pub fn new(id: &str, notify: Box<EventSink<'static>>) -> Self {
        let began_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let record = Record { id: id.to_owned(), began_at, ..Record::default() };
        Self { started: Instant::now(), kept: Mutex::new(Recorded { record, ..Recorded::default() }), notify }
    }

    /// The start of the run.
    pub fn origin(&self) -> Instant {
        self.started
    }

    /// The time since the start, in seconds.
    pub fn seconds(&self) -> f64 {
        // Rounded to milliseconds for reports.
        (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    fn kept(&self) -> MutexGuard<'_, Recorded> {
        // The state is consistent whenever the lock is released.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn change(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.kept().record);
    }

    /// Records that work starts.
    pub fn begin(&self, lane: &str, name: &str) {
        let now = self.seconds();
        self.kept().open.insert((lane.to_owned(), name.to_owned()), now);
        (self.notify)(&Event::Began { lane, name });
    }

    /// Reports the progress of work.
    pub fn say(&self, lane: &str, name: &str, text: &str) {
        (self.notify)(&Event::Says { lane, name, text });
    }

    /// Records that work ends; `words` add a detail.
    pub fn end(&self, lane: &str, name: &str, verdict: Verdict, words: &str) -> Span {
        let end = self.seconds();
        let key = (lane.to_owned(), name.to_owned());
        let mut kept = self.kept();
        let start = kept.open.remove(&key).unwrap_or(end);
        let span = Span { lane: key.0, name: key.1, start, end, verdict };
        kept.record.spans.push(span.clone());
        drop(kept);
        (self.notify)(&Event::Ended { span: &span, words });
        span
    }

    /// Runs `work`, and records its start and end.
    pub async fn part<T, E>(&self, lane: &str, name: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.begin(lane, name);
        let result = work.await;
        let verdict = if result.is_ok() { Verdict::Passed } else { Verdict::Failed };
        drop(self.end(lane, name, verdict, ""));
        result
    }

    /// Ends all work that is running, as interrupted.
    pub fn end_open(&self) {
        let mut open: Vec<_> = self.kept().open.iter().map(|(key, start)| (*start, key.clone())).collect();
        open.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(&other.1)));
        for (_, (lane, name)) in open {
            drop(self.end(&lane, &name, Verdict::Interrupted, ""));
        }
    }

    /// The start of work that is running.
    pub fn start_of(&self, lane: &str, name: &str) -> Option<f64> {
        self.kept().open.get(&(lane.to_owned(), name.to_owned())).copied()
    }

    /// A note for the user.
    pub fn note(&self, text: &str) {
        (self.notify)(&Event::Note { text });
    }

    /// Announces a step. The report lists it as not run if it never starts.
    pub fn expect(&self, name: &str) {
        self.kept().expected.push(name.to_owned());
    }

    /// Announces the checks of an environment. The report lists those without a result as not run.
    pub fn expect_checks(&self, environment: &str) {
        self.kept().expected_checks.extend(pending_checks::all(environment));
    }

    fn keep(&self, step: Step) {
        let mut kept = self.kept();
        kept.expected.retain(|name| *name != step.name);
        kept.record.steps.push(step);
    }

    /// Runs a step, and records its outcome: one line, or the reason why it failed.
    pub async fn step<T, E: StepError>(
        &self,
        name: &str,
        work: impl Future<Output = Result<(T, String), E>>,
    ) -> Result<T, E> {
        let start = self.seconds();
        (self.notify)(&Event::StepBegan { name });
        let result = work.await;
        let (verdict, outcome) = match &result {
            Ok((_, outcome)) => (Verdict::Passed, outcome.clone()),
            Err(reason) if reason.is_interruption() => (Verdict::Interrupted, reason.to_string()),
            Err(reason) => (Verdict::Failed, reason.to_string()),
        };
        let step = Step { name: name.to_owned(), verdict, start, duration: self.seconds() - start, outcome };
        (self.notify)(&Event::StepEnded(&step));
        self.keep(step);
        result.map(|(value, _)| value)
    }

    /// Skips a step.
    pub fn skip(&self, name: &str, reason: &str) {
        let step = Step { name: name.to_owned(), outcome: reason.to_owned(), start: self.seconds(), ..Step::default() };
        (self.notify)(&Event::StepEnded(&step));
        self.keep(step);
    }

    /// Records an event of the setup, of an image or of a check as an activity.
    pub fn record(&self, event: &Event<'_>) {
        match *event {
            Event::PartBegan { part, .. } => self.begin(SETUP, part),
            Event::PartEnded { part, verdict, .. } => drop(self.end(SETUP, part, verdict, "")),
            Event::Image { name, progress } => self.image(name, progress),
            Event::CheckBegan { environment, name } => self.begin(&pending_checks::lane(environment), name),
            Event::CheckEnded(check) => self.check(check),
            Event::Note { text } => self.note(text),
            // Only a recorder emits these.
            Event::StepBegan { .. }
            | Event::StepEnded(_)
            | Event::Began { .. }
            | Event::Says { .. }
            | Event::Ended { .. } => {}
        }
    }

    fn image(&self, name: &str, progress: ImageProgress<'_>) {
        match progress {
            ImageProgress::Pulling { .. } => self.begin(IMAGES, name),
            ImageProgress::Building { log, .. } => {
                if self.start_of(IMAGES, name).is_none() {
                    self.begin(IMAGES, name);
                }
                self.say(IMAGES, name, &format!("built, log in {}", log.display()));
            }
            ImageProgress::Continues(progress) => {
                self.say(IMAGES, name, &crate::report::images::build_progress(progress));
            }
            ImageProgress::NotPulled { .. } => self.say(IMAGES, name, "waiting for its base images"),
            // Not reported, because the user expects that images are present.
            ImageProgress::Obtained { origin: ImageOrigin::Local, .. } => {}
            ImageProgress::Obtained { origin, .. } => {
                drop(self.end(IMAGES, name, Verdict::Passed, origin.word()));
            }
        }
    }

    fn check(&self, check: &Check) {
        let outcome = match (&check.failure, check.verdict) {
            (Some(failure), _) => failure.sentence(),
            (None, Verdict::NotRun) => format!("not run: {}", check.not_run),
            (None, _) => String::new(),
        };
        drop(self.end(&pending_checks::lane(&check.environment), &check.name, check.verdict, &outcome));
        self.kept().record.checks.push(check.clone());
    }

    /// Records a pipeline that has ended.
    pub fn pipeline(&self, pipeline: Pipeline) {
        self.kept().record.pipelines.push(pipeline);
    }

    /// Ends the run, and returns its record.
    pub fn finish(&self, verdict: Verdict) -> Record {
        self.end_open();
        let now = self.seconds();
        let mut kept = self.kept();
        let expected = std::mem::take(&mut kept.expected_checks);
        pending_checks::add(&mut kept.record, expected, now);
        // The checks of two environments may have run in parallel.
        let mut environments: Vec<String> = Vec::new();
        for check in &kept.record.checks {
            if !environments.contains(&check.environment) {
                environments.push(check.environment.clone());
            }
        }
        let Recorded { record, expected, .. } = &mut *kept;
        record.spans.sort_by(|one, other| one.start.total_cmp(&other.start));
        record.steps.sort_by(|one, other| one.start.total_cmp(&other.start));
        record.pipelines.sort_by(|one, other| one.start.total_cmp(&other.start));
        record.checks.sort_by_key(|check| environments.iter().position(|name| *name == check.environment));
        record.steps.extend(expected.drain(..).map(|name| Step {
            name,
            outcome: "an earlier step did not complete".to_owned(),
            start: now,
            ..Step::default()
        }));
        record.duration = now;
        record.verdict = verdict;
        let shares = overhead::shares(record);
        (record.external, record.overhead, record.overhead_percent) = (shares.external, shares.own, shares.percent);
        record.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checks::CHECKS;
    use crate::record::TAKEDOWN;
    use crate::report::run::junit;
    use crate::scenario::ScenarioError;

    #[tokio::test]
    async fn a_record_and_its_events() {
        let reported = Arc::new(Mutex::new(Vec::new()));
        let notify = {
            let reported = Arc::clone(&reported);
            move |event: &Event<'_>| {
                let value = serde_json::to_value(event).unwrap();
                reported.lock().unwrap().push(value["event"].as_str().unwrap().to_owned());
            }
        };
        let recorder = Recorder::new("1", Box::new(notify));
        let step = recorder.step("a push", async {
            recorder.begin("pipeline 1", "test");
            recorder.begin("pipeline 1", "hangs");
            recorder.say("pipeline 1", "test", "a line");
            drop(recorder.end("pipeline 1", "test", Verdict::Failed, "exit code 1"));
            Err::<((), String), _>(ScenarioError::Broken("a job failed".to_owned()))
        });
        recorder.expect("a tag");
        recorder.expect("a push");
        assert_eq!(step.await.unwrap_err().to_string(), "a job failed");
        let record = recorder.finish(Verdict::Failed);
        assert_eq!((record.steps[0].verdict, &*record.steps[0].outcome), (Verdict::Failed, "a job failed"));
        assert_eq!((record.steps[1].verdict, &*record.steps[1].name), (Verdict::NotRun, "a tag"));
        assert_eq!(record.steps.len(), 2);
        let spans: Vec<_> = record.spans.iter().map(|span| (&*span.name, span.verdict)).collect();
        assert_eq!(spans, [("test", Verdict::Failed), ("hangs", Verdict::Interrupted)]);
        assert_eq!(*reported.lock().unwrap(), ["step_began", "began", "began", "says", "ended", "step_ended", "ended"]);
    }

    /// The user interrupts the run during the first check, and everything is removed.
    #[tokio::test]
    async fn an_interrupted_run_has_not_passed() {
        let recorder = Recorder::new("1", Box::new(|_| {}));
        for environment in ["dev", "live"] {
            recorder.expect_checks(environment);
        }
        recorder.expect("a tag");
        let step = recorder.step("the checks on dev", async {
            recorder.begin(&pending_checks::lane("dev"), CHECKS[0].name);
            Err::<((), String), _>(ScenarioError::Interrupted)
        });
        assert!(step.await.unwrap_err().is_interruption());
        recorder.end_open();
        let taken_down = recorder.part(TAKEDOWN, "cluster", async { Ok::<_, ScenarioError>(()) });
        taken_down.await.unwrap();
        let record = recorder.finish(Verdict::Interrupted);
        let verdicts: Vec<_> = record.steps.iter().map(|step| step.verdict).collect();
        assert_eq!(verdicts, [Verdict::Interrupted, Verdict::NotRun]);
        let spans: Vec<_> = record.spans.iter().map(|span| (&*span.lane, span.verdict)).collect();
        assert_eq!(spans, [("checks dev", Verdict::Interrupted), (TAKEDOWN, Verdict::Passed)]);
        let count = |verdict| record.checks.iter().filter(|check| check.verdict == verdict).count();
        assert_eq!((count(Verdict::Interrupted), count(Verdict::NotRun)), (1, 2 * CHECKS.len() - 1));
        let xml = junit::xml(&record).unwrap();
        assert!(xml.contains("failures=\"0\" errors=\"3\""), "{xml}");
        assert_eq!(xml.matches("<skipped").count(), 2 * CHECKS.len(), "{xml}");
    }
}
