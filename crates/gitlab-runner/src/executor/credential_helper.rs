//! Programs that store the user's logins: <https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol>

use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// The maximum time that a helper may take. One that asks its user for a password would wait forever.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The login that a helper gives.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HelperLogin {
    /// [`TOKEN`] if the secret is an identity token.
    pub(super) username: String,
    /// The password.
    pub(super) secret: String,
}

/// The user name of a login whose secret is an identity token.
pub(super) const TOKEN: &str = "<token>";

/// Asks the helper `docker-credential-NAME` for the login to a registry.
///
/// # Errors
/// The helper cannot be started, fails, does not end in time, or gives no login.
pub(super) async fn get(name: &str, address: &str) -> Result<Option<HelperLogin>, String> {
    let program = format!("docker-credential-{name}");
    if name.contains('/') {
        return Err(format!("{program} is not the name of a program"));
    }
    let ended = timeout(TIMEOUT, run(&program, address)).await;
    let output = ended.map_err(|_| format!("{program} has not ended after {} s", TIMEOUT.as_secs()))?;
    let output = output.map_err(|error| format!("cannot run {program}: {error}"))?;
    answer(&program, &output)
}

/// Reads the answer of a helper that has ended.
fn answer(program: &str, output: &Output) -> Result<Option<HelperLogin>, String> {
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        // `errCredentialsNotFoundMessage` of github.com/docker/docker-credential-helpers
        let is_missing = text.trim() == "credentials not found in native keychain";
        let line = text.lines().next().unwrap_or_default().trim();
        return if is_missing { Ok(None) } else { Err(format!("{program} fails: {line}")) };
    }
    serde_json::from_str(&text).map(Some).map_err(|_| format!("{program} gives no login"))
}

async fn run(program: &str, address: &str) -> std::io::Result<Output> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that ends without reading gives a result, too.
        let _ = input.write_all(format!("{address}\n").as_bytes()).await;
    }
    child.wait_with_output().await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rstest::rstest;

    use super::*;

    /// Runs a helper with this script by its path.
    async fn asked(script: &str) -> Result<Option<HelperLogin>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("helper");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        loop {
            match run(path.to_str().unwrap(), "r.test").await {
                // A process that another test starts has the file open until it executes its own program.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => tokio::task::yield_now().await,
                output => return answer("helper", &output.unwrap()),
            }
        }
    }

    #[rstest]
    #[case::login(r#"read address; echo "{\"Username\":\"of $1 $address\",\"Secret\":\"p\"}""#, Ok("of get r.test"))]
    #[case::nothing_is_read(r#"echo '{"ServerURL":"r.test","Username":"u","Secret":"p"}'"#, Ok("u"))]
    #[case::failure("echo locked; exit 1", Err("helper fails: locked"))]
    #[case::no_login("echo hello", Err("helper gives no login"))]
    #[tokio::test]
    async fn a_helper_answers(#[case] script: &str, #[case] user: Result<&str, &str>) {
        let user = user.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(asked(script).await.map(|found| found.unwrap().username), user);
    }

    #[tokio::test]
    async fn a_registry_without_a_login_is_no_error() {
        let script = "echo credentials not found in native keychain; exit 1";
        assert!(asked(script).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_path_is_not_a_helper() {
        assert!(get("../x", "r.test").await.unwrap_err().ends_with("is not the name of a program"));
    }
}
