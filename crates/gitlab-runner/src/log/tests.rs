//! Tests of the log.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn log(limit: usize) -> (tempfile::TempDir, Arc<JobLog>, Arc<Mutex<Vec<String>>>) {
    let dir = tempfile::tempdir().unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&lines);
    let notify: Arc<EventSink> = Arc::new(move |event| {
        if let Event::Line { line, .. } = event {
            received.lock().unwrap().push(line);
        }
    });
    let masker = Masker::new(["s3cr3t-value"]);
    let path = dir.path().join("job.log");
    let log = JobLog::new("job".into(), File::create(&path).unwrap(), path, &masker, limit, notify);
    (dir, Arc::new(log), lines)
}

#[test]
fn secrets_are_masked_across_chunks_and_streams() {
    let (_dir, log, lines) = log(1 << 20);
    log.write(Stream::Out, b"a s3cr3t-");
    log.write(Stream::Err, b"other s3cr3t-value\n");
    log.write(Stream::Out, b"value b\nno end");
    log.flush();
    assert_eq!(*lines.lock().unwrap(), ["other [MASKED]", "a [MASKED] b", "no end"]);
    assert_eq!(log.last_lines(), ["other [MASKED]", "a [MASKED] b", "no end"]);
    let file = std::fs::read_to_string(log.path()).unwrap();
    assert!(!file.contains("s3cr3t"), "{file}");
    let kinds: Vec<_> = file.lines().map(|line| &line[28..]).collect();
    assert_eq!(kinds, ["00O a ", "00E other [MASKED]", "00O+[MASKED] b", "00O no end", "00O+"]);
}

#[test]
fn a_message_of_the_runner_does_not_cut_a_secret_in_two() {
    let (_dir, log, lines) = log(1 << 20);
    log.write(Stream::Out, b"a s3cr3t-");
    log.say("the connection was lost");
    log.write(Stream::Out, b"value b\n");
    log.flush();
    assert_eq!(*lines.lock().unwrap(), ["a the connection was lost", "[MASKED] b"]);
    assert!(!std::fs::read_to_string(log.path()).unwrap().contains("s3cr3t"));
}

#[test]
fn a_message_of_the_runner_is_in_the_file_at_once() {
    let (_dir, log, _lines) = log(1 << 20);
    log.say("Waiting for pod a");
    assert!(std::fs::read_to_string(log.path()).unwrap().ends_with("Waiting for pod a\n"));
}

#[rstest]
#[case::colors(b"a s3cr3t\x1b[1m-value b\n", "a [MASKED] b")]
#[case::utf16(b"s\x003\0c\0r\x003\0t\0-\0v\0a\0l\0u\0e\0\n", "[MASKED]")]
#[case::a_section_marker(b"s3cr3tsection_start:1:x\r\x1b[0K-value\n", "[MASKED]")]
fn a_secret_in_pieces_is_masked_in_the_view(#[case] output: &[u8], #[case] expected: &str) {
    let (_dir, log, lines) = log(1 << 20);
    log.write(Stream::Out, output);
    log.flush();
    assert_eq!((&*lines.lock().unwrap(), log.last_lines()), (&vec![expected.to_owned()], vec![expected.to_owned()]));
}

#[test]
fn colors_stay_in_a_line_without_a_secret() {
    let (_dir, log, lines) = log(1 << 20);
    log.write(Stream::Out, b"\x1b[1mhello\x1b[0m s3cr3t-value\n");
    log.flush();
    assert_eq!(*lines.lock().unwrap(), ["\x1b[1mhello\x1b[0m [MASKED]"]);
}

/// Texts that a view of a line may remove.
const REMOVED: [&str; 8] =
    ["\x1b[1m", "\x1b[0K", "\x1b[38;5;1m", "\x1b", "\0", "\x07", "\r", "section_start:1:x\r\x1b[0K"];

proptest! {
    #[test]
    fn no_view_shows_a_secret_in_pieces(cuts in proptest::collection::vec((0_usize..=12, 0..REMOVED.len()), 0..6)) {
        let mut output = "s3cr3t-value".to_owned();
        let mut cuts = cuts;
        cuts.sort_unstable();
        for (at, removed) in cuts.into_iter().rev() {
            output.insert_str(at, REMOVED[removed]);
        }
        let (_dir, log, lines) = log(1 << 20);
        log.write(Stream::Out, format!("{output}\n").as_bytes());
        log.flush();
        let views = lines.lock().unwrap().iter().map(|line| without_colors(line).into_owned()).chain(log.last_lines()).collect::<Vec<_>>();
        prop_assert!(!views.iter().any(|view| view.contains("s3cr3t-value")), "{views:?}");
    }
}

#[test]
fn sections_are_in_the_file_and_not_in_the_view() {
    let (_dir, log, lines) = log(1 << 20);
    {
        let _section = log.section("step_script", "Executing");
        log.write(Stream::Out, b"hello\n");
    }
    log.flush();
    assert_eq!(*lines.lock().unwrap(), ["\x1b[0;36;1mExecuting\x1b[0;m", "hello"]);
    let file = std::fs::read_to_string(log.path()).unwrap();
    assert!(file.contains("section_start:") && file.contains(":step_script\r\x1b[0K"), "{file}");
    assert!(file.contains("section_end:"), "{file}");
}

#[test]
fn output_has_a_limit() {
    let (_dir, log, lines) = log(2048);
    for _ in 0..100 {
        log.write(Stream::Out, &[b'x'; 100]);
        log.write(Stream::Out, b"\n");
    }
    log.flush();
    let lines = lines.lock().unwrap();
    assert!(lines.len() < 25, "{}", lines.len());
    let [.., limit, last] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(limit.contains("Job's log exceeded limit of 2048 bytes."), "{lines:?}");
    assert_eq!(last, "Job execution will continue but no more output will be collected.");
}

#[test]
fn the_lines_of_services_count_as_output() {
    let (_dir, log, lines) = log(2048);
    let count = (0..100).take_while(|_| log.say_output(&format!("s3cr3t-value{}", "x".repeat(100)))).count();
    log.say("a message of the runner");
    let lines = lines.lock().unwrap();
    assert!(count < 20 && lines.len() < 25, "{count} {lines:?}");
    assert!(lines[0].starts_with("[MASKED]xxx"), "{lines:?}");
    // Nothing follows, not even messages of the runner.
    assert_eq!(lines.last().unwrap(), "Job execution will continue but no more output will be collected.");
}

/// `yes` writes lines of two bytes, and the file has 32 more for each.
#[test]
fn the_limit_counts_what_the_file_gets() {
    let (_dir, log, _lines) = log(64 << 10);
    log.write(Stream::Out, &b"y\n".repeat(100_000));
    log.flush();
    let size = std::fs::metadata(log.path()).unwrap().len();
    assert!((64 << 10..65 << 10).contains(&size), "{size}");
}

#[test]
fn a_full_disk_is_remembered() {
    let notify: Arc<EventSink> = Arc::new(|_| ());
    let masker = Masker::new(["s3cr3t-value"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let log = JobLog::new("job".into(), full, "job.log".into(), &masker, 1 << 20, notify);
    log.write(Stream::Out, b"hello\n");
    assert!(log.lost().unwrap().starts_with("No space left on device"));
    assert_eq!(log.last_lines(), ["hello"]);
}

#[rstest]
fn secrets_are_masked_before_the_limit_cuts(#[values(1, 5, 12)] size: usize) {
    for limit in 1..100 {
        let (_dir, log, lines) = log(limit);
        "s3cr3t-value".repeat(10).as_bytes().chunks(size).for_each(|chunk| log.write(Stream::Out, chunk));
        log.say("The end");
        log.flush();
        let all = lines.lock().unwrap().concat() + &std::fs::read_to_string(log.path()).unwrap();
        assert!(!all.contains("s3"), "{limit}: {all}");
    }
}

// `Gitlab::Ci::Trace::Stream#extract_coverage`
#[rstest]
#[case::last_line_wins(r"/TOTAL \d+(?:\.\d+)? ?%/", "TOTAL 50%\nTOTAL 71.5 %\nend\n", Some(71.5))]
#[case::none(r"/TOTAL \d+%/", "nothing\n", None)]
#[case::group(r"/TOTAL.*? (100(?:\.0+)?\%|[1-9]?\d(?:\.\d+)?\%)$/", "TOTAL 120 10 92%\n", Some(92.0))]
#[case::last_match_of_a_line(r"/\d+%/", "lines 50% branches 70%\n", Some(70.0))]
#[case::last_group(r"/(\d+)% of (\d+)/", "50% of 120\n", Some(120.0))]
#[case::a_group_without_a_number(r"/(all|\d+%)/", "50%\nall\n", Some(50.0))]
fn coverage_is_read_from_the_log(#[case] pattern: &str, #[case] output: &str, #[case] expected: Option<f64>) {
    let (_dir, log, _) = log(1 << 20);
    log.watch_coverage(Pattern::parse(pattern).unwrap());
    log.write(Stream::Out, output.as_bytes());
    assert_eq!(log.coverage(), expected);
}
