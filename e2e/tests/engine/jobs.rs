//! Tests of scripts, sources and artifacts in containers.

use std::time::Duration;

use gitlab_ci::plan::context::RefKind;
use gitlab_runner::config::{CERTIFICATES, DockerConfig, Mount, RunnerConfig};
use gitlab_runner::executor::FailureReason;
use gitlab_runner::workspace::archive;
use gitlab_runner::workspace::checkout::{Origin, Shape, Sources};
use gitlab_runner::workspace::submodules::Submodules;
use rstest::rstest;

use crate::job::{DEBIAN, Pipeline, WITH_SH, WITHOUT_SHELL, selection, variables};
use crate::support;

#[tokio::test]
async fn a_script_and_its_after_script_run() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let mut job = pipeline.job(DEBIAN, |request| request.variables = variables(&[("A", "it's $A")])).await;
    let commands = ["echo $A", "cat", "echo error >&2", "echo ${BASH_VERSION:+bash} $PWD", "touch /left", "exit 7"];
    let (code, output) = job.run(&commands).await;
    let mut lines: Vec<_> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!((code, lines), (7, vec!["bash /builds/group/project", "error", "it's $A"]));
    // `after_script` runs in another shell in the same container.
    assert_eq!(job.run(&["ls /left", "getent hosts build | wc -l"]).await, (0, "/left\n1".to_owned()));
    assert!(job.text().contains("Using Docker executor with image docker ..."), "{}", job.text());
    assert_eq!(pipeline.resources().len(), 3);
    job.session.finish().await;
    assert_eq!(pipeline.left().await, [""; 0]);
}

#[tokio::test]
async fn a_lot_of_output_arrives_in_full() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let mut job = pipeline.job(DEBIAN, |_| ()).await;
    let (code, output) = job.run(&["seq 100000"]).await;
    assert_eq!((code, output.lines().count(), output.lines().last()), (0, 100_000, Some("100000")));
    job.session.finish().await;
}

#[rstest]
#[case::of_the_image(None, "by the entrypoint\nsh")]
#[case::none(Some(vec![String::new()]), "sh")]
#[case::another(Some(vec!["env".to_owned(), "B=2".to_owned()]), "sh 2")]
#[tokio::test]
async fn an_image_with_only_sh(#[case] entrypoint: Option<Vec<String>>, #[case] expected: &str) {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let mut job = pipeline.job(&WITH_SH, |request| request.image.as_mut().unwrap().entrypoint = entrypoint).await;
    let (code, output) = job.run(&["echo ${BASH_VERSION:-sh} $B"]).await;
    assert_eq!((code, output.as_str()), (0, expected));
    job.session.finish().await;
}

#[tokio::test]
async fn an_image_without_a_shell_is_reported() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let mut job = pipeline.job(&WITHOUT_SHELL, |_| ()).await;
    let error = job.session.run("exit 0", &job.log).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::ScriptFailure);
    assert!(error.message.starts_with("the image e2e-test/without-shell:latest has no shell: "), "{error}");
    job.session.finish().await;
    assert_eq!(pipeline.left().await, [""; 0]);
}

#[tokio::test]
async fn the_user_of_the_settings_precedes_that_of_the_job() {
    let docker = DockerConfig { user: Some("1234".to_owned()), ..DockerConfig::default() };
    let pipeline = Pipeline::new(&RunnerConfig { docker, ..RunnerConfig::default() }).await;
    let mut job = pipeline.job(DEBIAN, |request| request.image.as_mut().unwrap().user = Some("4321".to_owned())).await;
    assert_eq!(job.run(&["id -u"]).await, (0, "1234".to_owned()), "{}", job.text());
    job.session.finish().await;
}

#[tokio::test]
async fn another_user_can_write_to_the_working_directory() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let mut job =
        pipeline.job(&WITH_SH, |request| request.image.as_mut().unwrap().user = Some("somebody".to_owned())).await;
    let (code, output) = job.run(&["id -u", "touch file", "ls file", "ls -d ../project.tmp"]).await;
    assert_eq!((code, output.as_str()), (0, "by the entrypoint\n1234\nfile\n../project.tmp"), "{}", job.text());
    job.session.finish().await;
}

#[tokio::test]
async fn an_image_whose_registry_does_not_answer() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let (prepared, lines) = pipeline.prepare("127.0.0.1:9/none:1", |_| ()).await;
    let error = prepared.err().unwrap();
    assert_eq!(error.reason, FailureReason::RunnerSystemFailure);
    let expected = "cannot obtain image `127.0.0.1:9/none:1`: cannot pull 127.0.0.1:9/none:1: \
                    cannot reach the registry: connection refused; add the image to the engine";
    assert!(error.message.starts_with(expected), "{error}");
    let text = lines.text();
    assert!(text.contains("Pulling docker image 127.0.0.1:9/none:1 ..."), "{text}");
    assert!(text.contains("trying again in 2 s") && text.contains("trying again in 4 s"), "{text}");
    assert_eq!(pipeline.left().await, [""; 0]);
    let (prepared, _) = pipeline.prepare("", |_| ()).await;
    let error = prepared.err().unwrap();
    assert_eq!(error.reason, FailureReason::ScriptFailure);
    assert!(error.message.contains("is not an image name"), "{error}");
}

#[tokio::test]
async fn a_job_runs_scripts_after_one_that_sleeps_was_stopped() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let mut job = pipeline.job(DEBIAN, |_| ()).await;
    let given_up = tokio::time::timeout(Duration::from_secs(2), job.run(&["sleep 1000"])).await;
    assert!(given_up.is_err());
    job.session.stop(false).await;
    assert_eq!(job.run(&["echo after"]).await, (0, "after".to_owned()));
    job.session.finish().await;
    assert_eq!(pipeline.left().await, [""; 0]);
}

#[tokio::test]
async fn leftovers_of_a_killed_process_are_removed() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let job = pipeline.job(DEBIAN, |_| ()).await;
    std::mem::forget(job);
    assert_eq!(pipeline.sweep().await, 3);
    assert_eq!(pipeline.left().await, [""; 0]);
}

#[tokio::test]
async fn a_canceled_preparation_cleans_up() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let given_up = tokio::time::timeout(Duration::from_millis(150), pipeline.prepare(DEBIAN, |_| ())).await;
    drop(given_up);
    pipeline.wait_until_removed().await;
}

#[tokio::test]
async fn sources_and_artifacts_are_passed_between_jobs() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let dir = pipeline.dir.path();
    let repository = dir.join("repository");
    let git = |arguments: &str| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
        let mut command = std::process::Command::new("git");
        support::run(command.arg("-C").arg(&repository).args(identity).args(arguments.split(' ')))
    };
    std::fs::create_dir(&repository).unwrap();
    std::fs::write(repository.join("a.txt"), "from git").unwrap();
    git("init --quiet");
    git("add .");
    git("commit --quiet -m one");
    let origin = Origin::new(&repository, &git("rev-parse HEAD"), RefKind::Branch, "main", 1, false);
    let sources = Sources::new(origin, dir.join("checkouts"));
    std::fs::create_dir(dir.join("checkouts")).unwrap();
    let shape = Shape { depth: 20, fetch_flags: Vec::new(), submodules: Submodules::default(), has_files: true };
    let checkout = sources.checkout(&shape).await.unwrap();

    let mut first = pipeline.job(DEBIAN, |_| ()).await;
    first.session.put_sources(Some(&checkout)).await.unwrap();
    let commands = [
        "cat a.txt; echo",
        "git status --short",
        "mkdir -p dist/sub && echo content > dist/sub/file && ln dist/sub/file dist/second && ln -s sub dist/link",
        "chmod 750 dist/sub/file && head -c 50000000 /dev/zero > big",
    ];
    assert_eq!(first.run(&commands).await, (0, "from git".to_owned()));
    let archive = pipeline.archive();
    let meant = selection(&["dist/second", "dist/sub/", "dist/link", "big", "none/*", "a.txt/x"]);
    let packed = first.pack(meant, &archive).await;
    let unmatched = packed.findings.iter().filter(|finding| finding.count == Ok(0)).map(|finding| &*finding.pattern);
    assert_eq!(unmatched.collect::<Vec<_>>(), ["none/*", "a.txt/x"]);
    assert_eq!((packed.entries, packed.bytes), (5, 50_000_000 + 2 * 8));
    // The three files are hard links to one file. Two of the patterns have a wildcard in the name of the directory.
    let meant = selection(&["dist/sub/*", "d*/zzz", "*/second"]);
    let wild = pipeline.archive();
    first.run(&["ln dist/second dist/zzz"]).await;
    let packed = first.pack(meant, &wild).await;
    assert_eq!(packed.entries, 3);
    let content =
        archive::read(std::fs::File::open(&wild).unwrap(), 100, |path| path == "dist/zzz" || path == "dist/second")
            .unwrap();
    assert!(!content.is_empty() && content.iter().all(|(_, content)| content == b"content\n"), "{content:?}");
    let nothing = pipeline.archive();
    assert_eq!(first.pack(selection(&["none"]), &nothing).await.entries, 0);
    first.session.finish().await;

    let mut second = pipeline.job(DEBIAN, |_| ()).await;
    second.session.unpack(std::fs::File::open(&archive).unwrap()).await.unwrap();
    let commands = ["cat dist/link/file dist/second", "stat -c %a dist/sub/file", "stat -c %s big", "ls"];
    let expected = "content\ncontent\n750\n50000000\nbig\ndist";
    assert_eq!(second.run(&commands).await, (0, expected.to_owned()));
    second.session.finish().await;
}

#[tokio::test]
async fn settings_of_the_runner_are_applied() {
    let config = RunnerConfig {
        certificates: Some("-----BEGIN CERTIFICATE-----".into()),
        shell: Some("sh".to_owned()),
        builds_dir: Some("/elsewhere".to_owned()),
        docker: DockerConfig {
            image: Some(DEBIAN.to_owned()),
            volumes: vec![Mount::Shared("/shared".to_owned()), Mount::Bind("/etc:/of-the-host:ro".to_owned())],
            extra_hosts: vec!["somewhere.test:192.0.2.1".to_owned()],
            memory: Some(64 << 20),
            cpu_shares: Some(128),
            user: Some("1234".to_owned()),
            ..DockerConfig::default()
        },
        ..RunnerConfig::default()
    };
    let pipeline = Pipeline::new(&config).await;
    let mut job = pipeline.job("", |request| request.image = None).await;
    let certificates = format!("cat {CERTIFICATES}; echo");
    let commands = [
        "pwd",
        "id -u",
        &certificates,
        "echo ${BASH_VERSION:-sh}",
        "getent hosts somewhere.test | wc -l",
        "ls -d /shared /of-the-host/hosts",
        // The files of cgroup v1 and v2, which use different scales.
        "grep -x 128 /sys/fs/cgroup/cpu/cpu.shares || grep -vx 100 /sys/fs/cgroup/cpu.weight | sed 's/.*/128/'",
    ];
    let expected =
        "/elsewhere/group/project\n1234\n-----BEGIN CERTIFICATE-----\nsh\n1\n/of-the-host/hosts\n/shared\n128";
    assert_eq!(job.run(&commands).await, (0, expected.to_owned()), "{}", job.text());
    let (code, _) = job.run(&["head -c 200m /dev/zero | tail | wc -c"]).await;
    assert_ne!(code, 0, "{}", job.text());
    job.session.finish().await;
    assert_eq!(pipeline.left().await, [""; 0]);
}

#[tokio::test]
async fn a_job_without_an_image() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let (prepared, _) = pipeline.prepare("", |request| request.image = None).await;
    let error = prepared.err().unwrap();
    assert!(error.message.starts_with("job `job` has no image, and the runner has no default image"), "{error}");
}
