//! A Ruby process that answers questions.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running `answer.rb`. It ends when its standard input is closed.
pub(crate) struct Ruby {
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    child: Child,
}

impl Ruby {
    pub(crate) fn start() -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ruby/answer.rb");
        let mut child = Command::new("ruby")
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ruby starts: apt-get install ruby ruby-chronic-duration ruby-numerizer");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { pipes: RefCell::new((input, BufReader::new(output))), child }
    }

    /// Returns the answer to a question, or Ruby's error.
    pub(crate) fn ask(&self, question: &Value) -> Result<Value, String> {
        let (input, output) = &mut *self.pipes.borrow_mut();
        writeln!(input, "{question}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).expect("Ruby answers in JSON");
        match answer.get_mut("error") {
            Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
            None => Ok(answer),
        }
    }
}

impl Drop for Ruby {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
