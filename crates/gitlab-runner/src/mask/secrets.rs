//! Finds and masks secrets in a stream with the Aho-Corasick algorithm, which takes one step per byte.
//!
//! One mask replaces all bytes of secrets that overlap: no part of any of them remains. The longest secret wins over those within it.

use std::collections::VecDeque;
use std::sync::Arc;

/// The replacement for a secret.
pub(super) const MASK: &[u8] = b"[MASKED]";

/// The state in which no secret has begun.
const ROOT: usize = 0;

/// Masks secrets in a stream of bytes.
#[derive(Clone)]
pub(super) struct Secrets {
    /// Shared by all clones: a secret of 5 KiB has 5,000 states, and lines of a log are masked by clones.
    states: Arc<Vec<State>>,
    /// For each byte, whether a secret begins with it.
    begins: [bool; 256],
    state: usize,
    /// Number of bytes received in this stream.
    position: usize,
    /// Number of received bytes whose output is decided.
    decided: usize,
    /// Bytes that were received and are not decided.
    held: VecDeque<u8>,
    /// Start and end positions of the undecided secrets, in order, without overlaps.
    found: VecDeque<(usize, usize)>,
}

/// A state of the automaton: the longest suffix of the received bytes that is a prefix of a secret.
#[derive(Clone, Default)]
struct State {
    /// The next states, sorted by the next byte.
    next: Vec<(u8, usize)>,
    /// The state of the next shorter suffix that is a prefix of a secret.
    fallback: usize,
    /// Length of this state's prefix.
    depth: usize,
    /// Length of the longest secret that this state's prefix ends with; 0 for none.
    secret: usize,
}

impl Secrets {
    /// An automaton for these secrets. Empty ones are ignored.
    pub(super) fn new<Secret: AsRef<[u8]>>(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut masker = Self {
            states: Arc::new(vec![State::default()]),
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

    /// Takes a chunk, and outputs all bytes that are decided.
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
        // No secret that is still incomplete begins before this position.
        let depth = self.states.get(self.state).map_or(0, |state| state.depth);
        self.decide(self.position - depth, chunk, output);
    }

    /// Outputs the rest, and resets the state for another stream.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>) {
        self.decide(self.position, &[], output);
        (self.state, self.position, self.decided) = (ROOT, 0, 0);
    }

    fn is_begin(&self, byte: u8) -> bool {
        self.begins.get(usize::from(byte)).copied().unwrap_or_default()
    }

    fn insert(&mut self, secret: &[u8]) {
        let states = Arc::make_mut(&mut self.states);
        let mut at = ROOT;
        for (index, byte) in secret.iter().enumerate() {
            let new = states.len();
            let Some(state) = states.get_mut(at) else { return };
            at = match state.next.binary_search_by_key(byte, |(byte, _)| *byte) {
                Ok(place) => state.next.get(place).map_or(ROOT, |(_, next)| *next),
                Err(place) => {
                    state.next.insert(place, (*byte, new));
                    states.push(State { depth: index + 1, ..State::default() });
                    new
                }
            };
        }
        if let Some(state) = states.get_mut(at) {
            state.secret = secret.len();
        }
        if let Some(begins) = secret.first().and_then(|byte| self.begins.get_mut(usize::from(*byte))) {
            *begins = true;
        }
    }

    /// Sets the fallbacks, breadth first: a fallback is less deep than its state and therefore already complete.
    fn link(&mut self) {
        let mut waiting = VecDeque::from([ROOT]);
        while let Some(at) = waiting.pop_front() {
            let Some(state) = self.states.get(at) else { continue };
            let (next, fallback) = (state.next.clone(), state.fallback);
            for (byte, child) in next {
                let fallback = if at == ROOT { ROOT } else { self.step(fallback, byte) };
                let shorter = self.states.get(fallback).map_or(0, |state| state.secret);
                if let Some(child) = Arc::make_mut(&mut self.states).get_mut(child) {
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

    /// Records a secret that ends at the current position.
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

    /// Outputs the bytes before `until`, and the mask of a secret that begins at `until`: a longer secret that begins there needs no
    /// second mask. `chunk` has the bytes that were received last.
    fn decide(&mut self, until: usize, chunk: &[u8], output: &mut Vec<u8>) {
        let held_from = self.position - chunk.len() - self.held.len();
        while let Some((start, end)) = self.found.front().copied().filter(|(start, _)| *start <= until) {
            self.found.pop_front();
            // A secret that overlaps a masked one extends that mask.
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
        let passed = self.decided - held_from;
        let passed_of_chunk = passed.saturating_sub(self.held.len());
        self.held.drain(..passed.min(self.held.len()));
        self.held.extend(chunk.get(passed_of_chunk..).unwrap_or_default());
    }

    /// Outputs a range of the held bytes and the chunk that follows them.
    fn give(&self, from: usize, until: usize, chunk: &[u8], output: &mut Vec<u8>) {
        let held = self.held.len();
        output.extend(self.held.range(from.min(held)..until.min(held)));
        let chunk = chunk.get(from.saturating_sub(held)..until.saturating_sub(held));
        output.extend_from_slice(chunk.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
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
    #[case::one_secret(&["secret"], "a secret b", "a [MASKED] b")]
    #[case::twice(&["secret"], "secretsecret", "[MASKED][MASKED]")]
    #[case::incomplete_secret(&["secret"], "a secre", "a secre")]
    #[case::secret_after_its_own_prefix(&["secret"], "sesecret", "se[MASKED]")]
    #[case::common_prefix(&["secret", "secrets"], "secrets secret", "[MASKED] [MASKED]")]
    #[case::common_suffix(&["cret", "secret"], "secret cret", "[MASKED] [MASKED]")]
    #[case::secret_within_a_secret(&["cre", "secret"], "secret secre", "[MASKED] se[MASKED]")]
    #[case::overlapping(&["abcd", "cdef"], "-abcdef-", "-[MASKED]-")]
    #[case::three_overlapping(&["ab", "de", "bcd"], "-abcde-", "-[MASKED]-")]
    #[case::overlapping_itself(&["aba"], "xababax", "x[MASKED]x")]
    #[case::secret_within_the_mask(&["MASKED"], "MASKED", "[MASKED]")]
    #[case::repeated_prefix(&["aab"], "aaab", "a[MASKED]")]
    fn secrets_in_a_stream_are_masked(#[case] secrets: &[&str], #[case] input: &str, #[case] expected: &str) {
        let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
        for chunks in [vec![input.as_bytes()], bytes] {
            assert_eq!(String::from_utf8(masked(secrets, &chunks)).unwrap(), expected);
        }
    }

    #[test]
    fn secrets_may_be_invalid_utf8() {
        assert_eq!(masked(&[b"\xff\0\n"], &[b"a\xff", b"\0\nb\xff"]), b"a[MASKED]b\xff");
    }

    // The output of each chunk before the next one.
    #[rstest]
    #[case::plain(&["secret"], &["abc", "def"], &["abc", "def"])]
    #[case::prefix_is_held(&["secret"], &["x s", "ecre", "x"], &["x ", "", "secrex"])]
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
    fn finish_resets_the_state() {
        let (mut masker, mut output) = (Secrets::new(["secret"]), Vec::new());
        for chunk in ["sec", "ret"] {
            masker.push(chunk.as_bytes(), &mut output);
            masker.finish(&mut output);
        }
        assert_eq!(output, b"secret");
    }

    /// A search that compared the whole secret at each byte would take 2^38 steps, and the test would not end.
    #[test]
    fn each_byte_takes_constant_time() {
        let secret = "a".repeat(1 << 18) + "b";
        let (mut masker, mut output) = (Secrets::new([&secret]), Vec::new());
        (0..1 << 20).for_each(|_| masker.push(b"a", &mut output));
        masker.finish(&mut output);
        assert_eq!(output.len(), 1 << 20);
    }

    /// A reference implementation: tries every secret at every position, and joins overlapping occurrences.
    fn masked_naively(secrets: &[Vec<u8>], input: &[u8]) -> Vec<u8> {
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
        fn the_output_does_not_depend_on_the_chunks(
            secrets in proptest::collection::vec(bytes(1..6), 0..5),
            chunks in proptest::collection::vec(bytes(0..6), 0..12),
        ) {
            let input = chunks.concat();
            let chunk_slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let output = masked(&secrets, &chunk_slices);
            prop_assert_eq!(&output, &masked(&secrets, &[&input]));
            prop_assert_eq!(&output, &masked_naively(&secrets, &input));
            for secret in &secrets {
                prop_assert!(!output.windows(secret.len()).any(|window| window == secret));
            }
        }
    }
}
