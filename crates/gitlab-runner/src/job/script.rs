//! Builds one shell script from a job's commands: GitLab Runner's `shells/bash.go`, `shells/abstract.go`.
//!
//! All commands are the argument of one `eval`: the shell reports a syntax error only when it reaches the commands, and no command can
//! close the surrounding script. Standard input is empty, so that commands that read from it end instead of waiting. As in GitLab
//! Runner, only `errexit` (and `pipefail` if the shell supports it) decides about failure: commands are not checked one by one.

use gitlab_ci::config::variables::is_shell_name;
use gitlab_ci::variables::collection::Variable;

/// The input of a shell script.
#[derive(Clone, Debug)]
pub struct Script<'job> {
    /// The working directory.
    pub dir: &'job str,
    /// The job's variables, expanded.
    pub variables: &'job [Variable],
    /// The directory of file variables, outside of the checkout.
    pub temporary_dir: &'job str,
    /// The commands, in order.
    pub commands: &'job [&'job str],
    /// `FF_ENABLE_BASH_EXIT_CODE_CHECK`: whether a failed command ends the script even without `errexit`.
    pub checks_exit_codes: bool,
    /// Whether the shell is known to be bash. Commands are then printed as by GitLab Runner, which `set -x` shows.
    pub is_bash: bool,
    /// `CI_DEBUG_TRACE`: whether the shell prints every command that it executes (`xtrace`).
    pub is_traced: bool,
}

/// The file that `GITLAB_ENV` names. Lines `KEY=value` that a script appends to it are variables of later scripts of the job.
/// <https://docs.gitlab.com/ci/variables/job_scripts/#pass-an-environment-variable-to-another-section-of-the-same-job>
const ENVIRONMENT_FILE: &str = "gitlab_runner_env";

/// Sets the option if the shell supports it. Bash does; for other shells, the test needs a subprocess.
const PIPEFAIL: &str = "if [ -n \"${BASH_VERSION:-}\" ] || (set -o pipefail) 2> /dev/null; then set -o pipefail; fi";

/// `shells/bash.go` (`CheckForErrors`)
const EXIT_CODE_CHECK: &str =
    "_runner_exit_code=$?; if [ $_runner_exit_code -ne 0 ]; then exit $_runner_exit_code; fi\n";

/// The color of an echoed command, as in GitLab Runner.
const BOLD_GREEN: &str = "\x1b[32;1m";
const RESET: &str = "\x1b[0;m";

impl Script<'_> {
    /// The script, which `bash` and every POSIX shell can read from standard input.
    pub fn text(&self) -> String {
        let temporary = quote(self.temporary_dir);
        let file = quote(&environment_file(self.temporary_dir));
        let exports: String = self.variables.iter().map(|variable| export(variable, self.temporary_dir)).collect();
        let mut commands = String::new();
        // `shells/abstract.go` (`writeCommands`): an empty command is an empty line.
        for command in self.commands.iter().map(|command| command.trim()) {
            if command.is_empty() {
                commands.push_str("echo\n");
                continue;
            }
            // The `echo` of some shells interprets backslashes. `shells/bash.go` (`Noticef`)
            let print = if self.is_bash { "echo $" } else { "printf '%s\\n' " };
            let text = if self.is_bash { quote_ansi(&echo(command)) } else { quote(&echo(command)) };
            commands.extend([print, &text, "\n", command, "\n"]);
            if self.checks_exit_codes {
                commands.push_str(EXIT_CODE_CHECK);
            }
        }
        let body = format!(
            "trap 'exit 1' TERM\n[ -d {temporary} ] || mkdir -p {temporary}\n{exports}export GITLAB_ENV={file}\n\
             if [ -f {file} ]; then while read -r line; do export \"$line\"; done < {file}; fi\n\
             cd {dir}\n{commands}",
            dir = quote(self.dir),
        );
        let trace = if self.is_traced { "set -o xtrace\n" } else { "" };
        format!(
            "trap 'exit 1' TERM\n{trace}\
             {PIPEFAIL}\nset -o errexit\nset +o noclobber\n\
             ( eval {} ) < /dev/null\nexit 0\n",
            quote(&body)
        )
    }
}

/// The path in `GITLAB_ENV`.
pub fn environment_file(temporary_dir: &str) -> String {
    format!("{temporary_dir}/{ENVIRONMENT_FILE}")
}

/// The first line of the file in `GITLAB_ENV` that a shell cannot export. An incomplete last line is ignored. `shells/bash.go`
/// (`SourceEnv`)
pub fn invalid_line(content: &str) -> Option<&str> {
    let lines = content.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let name =
        |line: &str| line.split_once('=').map_or(line, |(name, _)| name.strip_suffix('+').unwrap_or(name)).to_owned();
    lines.map(str::trim).find(|line| !is_shell_name(&name(line)))
}

/// Exports a variable. Writes a file variable to its file and exports the path.
fn export(variable: &Variable, temporary_dir: &str) -> String {
    let key = &variable.key;
    // A job with such a name fails before its script.
    if !is_shell_name(key) {
        return String::new();
    }
    let value = quote(&variable.value);
    if !variable.file {
        return format!("export {key}={value}\n");
    }
    let path = quote(&format!("{temporary_dir}/{key}"));
    format!("printf '%s' {value} > {path}\nchmod 600 {path}\nexport {key}={path}\n")
}

/// The echo of a command: its first line, and a note if there are more.
fn echo(command: &str) -> String {
    let mut lines = command.trim_end_matches('\n').lines();
    let first = lines.next().unwrap_or_default();
    match lines.next() {
        Some(_) => format!("{BOLD_GREEN}$ {first} # collapsed multi-line command{RESET}"),
        None => format!("{BOLD_GREEN}$ {first}{RESET}"),
    }
}

/// Quotes a text as a single word for every POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Quotes a text of one line for bash, after a dollar sign.
fn quote_ansi(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'").replace('\x1b', r"\x1b"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use rstest::rstest;

    use super::*;
    use gitlab_ci::variables::collection::Origin;

    /// Runs commands as a job, and returns its exit code and what it wrote to standard output, without the echoes.
    fn run(shell: &str, commands: &[&str], variables: &[Variable]) -> (i32, String) {
        let dir = tempfile::tempdir().unwrap();
        let (dir, temporary) = (dir.path().join("a b"), dir.path().join("it's.tmp"));
        std::fs::create_dir_all(&dir).unwrap();
        let script = Script {
            dir: dir.to_str().unwrap(),
            variables,
            temporary_dir: temporary.to_str().unwrap(),
            commands,
            checks_exit_codes: false,
            is_bash: shell == "bash",
            is_traced: false,
        };
        let mut child =
            Command::new(shell).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.text().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let own = text.lines().filter(|line| !line.starts_with(BOLD_GREEN)).collect::<Vec<_>>();
        (output.status.code().unwrap(), own.join("\n"))
    }

    // https://docs.gitlab.com/ci/yaml/script/, as GitLab Runner implements it: one shell and `errexit`, nothing else.
    #[rstest]
    #[case::success(&["echo a", "echo b"], 0, "a\nb")]
    #[case::exit_code(&["echo a", "(exit 7)", "echo b"], 7, "a")]
    #[case::failed_and_list_continues(&["false && true", "echo b"], 0, "b")]
    #[case::failed_and_list_at_the_end(&["echo a", "false && true"], 1, "a")]
    #[case::or_list(&["false || true", "echo b"], 0, "b")]
    #[case::condition(&["if false; then :; fi", "echo b"], 0, "b")]
    #[case::negation(&["! true", "echo b"], 0, "b")]
    #[case::substitution(&["A=$(false)", "echo b"], 1, "")]
    #[case::exported_substitution(&["export A=$(false)", "echo b"], 0, "b")]
    #[case::exit_0(&["echo a", "exit 0", "echo b"], 0, "a")]
    #[case::exit_3(&["exit 3"], 3, "")]
    #[case::standard_input_is_empty(&["cat", "echo b"], 0, "b")]
    #[case::one_shell(&["A=1", "cd /", "echo $A $PWD"], 0, "1 /")]
    #[case::multi_line_command(&["if true\nthen echo a\nfi"], 0, "a")]
    #[case::here_document(&["cat <<END\n  a 'b'\nEND\n", "echo c"], 0, "  a 'b'\nc")]
    #[case::cannot_close_the_surrounding_script(&["echo a", ") ; echo b"], 2, "a")]
    #[case::unknown_command(&["no-such-command-here"], 127, "")]
    fn errexit_decides_about_failure(#[case] commands: &[&str], #[case] code: i32, #[case] output: &str) {
        for shell in ["bash", "dash"] {
            assert_eq!(run(shell, commands, &[]), (code, output.to_owned()), "{shell}");
        }
    }

    #[rstest]
    #[case::bash("bash", 1)]
    #[case::without_pipefail("dash", 0)]
    fn a_pipe_fails_where_the_shell_has_pipefail(#[case] shell: &str, #[case] code: i32) {
        assert_eq!(run(shell, &["false | true"], &[]).0, code);
    }

    #[test]
    fn variables_are_exported_and_file_variables_are_written() {
        let file = Variable { file: true, ..Variable::new("FILE", "line 1\n$HOME 'x'\\n", Origin::Project) };
        let variables =
            [Variable::new("A", "it's $HOME `x` \"y\"\\\nz", Origin::Job), file, Variable::new("1A", "", Origin::Job)];
        for shell in ["bash", "dash"] {
            let commands =
                ["printf '%s\\n' \"$A\"", "cat \"$FILE\"; echo", "case $FILE in */it\\'s.tmp/FILE) echo there;; esac"];
            let (code, output) = run(shell, &commands, &variables);
            assert_eq!(
                (code, output.as_str()),
                (0, "it's $HOME `x` \"y\"\\\nz\nline 1\n$HOME 'x'\\n\nthere"),
                "{shell}"
            );
        }
    }

    #[rstest]
    #[case::assignments("A=1\nB=x=y\nC\n", None)]
    #[case::incomplete_last_line("A=1\nnot a variable", None)]
    #[case::text("A=1\nnot a variable\n", Some("not a variable"))]
    #[case::comment("# a\n", Some("# a"))]
    #[case::empty_line("A=1\n\nB=2\n", Some(""))]
    #[case::digit("1A=1\n", Some("1A=1"))]
    fn a_line_that_is_no_variable_is_found(#[case] content: &str, #[case] expected: Option<&str>) {
        assert_eq!(invalid_line(content), expected);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(ENVIRONMENT_FILE), content).unwrap();
        let script = Script {
            dir: "/",
            variables: &[],
            temporary_dir: dir.path().to_str().unwrap(),
            commands: &[],
            checks_exit_codes: false,
            is_bash: false,
            is_traced: false,
        };
        for shell in ["bash", "dash"] {
            let status = Command::new(shell).args(["-c", &script.text()]).stderr(Stdio::null()).status().unwrap();
            assert_eq!(status.success(), expected.is_none(), "{shell}");
        }
    }

    #[test]
    fn bash_prints_commands_as_they_are_written() {
        let commands =
            ["true 'a\\n' \"it's\" \\\\", "true \u{fc} $HOME `x`"].map(|command| command.replace("`x`", "`true`"));
        let script = |is_bash| {
            let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
            let script = Script {
                dir: "/",
                variables: &[],
                temporary_dir: "/tmp",
                commands: &commands,
                checks_exit_codes: false,
                is_bash,
                is_traced: false,
            };
            let output = Command::new("bash").args(["-c", &script.text()]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let expected = commands.each_ref().map(|command| format!("{BOLD_GREEN}$ {command}{RESET}\n")).concat();
        assert_eq!((script(true), script(false)), (expected.clone(), expected));
    }

    #[test]
    fn a_command_is_echoed_with_its_first_line() {
        assert_eq!(echo("make all"), "\x1b[32;1m$ make all\x1b[0;m");
        assert_eq!(echo("if x\nthen y\nfi\n"), "\x1b[32;1m$ if x # collapsed multi-line command\x1b[0;m");
        assert_eq!(echo("one\n"), "\x1b[32;1m$ one\x1b[0;m");
    }
}
