//! Tests of what jobs get from the machine, and of what they disclose.

use super::*;
use crate::support::e2e;

/// A run with project variables, and everything that it has printed.
fn with_secret(pipeline: &str) -> (Run, String) {
    let repository = Repository::new("main", pipeline);
    let variables = NamedTempFile::new().expect("a file");
    let list = serde_json::json!([{"key": "SECRET", "value": "pass-w0rd-12345", "masked": true}]);
    std::fs::write(variables.path(), list.to_string()).expect("a file");
    let variables = variables.path().to_str().expect("a path");
    let settings = settings(repository.path());
    let table = repository
        .e2e(&["pipeline", "--variables", variables, "--config", settings.path().to_str().expect("a path")])
        .output()
        .expect("e2e");
    let run = run(&repository, &["--variables", variables]);
    let all = [&table.stdout, &table.stderr, &run.output.stdout, &run.output.stderr];
    let all = all.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    (run, all)
}

#[test]
fn secrets_are_masked_in_reasons_and_addresses() {
    let pipeline = "a:\n  script: 'echo \"A=1\" > \"$SECRET\"; echo \"bad key=1\" >> \"$SECRET\"'\n  artifacts: {reports: {dotenv: $SECRET}}\nb:\n  script: 'echo \"glpat-0123456789\"'\n  environment: {name: p, url: 'https://h/$SECRET'}\n";
    let (run, all) = with_secret(pipeline);
    assert!(!all.contains("w0rd-12345") && !all.contains("glpat-0"), "{all}");
    let reason = run.ended("a")["why"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("[MASKED]"), "{reason}");
    assert_eq!(run.ended("b")["environment_url"], "https://h/[MASKED]");
    has(&run.lines("b"), "glpat-[MASKED]");
}

/// `app/models/ci/build.rb`, `expanded_environment_url`.
#[test]
fn the_address_of_an_environment_has_all_variables() {
    let pipeline = "a:\n  stage: build\n  script: echo A=last > x.env\n  artifacts: {reports: {dotenv: x.env}}\nb:\n  script: [echo B=own > y.env, 'echo \"$CI_JOB_ID\"']\n  environment: {name: review/x, url: 'https://$A.$B.test/$CI_JOB_ID/$CI_ENVIRONMENT_SLUG'}\n  artifacts: {reports: {dotenv: y.env}}\n";
    let run = ran(pipeline);
    let url = run.ended("b")["environment_url"].as_str().expect("an address").to_owned();
    assert!(url.starts_with("https://last.own.test/100002/review-x-"), "{url}");
}

/// Jobs ignore the variables in which git passes the repository to hooks, and the variables of a surrounding CI job.
#[test]
fn a_job_does_not_see_the_surrounding_repository_or_job() {
    let pipeline = "default: {image: rust}\na:\n  script:\n    - git tag from-job\n    - 'echo \"tag [$CI_COMMIT_TAG] [$GITLAB_USER_LOGIN_OF_ANOTHER]\"'\n    - git rev-parse --show-toplevel | grep -c demo\n";
    let repository = Repository::new("main", pipeline);
    let settings = settings(repository.path());
    let mut command = repository.e2e(&["pipeline", "--format", "json"]);
    command.arg("--config").arg(settings.path());
    let own = repository.path().join(".git");
    command.env("GIT_DIR", &own).env("GIT_WORK_TREE", repository.path()).env("GIT_INDEX_FILE", own.join("index"));
    command.env("CI_COMMIT_TAG", "v9").env("GITLAB_USER_LOGIN_OF_ANOTHER", "somebody");
    let output = command.output().expect("e2e");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", error(&output));
    assert!(text.contains("\"line\":\"tag [] []\""), "{text}");
    assert!(!repository.path().join(".git/refs/tags/from-job").exists());
}

#[test]
fn uncommitted_changes_may_replace_files_by_directories_and_links() {
    let repository =
        Repository::new("main", "a: {script: 'cat file/below folder; readlink link; ls -d gone || echo gone'}\n");
    let at = |path: &str| repository.path().join(path);
    std::fs::write(at("file"), "file\n").expect("a file");
    for dir in ["folder", "link", "gone"] {
        std::fs::create_dir(at(dir)).expect("a directory");
        std::fs::write(at(dir).join("below"), "old\n").expect("a file");
    }
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Files"]);
    std::fs::remove_file(at("file")).expect("removed");
    std::fs::create_dir(at("file")).expect("a directory");
    std::fs::write(at("file/below"), "in a folder\n").expect("a file");
    for dir in ["folder", "link", "gone"] {
        std::fs::remove_dir_all(at(dir)).expect("removed");
    }
    std::fs::write(at("folder"), "no folder\n").expect("a file");
    std::os::unix::fs::symlink("file", at("link")).expect("a link");
    let run = run(&repository, &["--worktree"]);
    assert_eq!(run.code(), 0, "{:#?}", run.lines("a"));
    for line in ["in a folder", "no folder", "file", "gone"] {
        has(&run.lines("a"), line);
    }
}

#[test]
fn a_key_of_files_follows_what_is_not_committed() {
    let pipeline = "a: {script: 'true', cache: {key: {files: [lock]}, paths: [cached]}}\n";
    let repository = Repository::new("main", pipeline);
    let lock = repository.path().join("lock");
    let key = || {
        let run = run(&repository, &["--worktree"]);
        let line = run.lines("a").into_iter().find(|line| line.starts_with("Checking cache"));
        line.expect("a cache")
    };
    let without = key();
    std::fs::write(&lock, "1").expect("a file");
    repository.git(&["add", "."]);
    let first = key();
    repository.git(&["commit", "--quiet", "--message", "Lock"]);
    std::fs::write(&lock, "2").expect("a file");
    let second = key();
    std::fs::remove_file(&lock).expect("removed");
    assert!(
        without.ends_with("0_lock-default-non_protected...") && first != without && second != first,
        "{first} {second}"
    );
    assert_eq!(key(), without);
}

/// The pipeline determines whether its ref is protected; variables in the file do not change that.
#[test]
fn a_job_cannot_write_to_the_caches_of_protected_refs() {
    let pipeline = "a: {script: touch tool, cache: {key: build, paths: [tool]}, variables: {CI_COMMIT_REF_PROTECTED: 'true'}}\nb: {script: touch tool, cache: {key: build-protected, paths: [tool], unprotect: true}}\n";
    let repository = Repository::new("main", pipeline);
    let caches = |arguments: &[&str]| {
        let run = run(&repository, arguments);
        let cache = |job| {
            run.lines(job).into_iter().find_map(|line| line.strip_prefix("Checking cache for ").map(str::to_owned))
        };
        ["a", "b"].map(|job| cache(job).expect("a cache"))
    };
    assert_eq!(caches(&[]), ["build-non_protected...", "build-protected-non_protected..."]);
    assert_eq!(caches(&["--protected"]), ["build-protected...", "build-protected-non_protected..."]);
}

#[test]
fn urls_and_tokens_of_gitlab_are_masked() {
    let run = ran("a: {script: ['echo https://a.test/x?X-Amz-Signature=abc\\&y=2 glrt-abc']}\n");
    has(&run.lines("a"), "https://a.test/x?X-Amz-Signature=[MASKED]&y=2 glrt-[MASKED]");
}

/// Logs, artifacts and caches are kept below `target/e2e`. A repository can contain links there, and a `.gitignore` does not affect tracked
/// files.
#[test]
fn a_repository_that_tracks_files_below_target_e2e_is_refused() {
    let repository = Repository::new("main", "a: {script: touch x, cache: {key: k, paths: [x]}}\n");
    let victim = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(repository.path().join("target/e2e")).expect("a directory");
    std::os::unix::fs::symlink(victim.path(), repository.path().join("target/e2e/cache")).expect("a link");
    repository.git(&["add", "--force", "target"]);
    repository.git(&["commit", "--quiet", "--message", "Link"]);
    let output = repository.e2e(&["pipeline", "--executor", "shell"]).output().expect("e2e");
    assert!(!output.status.success() && error(&output).contains("tracks files below target/e2e"), "{}", error(&output));
    assert_eq!(std::fs::read_dir(victim.path()).expect("a directory").count(), 0);
}

/// A kubeconfig can name a program, which its reader runs.
#[rstest::rstest]
#[case::check(&["check"])]
#[case::status(&["status"])]
#[case::up(&["up"])]
#[case::down(&["down"])]
fn a_kubeconfig_of_the_repository_is_refused(#[case] arguments: &[&str]) {
    let repository = Repository::new("main", "a: {script: 'true'}\n");
    let dir = repository.path().join("target/e2e/clusters/gitlab-ci-k8s-demo");
    std::fs::create_dir_all(&dir).expect("a directory");
    std::fs::write(dir.join("kubeconfig"), "kind: Config\n").expect("a file");
    repository.git(&["add", "--force", "target"]);
    repository.git(&["commit", "--quiet", "--message", "Kubeconfig"]);
    let output = e2e(arguments).current_dir(repository.path()).output().expect("e2e");
    assert_eq!(output.status.code(), Some(2), "{}", error(&output));
    assert!(error(&output).contains("the repository tracks files in "), "{}", error(&output));
}

/// git would end at a request for a file outside of the repository, and then not answer requests for other files.
#[test]
fn an_include_outside_of_the_repository_does_not_hide_others() {
    let repository = Repository::new("main", "include: [../../outside.yml, ok.yml]\n");
    std::fs::write(repository.path().join("ok.yml"), "a: {script: 'true'}\n").expect("a file");
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Files"]);
    let output = repository.e2e(&["plan"]).output().expect("e2e");
    let message = error(&output);
    assert!(message.contains("outside.yml` does not exist") && !message.contains("`ok.yml`"), "{message}");
}

/// `plan` and `pipeline` start no program that the repository's git configuration or the user's git hooks name.
#[test]
fn git_runs_no_program_of_the_repository_or_the_user() {
    let pipeline = "a: {script: 'true', cache: {key: {files: [lock]}, paths: [x]}}\n";
    let repository = Repository::new("main", pipeline);
    for (name, text) in [(".gitattributes", "* filter=theirs\n"), ("lock", "1\n")] {
        std::fs::write(repository.path().join(name), text).expect("a file");
    }
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Filter"]);
    std::fs::write(repository.path().join("lock"), "2\n").expect("a file");
    let dir = tempfile::tempdir().expect("a directory");
    let (program, trace) = (dir.path().join("post-checkout"), dir.path().join("ran"));
    std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", trace.display())).expect("a file");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    let config = dir.path().join("gitconfig");
    std::fs::write(&config, format!("[core]\n\thooksPath = {}\n", dir.path().display())).expect("a file");
    for key in ["core.fsmonitor", "filter.theirs.clean", "filter.theirs.smudge", "filter.theirs.process"] {
        repository.git(&["config", key, program.to_str().expect("a path")]);
    }
    let commands = [
        &["plan", "--worktree"][..],
        &["lint"],
        &["pipeline", "--executor", "shell"],
        &["pipeline", "--executor", "shell", "--worktree"],
    ];
    for arguments in commands {
        let output = repository.e2e(arguments).env("GIT_CONFIG_GLOBAL", &config).output().expect("e2e");
        assert!(output.status.success(), "{}", error(&output));
        assert!(!trace.exists(), "{arguments:?} ran it");
    }
}

#[test]
fn the_site_of_a_pages_job_is_an_artifact() {
    let pipeline = "pages: {stage: build, script: 'mkdir public; touch public/x'}\nb: {script: ls public}\n";
    has(&ran(pipeline).lines("b"), "x");
}

/// `git ls-files --others` lists no directories and no files of submodules.
#[test]
fn untracked_files_are_those_that_git_lists() {
    let pipeline = "default: {image: rust}\na:\n  stage: build\n  script: [mkdir new, touch new/file, echo x >> src/x]\n  artifacts: {untracked: true}\nb:\n  stage: build\n  script: 'true'\n  artifacts: {untracked: true}\nc:\n  script: [cat src/x, ls new]\n";
    let repository = Repository::new("main", pipeline);
    std::fs::create_dir(repository.path().join("src")).expect("a directory");
    std::fs::write(repository.path().join("src/x"), "committed\n").expect("a file");
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Files"]);
    let run = run(&repository, &[]);
    assert!(run.lines("c").ends_with(&["committed", "file"].map(str::to_owned)), "{:#?}", run.lines("c"));
    let all: Vec<_> = run.events.iter().filter_map(|event| event["line"].as_str()).collect();
    assert!(all.iter().any(|line| line.contains("No files to upload")), "{all:#?}");
    assert!(all.iter().any(|line| line.contains("1 files and directories")), "{all:#?}");
}

#[test]
fn a_closed_output_does_not_change_the_exit_code() {
    let repository = Repository::new("main", "a: {script: 'true'}\n");
    let settings = settings(repository.path());
    for arguments in [&["pipeline", "--config", settings.path().to_str().expect("a path")][..], &["plan"]] {
        let mut child = repository.e2e(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("e2e");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    }
}

#[rstest]
#[case::percent("x%20y", "sha1")]
#[case::another_hash("x y", "sha256")]
fn repositories(#[case] name: &str, #[case] format: &str) {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join(name);
    std::fs::create_dir(&path).expect("a directory");
    std::fs::write(path.join(".gitlab-ci.yml"), "a: {script: cat .gitlab-ci.yml}\n").expect("a file");
    let identity = ["-c", "user.name=A B", "-c", "user.email=a@b.test", "-c", "init.defaultBranch=main"];
    let initial = format!("init --quiet --object-format={format}");
    for line in [&*initial, "add .", "commit --quiet --message x"] {
        let status = Command::new("git").arg("-C").arg(&path).args(identity).args(line.split(' ')).status();
        assert!(status.expect("git").success());
    }
    let settings = settings(parent.path());
    let mut command = crate::support::e2e(&["pipeline", "-C"]);
    let output = command.arg(&path).arg("--config").arg(settings.path()).output().expect("e2e");
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
}

/// A closed terminal (SIGHUP) ends the jobs, as Ctrl-C does.
#[test]
fn a_terminal_that_is_closed_ends_jobs() {
    let dir = tempfile::tempdir().expect("a directory");
    let begun = dir.path().join("begun");
    let pipeline = format!("a: {{script: 'touch {}; sleep 600'}}\n", begun.display());
    let (repository, settings) = (Repository::new("main", &pipeline), settings(dir.path()));
    let plain = repository.e2e(&["pipeline", "--config", settings.path().to_str().expect("a path")]);
    // Under `nohup`, this program ignores SIGHUP, and the programs that it starts would ignore it as well.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(plain.get_program()).args(plain.get_args());
    command.current_dir(plain.get_current_dir().expect("a directory"));
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("e2e");
    eventually("the job begins", TIMEOUT, || if begun.exists() { Ok(()) } else { Err("it has not".to_owned()) });
    let id = child.id();
    assert!(Command::new("kill").args(["-HUP", &id.to_string()]).status().expect("kill").success());
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(143), "{}", error(&output));
    assert_eq!(crate::left_behind(&format!("{id}.")), Vec::<String>::new());
}
