//! Masks a secret in the output of a job. The input is the secret, a form feed, and the output, in which each `\x02` stands for the secret
//! and each vertical tab ends a chunk.
#![no_main]

use std::fs::File;
use std::sync::{Arc, Mutex};

use gitlab_runner::event::{Event, EventSink};
use gitlab_runner::log::{JobLog, Stream, without_colors};
use gitlab_runner::mask::Masker;
use libfuzzer_sys::fuzz_target;

/// The replacement of a secret.
const MASK: &str = "[MASKED]";

/// The minimum length of a secret that the view must not show: a shorter one can appear by chance, when control sequences are removed.
const MIN_LENGTH: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == b'\x0c') else { return };
    let (secret, rest) = (&data[..end], &data[end + 1..]);
    let mut output = Vec::new();
    for byte in rest {
        if *byte == 2 { output.extend_from_slice(secret) } else { output.push(*byte) }
    }
    let chunks: Vec<&[u8]> = output.split(|byte| *byte == b'\x0b').collect();
    let masker = Masker::new([secret]);
    // A newline at the end does not belong to a secret.
    let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    stream(&masker, secret, &chunks);
    view(&masker, secret, &chunks);
});

/// The boundaries of the chunks change nothing, and the secret is gone.
fn stream(masker: &Masker, secret: &[u8], chunks: &[&[u8]]) {
    let masked = |chunks: &[&[u8]]| {
        let (mut masker, mut masked) = (masker.clone(), Vec::new());
        chunks.iter().for_each(|chunk| masker.push(chunk, &mut masked));
        masker.finish(&mut masked);
        masked
    };
    let in_chunks = masked(chunks);
    assert_eq!(in_chunks, masked(&[&chunks.concat()]), "the boundaries of chunks change the result");
    assert!(!shows(&in_chunks, secret), "the output has the secret");
}

/// No line that a person sees has the secret.
fn view(masker: &Masker, secret: &[u8], chunks: &[&[u8]]) {
    let Ok(text) = std::str::from_utf8(secret) else { return };
    if text.len() < MIN_LENGTH || !text.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return;
    }
    let lines = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&lines);
    let notify: Arc<EventSink> = Arc::new(move |event| {
        if let Event::Line { line, .. } = event {
            received.lock().expect("no thread panicked").push(line);
        }
    });
    let file = File::options().write(true).open("/dev/null").expect("the device exists");
    let log = JobLog::new("job".into(), file, "job.log".into(), masker, 1 << 20, notify);
    for (number, chunk) in chunks.iter().enumerate() {
        log.write(if number % 5 == 4 { Stream::Err } else { Stream::Out }, chunk);
    }
    log.flush();
    for line in lines
        .lock()
        .expect("no thread panicked")
        .iter()
        .map(|line| without_colors(line).into_owned())
        .chain(log.last_lines())
    {
        assert!(!shows(line.as_bytes(), secret), "the view has the secret: {line:?}");
    }
}

/// Whether the secret is between two masks. A mask itself may have a part of it.
fn shows(output: &[u8], secret: &[u8]) -> bool {
    let mut rest = output;
    let mut shown = false;
    while !secret.is_empty() && !shown {
        let end = rest.windows(MASK.len()).position(|window| window == MASK.as_bytes());
        let piece = &rest[..end.unwrap_or(rest.len())];
        shown = piece.windows(secret.len()).any(|window| window == secret);
        let Some(end) = end else { break };
        rest = &rest[end + MASK.len()..];
    }
    shown
}
