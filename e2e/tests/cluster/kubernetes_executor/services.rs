//! Tests of the services of a job.

use rstest::rstest;

use super::Namespace;

/// A server that answers every connection, in Perl.
const SERVER: &str = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) \
                      or die; while (my $c = $s->accept) { print $c qq(hello $ENV{NAME}\\n); close $c }";

fn with_services(services: &str, script: &str) -> String {
    let server = serde_json::to_string(SERVER).unwrap_or_default();
    let services = services.replace("SERVER", &format!("[perl, -e, {server}]"));
    format!("a:\n  script: {script}\n  services:\n{services}")
}

#[test]
fn services_listen_on_this_host_under_all_their_names() {
    let namespace = Namespace::new();
    let services = "    - {name: debian-forky, alias: 'db, db.test', command: SERVER, variables: {PORT: '5432', NAME: one, \
                    HEALTHCHECK_TCP_PORT: '5432'}}\n    - {name: debian-forky, alias: cache, command: SERVER, variables: {PORT: '6379', \
                    NAME: $SECRET, HEALTHCHECK_TCP_PORT: '6379'}}\n";
    let script = "['getent hosts db db.test cache debian-forky', 'cat < /dev/tcp/db/5432', 'cat < /dev/tcp/cache/6379 | tr a-z A-Z']";
    let repository = crate::repository::Repository::new("main", &with_services(services, script));
    let variables = tempfile::NamedTempFile::new().expect("a file");
    let list = serde_json::json!([{"key": "SECRET", "value": "pass-w0rd-12345", "masked": true}]);
    std::fs::write(variables.path(), list.to_string()).expect("a file");
    let arguments = ["--variables", variables.path().to_str().expect("a path")];
    let settings = super::runner("");
    let run = super::Run::new(namespace.command(&repository, &settings, &arguments).output().expect("e2e"));
    assert_eq!(run.code(), Some(0), "{:#?}", run.all_lines("a"));
    let lines = run.all_lines("a");
    let hosts = lines.iter().filter(|line| line.starts_with("127.0.0.1")).count();
    assert_eq!(hosts, 4, "{lines:#?}");
    run.has("a", "hello one");
    run.has("a", "HELLO PASS-W0RD-12345");
}

#[rstest]
#[case::underscore("my_db", "alias `my_db` of service debian-forky is not a host name")]
#[case::container("helper", "alias `helper` of service debian-forky is the name of a container that every job has")]
fn an_alias_that_no_pod_can_have_is_refused(#[case] alias: &str, #[case] expected: &str) {
    let namespace = Namespace::new();
    let services = format!("    - {{name: debian-forky, alias: {alias}}}\n");
    let run = namespace.run(&with_services(&services, "'true'"), "");
    run.failed("a", expected);
}

#[test]
fn a_service_that_ends_is_reported() {
    let namespace = Namespace::new();
    let services =
        "    - {name: debian-forky, alias: db, command: [sh, -c, 'echo cannot open the database; sleep 1; exit 4']}\n";
    let run = namespace.run(&with_services(services, "[sleep 5]"), "");
    assert_eq!(run.code(), Some(0));
    run.has("a", "service debian-forky (db, debian-forky) ended with exit code 4. Its last lines:");
    run.has("a", "  cannot open the database");
}

#[test]
fn a_service_that_does_not_listen_is_reported() {
    let namespace = Namespace::new();
    let services = "    - {name: debian-forky, alias: db, command: [sleep, '3'], variables: {HEALTHCHECK_TCP_PORT: '5432'}}\n    - {name: \
                    debian-forky, alias: other, command: [sleep, '600'], variables: {HEALTHCHECK_TCP_PORT: '5432'}}\n";
    let run = namespace.run(&with_services(services, "'true'"), "");
    assert_eq!(run.code(), Some(0));
    run.has("a", "both listen on port 5432");
    run.has("a", "service debian-forky (db, debian-forky) ended with exit code 0");
}
