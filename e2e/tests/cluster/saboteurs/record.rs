//! Records the rows of the matrix in docs/saboteurs.md, which `.ci/matrix` writes and compares.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use serde_json::json;

use crate::support::project;

/// The number of rows of each test so far.
static NUMBERS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// Records that the test's saboteur made exactly these checks fail, of those that ran, with reports that contain the words. A test with
/// several saboteurs records one row for each.
pub(crate) fn record(ran: &[&str], failed: &[(&str, &str)]) {
    let path = std::thread::current().name().expect("tests have names").to_owned();
    let mut parts = path.rsplit("::");
    let (test, subject) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let failed: BTreeMap<_, _> = failed.iter().copied().collect();
    let number = {
        let mut numbers = NUMBERS.lock().expect("no test panics here");
        let number = numbers.entry(test.to_owned()).or_default();
        *number += 1;
        *number
    };
    let row =
        json!({"subject": subject, "saboteur": test.replace('_', " "), "number": number, "ran": ran, "failed": failed});
    let dir = project().join("target/e2e/saboteurs");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join(format!("{test}-{number}.json")), format!("{row:#}\n")).expect("written");
}

/// The maximum length of a cause in the matrix, in characters.
const MAX_LENGTH: usize = 160;

/// The beginning of a cause, with `…` for what differs in each run: the random endings of pods' names, and addresses.
pub(super) fn stable(cause: &str) -> String {
    let words = cause.split(' ').map(|word| match word.split_once("gitlab-k8s-demo-") {
        Some((before, name)) => {
            let parts: Vec<&str> = name.split('-').map(|part| if is_random(part) { "…" } else { part }).collect();
            format!("{before}gitlab-k8s-demo-{}", parts.join("-"))
        }
        None => without_addresses(word),
    });
    let text = words.collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(MAX_LENGTH) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text,
    }
}

/// Whether a part of a pod's name is a random one: of a check (hexadecimal digits), or of a `ReplicaSet` (without vowels).
/// <https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go>
fn is_random(part: &str) -> bool {
    let part = part.trim_end_matches([':', ',', ';']);
    let is_safe = |it: u8| b"bcdfghjklmnpqrstvwxz2456789".contains(&it);
    part.len() > 3 && part.bytes().any(|it| it.is_ascii_digit()) || part.len() > 4 && part.bytes().all(is_safe)
}

fn without_addresses(word: &str) -> String {
    let parts = word.split_inclusive(|it: char| !it.is_ascii_digit() && it != '.').map(|part| {
        let end = part.trim_end_matches(|it: char| !it.is_ascii_digit() && it != '.').len();
        let (address, rest) = part.split_at(end);
        if address.parse::<std::net::Ipv4Addr>().is_ok() { format!("…{rest}") } else { part.to_owned() }
    });
    parts.collect()
}

#[test]
fn addresses_and_random_names_are_left_out_of_causes() {
    let cause = "Pod gitlab/gitlab-k8s-demo-dev-66f6c5555f-qzklj: dial tcp 10.244.0.189:9999: refused";
    assert_eq!(stable(cause), "Pod gitlab/gitlab-k8s-demo-dev-…-… dial tcp …:9999: refused");
    assert_eq!(stable("gitlab-k8s-demo-twice and twice-as-much"), "gitlab-k8s-demo-twice and twice-as-much");
}
