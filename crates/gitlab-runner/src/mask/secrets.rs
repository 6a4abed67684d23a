//! The search for secrets in a stream.
//!
//! Of secrets that overlap all bytes go, behind one mask: the longest wins over those within it, and nothing is left of
//! one that another began or ended. The search is Aho's and Corasick's: one step forward for each byte.

use std::collections::VecDeque;

/// What stands for a secret.
pub(super) const MASK: &[u8] = b"[MASKED]";

/// The state in which nothing has begun.
const ROOT: usize = 0;

/// Masks secrets in a stream of bytes.
#[derive(Clone)]
pub(super) struct Secrets {
    states: Vec<State>,
    /// Whether a secret begins with a byte.
    begins: [bool; 256],
    state: usize,
    /// How many bytes came in.
    position: usize,
    /// Of how many of them it is decided what they become.
    decided: usize,
    /// Those that came in and are not decided.
    held: VecDeque<u8>,
    /// From where to where secrets are that are not decided, in order, without overlaps.
    found: VecDeque<(usize, usize)>,
}

/// What the last bytes are: the longest beginning of a secret among their ends.
#[derive(Clone, Default)]
struct State {
    /// By the next byte, sorted.
    next: Vec<(u8, usize)>,
    /// The longest beginning of a secret that these bytes end with.
    fallback: usize,
    /// How many bytes they are.
    depth: usize,
    /// The longest secret that they end with; 0 for none.
    secret: usize,
}

impl Secrets {
    /// Of these; empty ones are left out.
    pub(super) fn new<Secret: AsRef<[u8]>>(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut masker = Self {
            states: vec![State::default()],
            begins: [false; 256],
            state: ROOT,
            position: 0,
            decided: 0,
            held: VecDeque::new(),
            found: VecDeque::new(),
        };
        for secret in secrets {
            masker.insert(secret.as_ref());
        }
        masker.link();
        masker
    }

    /// Takes a chunk, and gives out all bytes of which it is certain what they become.
    pub(super) fn push(&mut self, chunk: &[u8], output: &mut Vec<u8>) {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            if self.state == ROOT && !self.is_begin(*byte) {
                let plain = rest.iter().position(|byte| self.is_begin(*byte)).unwrap_or(rest.len());
                self.position += plain;
                rest = rest.get(plain..).unwrap_or_default();
                continue;
            }
            rest = after;
            self.position += 1;
            self.state = self.step(self.state, *byte);
            let secret = self.states.get(self.state).map_or(0, |state| state.secret);
            if secret > 0 {
                self.find(self.position - secret);
            }
        }
        // No secret that is still to be found begins before.
        let depth = self.states.get(self.state).map_or(0, |state| state.depth);
        self.decide(self.position - depth, chunk, output);
    }

    /// Gives out the rest, and is ready for another stream.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>) {
        self.decide(self.position, &[], output);
        (self.state, self.position, self.decided) = (ROOT, 0, 0);
    }

    fn is_begin(&self, byte: u8) -> bool {
        self.begins.get(usize::from(byte)).copied().unwrap_or_default()
    }

    fn insert(&mut self, secret: &[u8]) {
        let mut at = ROOT;
        for (index, byte) in secret.iter().enumerate() {
            let new = self.states.len();
            let Some(state) = self.states.get_mut(at) else { return };
            at = match state.next.binary_search_by_key(byte, |(byte, _)| *byte) {
                Ok(place) => state.next.get(place).map_or(ROOT, |(_, next)| *next),
                Err(place) => {
                    state.next.insert(place, (*byte, new));
                    self.states.push(State { depth: index + 1, ..State::default() });
                    new
                }
            };
        }
        if let Some(state) = self.states.get_mut(at) {
            state.secret = secret.len();
        }
        if let Some(begins) = secret.first().and_then(|byte| self.begins.get_mut(usize::from(*byte))) {
            *begins = true;
        }
    }

    /// Sets what states fall back to, which is less deep and therefore known.
    fn link(&mut self) {
        let mut waiting = VecDeque::from([ROOT]);
        while let Some(at) = waiting.pop_front() {
            let Some(state) = self.states.get(at) else { continue };
            let (next, fallback) = (state.next.clone(), state.fallback);
            for (byte, child) in next {
                let fallback = if at == ROOT { ROOT } else { self.step(fallback, byte) };
                let shorter = self.states.get(fallback).map_or(0, |state| state.secret);
                if let Some(child) = self.states.get_mut(child) {
                    child.fallback = fallback;
                    child.secret = child.secret.max(shorter);
                }
                waiting.push_back(child);
            }
        }
    }

    fn step(&self, mut at: usize, byte: u8) -> usize {
        while let Some(state) = self.states.get(at) {
            if let Ok(place) = state.next.binary_search_by_key(&byte, |(byte, _)| *byte) {
                return state.next.get(place).map_or(ROOT, |(_, next)| *next);
            }
            if at == ROOT {
                break;
            }
            at = state.fallback;
        }
        ROOT
    }

    /// Notes a secret that ends here.
    fn find(&mut self, mut from: usize) {
        while let Some((start, end)) = self.found.back().copied() {
            if end <= from {
                break;
            }
            from = from.min(start);
            self.found.pop_back();
        }
        self.found.push_back((from, self.position));
    }

    /// Gives out what is before `until`, and the mask of a secret that begins there: longer ones of the same beginning
    /// need no other. What came in last is in `chunk`.
    fn decide(&mut self, until: usize, chunk: &[u8], output: &mut Vec<u8>) {
        let held_from = self.position - chunk.len() - self.held.len();
        while let Some((start, end)) = self.found.front().copied().filter(|(start, _)| *start <= until) {
            self.found.pop_front();
            // One that overlaps what is masked already only prolongs it.
            if start >= self.decided {
                self.give(self.decided - held_from, start - held_from, chunk, output);
                output.extend_from_slice(MASK);
            }
            self.decided = self.decided.max(end);
        }
        if until > self.decided {
            self.give(self.decided - held_from, until - held_from, chunk, output);
            self.decided = until;
        }
        let gone = self.decided - held_from;
        let gone_of_chunk = gone.saturating_sub(self.held.len());
        self.held.drain(..gone.min(self.held.len()));
        self.held.extend(chunk.get(gone_of_chunk..).unwrap_or_default());
    }

    /// Gives out bytes of those that are held and the chunk after them.
    fn give(&self, from: usize, until: usize, chunk: &[u8], output: &mut Vec<u8>) {
        let held = self.held.len();
        output.extend(self.held.range(from.min(held)..until.min(held)));
        let chunk = chunk.get(from.saturating_sub(held)..until.saturating_sub(held));
        output.extend_from_slice(chunk.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn masked<Secret: AsRef<[u8]>>(secrets: &[Secret], chunks: &[&[u8]]) -> Vec<u8> {
        let (mut masker, mut output) = (Secrets::new(secrets), Vec::new());
        for chunk in chunks {
            masker.push(chunk, &mut output);
        }
        masker.finish(&mut output);
        output
    }

    #[rstest]
    #[case::none(&[], "abc", "abc")]
    #[case::empty(&[""], "abc", "abc")]
    #[case::one(&["secret"], "a secret b", "a [MASKED] b")]
    #[case::twice(&["secret"], "secretsecret", "[MASKED][MASKED]")]
    #[case::only_a_beginning(&["secret"], "a secre", "a secre")]
    #[case::begins_again(&["secret"], "sesecret", "se[MASKED]")]
    #[case::longest_of_one_beginning(&["secret", "secrets"], "secrets secret", "[MASKED] [MASKED]")]
    #[case::longest_of_one_end(&["cret", "secret"], "secret cret", "[MASKED] [MASKED]")]
    #[case::within(&["cre", "secret"], "secret secre", "[MASKED] se[MASKED]")]
    #[case::overlapping(&["abcd", "cdef"], "-abcdef-", "-[MASKED]-")]
    #[case::three_overlapping(&["ab", "de", "bcd"], "-abcde-", "-[MASKED]-")]
    #[case::overlapping_itself(&["aba"], "xababax", "x[MASKED]x")]
    #[case::mask_within(&["MASKED"], "MASKED", "[MASKED]")]
    #[case::beginning_lost(&["aab"], "aaab", "a[MASKED]")]
    fn streams(#[case] secrets: &[&str], #[case] input: &str, #[case] expected: &str) {
        let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
        for chunks in [vec![input.as_bytes()], bytes] {
            assert_eq!(String::from_utf8(masked(secrets, &chunks)).unwrap(), expected);
        }
    }

    #[test]
    fn bytes_need_be_no_text() {
        assert_eq!(masked(&[b"\xff\0\n"], &[b"a\xff", b"\0\nb\xff"]), b"a[MASKED]b\xff");
    }

    // What each chunk gives out at once.
    #[rstest]
    #[case::plain(&["secret"], &["abc", "def"], &["abc", "def"])]
    #[case::beginning(&["secret"], &["x s", "ecre", "x"], &["x ", "", "secrex"])]
    #[case::complete(&["secret"], &["sec", "ret"], &["", "[MASKED]"])]
    #[case::longer_may_follow(&["secret", "secrets!"], &["secret", "s", "x"], &["[MASKED]", "", "sx"])]
    #[case::longer_follows(&["secret", "secrets!"], &["secret", "s", "!x"], &["[MASKED]", "", "x"])]
    #[case::longer_around(&["cre", "secret"], &["secre", "x"], &["", "se[MASKED]x"])]
    #[case::fallback(&["aaab"], &["aaa", "a", "a"], &["", "a", "a"])]
    fn holds_back_no_more_than_it_must(#[case] secrets: &[&str], #[case] chunks: &[&str], #[case] expected: &[&str]) {
        let mut masker = Secrets::new(secrets);
        for (chunk, expected) in chunks.iter().zip(expected) {
            let mut output = Vec::new();
            masker.push(chunk.as_bytes(), &mut output);
            assert_eq!(String::from_utf8(output).unwrap(), *expected);
        }
    }

    #[test]
    fn another_stream_begins_anew() {
        let (mut masker, mut output) = (Secrets::new(["secret"]), Vec::new());
        for chunk in ["sec", "ret"] {
            masker.push(chunk.as_bytes(), &mut output);
            masker.finish(&mut output);
        }
        assert_eq!(output, b"secret");
    }

    #[test]
    fn long_secrets_and_single_bytes_take_no_time() {
        let secret = "a".repeat(1 << 18) + "b";
        let (mut masker, mut output) = (Secrets::new([&secret]), Vec::new());
        let start = Instant::now();
        (0..1 << 20).for_each(|_| masker.push(b"a", &mut output));
        masker.finish(&mut output);
        assert_eq!(output.len(), 1 << 20);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    /// All occurrences, joined where they overlap.
    fn tried_out(secrets: &[Vec<u8>], input: &[u8]) -> Vec<u8> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for start in 0..input.len() {
            let length = secrets.iter().filter(|secret| input[start..].starts_with(secret)).map(Vec::len).max();
            match (length, found.last_mut()) {
                (Some(length), Some((_, end))) if start < *end => *end = (*end).max(start + length),
                (Some(length), _) => found.push((start, start + length)),
                (None, _) => {}
            }
        }
        let (mut output, mut at) = (Vec::new(), 0);
        for (start, end) in found {
            output.extend_from_slice(&input[at..start]);
            output.extend_from_slice(MASK);
            at = end;
        }
        output.extend_from_slice(&input[at..]);
        output
    }

    fn bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(proptest::sample::select(b"ab\xff".to_vec()), length)
    }

    proptest! {
        #[test]
        fn any_chunks_give_what_one_gives(
            secrets in proptest::collection::vec(bytes(1..6), 0..5),
            chunks in proptest::collection::vec(bytes(0..6), 0..12),
        ) {
            let input = chunks.concat();
            let chunk_slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let output = masked(&secrets, &chunk_slices);
            prop_assert_eq!(&output, &masked(&secrets, &[&input]));
            prop_assert_eq!(&output, &tried_out(&secrets, &input));
            for secret in &secrets {
                prop_assert!(!output.windows(secret.len()).any(|window| window == secret));
            }
        }
    }
}
