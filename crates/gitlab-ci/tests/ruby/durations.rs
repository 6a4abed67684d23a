use std::time::Duration;

use gitlab_ci::duration;
use proptest::prelude::*;
use serde_json::json;

use super::config;
use super::ruby::Ruby;

/// Words of durations, numbers as digits and as words, and words that are none of them.
const WORDS: &str = "1 2 0 10 007 1.5 .5 1. 1.2.3 1,000 1_0 -1 +2 1:30 0:0:1 1:2:3:4:5:6:7 1e3 1/2 ½ s sec secs seconds m min mins minute h \
    hr hrs hour d dy day days w wk week mo mos month months y yr year years and with plus , a an half quarter one two three \
    ten eleven twelve twenty twenty-two thirty hundred thousand million third first second never x Week";

fn text() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(WORDS.split(' ').collect::<Vec<_>>());
    let gap = proptest::sample::select(vec!["", " ", " ", " ", "  ", "-", ", ", "\t", "\n"]);
    proptest::collection::vec((word, gap), 0..7)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, gap)| [word, gap]).collect())
}

/// Debian's `ChronicDuration` 0.10 ignores words that it does not know, and GitLab's 0.12 refuses them. So only texts with a duration
/// are compared.
#[test]
fn durations_are_those_of_chronic_duration() {
    let ruby = Ruby::start();
    proptest!(config(), |(text in text())| {
        if let Ok(found) = duration::parse(&text) {
            let answer = ruby.ask(&json!(["duration", text])).unwrap();
            let expected = answer["seconds"].as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            prop_assert_eq!(Some(found), expected);
        }
    });
}
