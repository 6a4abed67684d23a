//! Tests of a program whose output is not read: by a pager that waits, by a stopped terminal, or because the disk is full.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};

use crate::repository::Repository;
use crate::support::{error, eventually};

/// Much longer than anything takes here.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A job that writes its process ID to a file, prints more than a pipe holds, and then runs into its timeout.
const PIPELINE: &str = "a: {timeout: 2 seconds, script: ['echo $$ > \"$PID_FILE\"; seq 1 20000; sleep 500']}\n";

/// The process that wrote its number to `file` has ended.
fn has_ended(file: &Path) -> Result<(), String> {
    let pid = std::fs::read_to_string(file).unwrap_or_default();
    match pid.trim() {
        "" => Err("the job has not started".to_owned()),
        pid if Path::new("/proc").join(pid).exists() => Err(format!("process {pid} still runs")),
        _ => Ok(()),
    }
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::INT).expect("a signal");
}

#[rstest]
#[case::lines_for_people(&[])]
#[case::events_for_programs(&["--format", "json"])]
fn a_job_times_out_and_a_second_signal_ends_the_program_while_its_output_is_not_read(#[case] format: &[&str]) {
    let repository = Repository::new("main", PIPELINE);
    let pid = repository.path().join("pid");
    let mut command = repository.e2e(&[&["pipeline", "--executor", "shell"], format].concat());
    command.env("PID_FILE", &pid).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("e2e");
    eventually("the job's timeout", TIMEOUT, || has_ended(&pid));
    // The program waits for its reader, as programs do.
    assert!(child.try_wait().expect("its state").is_none());
    interrupt(&child);
    let code = eventually("the end", TIMEOUT, || {
        interrupt(&child);
        child.try_wait().expect("its state").ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(code.code(), Some(130));
}

#[test]
fn after_a_pause_all_lines_are_read() {
    let repository = Repository::new("main", "a: {script: [seq 1 20000]}\n");
    let mut command = repository.e2e(&["pipeline", "--executor", "shell", "--format", "json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("e2e");
    // More than a pipe holds is waiting meanwhile.
    std::thread::sleep(Duration::from_secs(1));
    let output = child.wait_with_output().expect("e2e");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = text.lines().filter(|line| line.contains(r#""event":"line""#)).count();
    assert!(lines >= 20_000, "{lines}");
    assert!(text.lines().last().expect("a line").contains(r#""event":"pipeline_ended""#), "{text}");
}

#[test]
fn events_that_cannot_be_written_change_the_exit_code() {
    let repository = Repository::new("main", "a: {script: 'true'}\n");
    let mut command = repository.e2e(&["pipeline", "--executor", "shell", "--format", "json"]);
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = command.stdout(full).stderr(Stdio::piped()).output().expect("e2e");
    assert_eq!(output.status.code(), Some(3));
    let text = error(&output);
    assert!(text.contains("cannot write the events to standard output: No space left on device"), "{text}");
}

#[test]
fn a_reader_of_events_that_is_gone_changes_the_exit_code() {
    let repository = Repository::new("main", "a: {script: 'true'}\n");
    let mut command = repository.e2e(&["pipeline", "--executor", "shell", "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("e2e");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("e2e");
    assert_eq!(output.status.code(), Some(3), "{}", error(&output));
}
