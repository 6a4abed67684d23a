//! Tests of many and unusual files, on their way into a pod, out of it, and into another one.

use std::process::Command;

use super::{Namespace, Run, runner};
use crate::repository::Repository;
use crate::support::run;

/// Prints the names and the content of all files of the directory `src`, as one hash.
const CONTENT: &str = "(cd src; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum";

/// Prints the same of the directory `big`, and the modes and links of everything there.
const TREE: &str = "(cd big; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; find . -printf '%M %l %p\\n' | LC_ALL=C sort) \
     | sha256sum";

#[test]
fn many_and_unusual_files_arrive() {
    let namespace = Namespace::new();
    let pipeline = format!(
        r#"
make:
  stage: build
  script:
    - echo "content $({CONTENT})"
    - cp -a src big
    - long=$(printf 'x%.0s' $(seq 120)); mkdir -p big/$long/$long; echo long > big/$long/$long/$long
    - echo secret > big/secret; chmod 600 big/secret; ln big/secret big/hard; ln -s 'dir 1/file 1' "big/a link"
    - head -c 30000000 /dev/urandom > big/large; mkdir big/empty; echo no > big/skipped.tmp
    - echo "tree $(rm big/skipped.tmp; {TREE}; echo no > big/skipped.tmp)"
  artifacts: {{paths: [big/, missing/], exclude: [big/*.tmp]}}
list:
  script:
    - echo "tree $({TREE})"
    - stat -c '%a %n' big/secret big/hard
"#
    );
    let repository = Repository::new("main", &pipeline);
    for dir in 1..=100 {
        let dir = repository.path().join(format!("src/dir {dir}"));
        std::fs::create_dir_all(&dir).expect("a directory");
        for file in 1..=200 {
            std::fs::write(dir.join(format!("file {file}")), format!("{}/{file}", dir.display())).expect("a file");
        }
    }
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Files"]);
    let expected = run(Command::new("sh").args(["-c", CONTENT]).current_dir(repository.path()));
    let outcome = Run::new(namespace.command(&repository, &runner(""), &[]).output().expect("e2e"));
    assert_eq!(outcome.code(), 0, "{:#?}", outcome.all_lines("make"));
    outcome.has("make", &format!("content {expected}"));
    outcome.has("make", "missing/: no matching files");
    let tree = |job: &str| outcome.all_lines(job).into_iter().find(|line| line.starts_with("tree ")).expect("a tree");
    assert_eq!(tree("list"), tree("make"));
    for line in ["600 big/secret", "600 big/hard"] {
        outcome.has("list", line);
    }
}
