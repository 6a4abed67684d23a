//! Tests of jobs that are hostile or make mistakes: names of files, sizes, and the checkout of other jobs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::*;

/// `\351` is é in Latin-1, and invalid in UTF-8.
#[test]
fn names_that_are_not_utf8_are_checked_out_and_passed_on() {
    let pipeline = "default: {image: rust}\na:\n  stage: build\n  script:\n    - git status --short\n    - mkdir out; echo text > \"out/$(printf 'b\\351d.txt')\"\n  artifacts: {paths: [out]}\nb: {script: ['cat dir*/inner*.txt', 'cat \"out/$(printf ''b\\351d.txt'')\"']}\n";
    let repository = Repository::new("main", pipeline);
    let dir = repository.path().join(OsStr::from_bytes(b"dir\xe9"));
    std::fs::create_dir(&dir).expect("a directory");
    std::fs::write(dir.join(OsStr::from_bytes(b"inner\xe9.txt")), "from git\n").expect("a file");
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Latin-1"]);
    let run = run(&repository, &[]);
    assert_eq!(run.code(), 0, "{:#?}", run.events);
    assert!(!run.lines("a").iter().any(|line| line.contains("D \"")), "{:#?}", run.lines("a"));
    has(&run.lines("b"), "from git");
    has(&run.lines("b"), "text");
}

/// GitLab refuses the upload, so the job fails. Later jobs do not get the artifacts.
#[test]
fn artifacts_that_are_too_large_fail_their_job_and_leave_nothing() {
    let pipeline = "a:\n  stage: build\n  allow_failure: true\n  script: head -c 3000000 /dev/urandom > big\n  artifacts: {paths: [big]}\nfits:\n  stage: build\n  script: head -c 30000000 /dev/zero > zeros\n  artifacts: {paths: [zeros]}\nb: {script: ls}\n";
    let repository = Repository::new("main", pipeline);
    let run = run(&repository, &["--max-artifacts-size", "1"]);
    assert_eq!((run.code(), run.status("a"), run.status("fits")), (0, "failed", "success"), "{:#?}", run.events);
    let reason = run.ended("a")["why"].as_str().expect("a reason");
    assert!(reason.contains("larger than 1 MiB even when it is compressed"), "{reason}");
    let lines = run.lines("b");
    has(&lines, "zeros");
    assert!(!lines.contains(&"big".to_owned()), "{lines:#?}");
    let kept = std::fs::read_dir(repository.path().join("target/e2e/pipelines/1/artifacts")).expect("the artifacts");
    let kept: Vec<_> = kept.map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(kept, ["fits.tar"]);
}

#[test]
fn a_dotenv_report_that_is_too_large_fails_the_job_and_a_junit_report_is_ignored() {
    let pipeline = "a: {script: truncate -s 20M v.env, artifacts: {reports: {dotenv: v.env}}}\nb:\n  script: truncate -s 40M j.xml\n  artifacts: {reports: {junit: j.xml}}\n";
    let run = ran(pipeline);
    assert_eq!((run.status("a"), run.status("b")), ("failed", "success"), "{:#?}", run.events);
    let reason = run.ended("a")["why"].as_str().expect("a reason");
    assert!(reason.ends_with("the dotenv reports are larger than 64 KiB together"), "{reason}");
    let lines = run.events.iter().filter_map(|event| event["line"].as_str());
    let all: Vec<_> = lines.filter(|line| line.contains("larger than 30 MiB together")).collect();
    assert_eq!(all.len(), 1, "{:#?}", run.events);
}

/// A repository can contain a link where a log will be.
#[test]
fn a_log_is_not_written_through_a_link() {
    let repository = Repository::new("main", "a: {script: 'true'}\n");
    let (victim, logs) = (repository.path().join("victim"), repository.path().join("logs"));
    std::fs::write(&victim, "precious").expect("a file");
    std::fs::create_dir(&logs).expect("a directory");
    std::os::unix::fs::symlink(&victim, logs.join("a.log")).expect("a link");
    let run = run(&repository, &["--log-dir", logs.to_str().expect("a path")]);
    assert_eq!(run.code(), 0, "{}", error(&run.output));
    assert_eq!(std::fs::read_to_string(&victim).expect("a file"), "precious");
    assert!(!logs.join("a.log").is_symlink());
}

#[test]
fn two_pipelines_do_not_share_the_directory_of_their_logs() {
    let repository = Repository::new("main", "a: {script: 'true'}\n");
    let logs = tempfile::tempdir().expect("a directory");
    let lock = std::fs::File::open(logs.path()).expect("the directory");
    lock.lock().expect("the lock of another pipeline");
    let run = run(&repository, &["--log-dir", logs.path().to_str().expect("a path")]);
    assert_eq!(run.code(), 3);
    assert!(error(&run.output).contains("another pipeline is writing its logs to "), "{}", error(&run.output));
}

/// The packs of a checkout are read-only, but a job owns them. On this machine, it also finds the checkout from which all jobs start.
#[test]
fn a_job_cannot_change_what_other_jobs_run() {
    let pipeline = "default: {image: rust}\na:\n  stage: build\n  script:\n    - chmod u+w .git/objects/pack/* || true\n    - for pack in .git/objects/pack/*; do echo BROKEN > \"$pack\"; done\n    - for file in \"$CI_BUILDS_DIR\"/../../sources/*/s.sh; do if [ -e \"$file\" ]; then echo 'echo HACKED' > \"$file\" && echo ATTACKED; fi; done\nb: {script: ['sh s.sh', 'git log --oneline | wc -l'], parallel: 3}\n";
    let repository = Repository::new("main", pipeline);
    std::fs::write(repository.path().join("s.sh"), "echo original\n").expect("a script");
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Script"]);
    let run = run(&repository, &[]);
    let is_attacked = run.lines("a").contains(&"ATTACKED".to_owned());
    assert_eq!(is_attacked, EXECUTOR == "shell", "{:#?}", run.lines("a"));
    for number in 1..=3 {
        let job = format!("b {number}/3");
        let lines = run.lines(&job);
        assert!(!lines.contains(&"HACKED".to_owned()), "{lines:#?}");
        if is_attacked {
            let reason = run.ended(&job)["why"].as_str().expect("a reason");
            assert!(reason.contains("another job has changed the checkout"), "{reason}");
        } else {
            assert_eq!(run.status(&job), "success", "{:#?}", run.events);
            has(&lines, "original");
        }
    }
}

/// A link of the commit that a directory replaces in the working tree leads out of the checkout.
#[test]
fn uncommitted_changes_are_not_applied_through_a_link() {
    let repository = Repository::new("main", "a: {script: 'cat link/sub/file'}\n");
    let victim = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(victim.path().join("sub/file")).expect("a directory");
    std::fs::write(victim.path().join("sub/file/precious"), "").expect("a file");
    std::os::unix::fs::symlink(victim.path(), repository.path().join("link")).expect("a link");
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Link"]);
    std::fs::remove_file(repository.path().join("link")).expect("the link");
    std::fs::create_dir_all(repository.path().join("link/sub")).expect("a directory");
    std::fs::write(repository.path().join("link/sub/file"), "new\n").expect("a file");
    let run = run(&repository, &["--worktree"]);
    assert!(victim.path().join("sub/file/precious").exists());
    has(&run.lines("a"), "new");
}

#[test]
fn staged_deletions_and_replacements_are_applied() {
    let pipeline = "a: {script: ['ls -d gone moved kept || true', cat replaced/inner]}\n";
    let repository = Repository::new("main", pipeline);
    for name in ["gone", "moved", "replaced", "kept"] {
        std::fs::write(repository.path().join(name), name).expect("a file");
    }
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Files"]);
    repository.git(&["rm", "--quiet", "gone", "replaced"]);
    repository.git(&["mv", "moved", "elsewhere"]);
    std::fs::create_dir(repository.path().join("replaced")).expect("a directory");
    std::fs::write(repository.path().join("replaced/inner"), "inner\n").expect("a file");
    repository.git(&["add", "."]);
    let run = run(&repository, &["--worktree"]);
    assert_eq!(run.code(), 0, "{:#?}", run.events);
    let lines = run.lines("a");
    has(&lines, "kept");
    has(&lines, "inner");
    assert!(!lines.iter().any(|line| line == "gone" || line == "moved"), "{lines:#?}");
}
