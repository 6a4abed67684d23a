//! The expressions of `rules:if` and `only:variables`: GitLab's `lib/gitlab/ci/pipeline/expression`.
//!
//! - [`pattern`]: `/regular expressions/`, which `only` and `except` use as well.
//! - `lexer`, `parser`: from text to a tree.
//! - `evaluate`: from a tree and variables to a truth.

mod error;
mod evaluate;
mod lexer;
mod node;
mod parser;
pub mod pattern;
mod re2;
mod variables;

use std::fmt;

pub use error::{PatternError, Problem, SyntaxError};
use node::Node;
pub use variables::{Input, Variables};

/// An expression: made once, evaluated for every job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(Node);

impl Expression {
    /// Reads `text`.
    ///
    /// Stricter than GitLab in one thing: its algorithm (`expression/parser.rb`) also takes operators that stand
    /// behind or before both of their operands (`$A "a" ==`), which nobody writes on purpose.
    ///
    /// # Errors
    ///
    /// The first thing that is no such expression.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        parser::parse(text).map(Self)
    }

    /// Whether it holds. What GitLab cannot answer does not: `$A =~ true`.
    pub fn evaluate(&self, variables: &dyn Variables) -> bool {
        evaluate::holds(&self.0, variables)
    }

    /// The names of the variables in it: in the order of appearance, each once.
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.0.each(&mut |node| {
            if let Node::Variable(name) = node
                && !names.contains(&name.as_str())
            {
                names.push(name.as_str());
            }
        });
        names
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests;
