//! The expressions of `rules:if` and `only:variables`: GitLab's `lib/gitlab/ci/pipeline/expression`.
//!
//! - [`pattern`]: `/regular expressions/`, which `only` and `except` use as well.
//! - `lexer`, `parser`: from text to a syntax tree.
//! - `evaluate`: from a syntax tree and variables to true or false.

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

/// A parsed expression. Parse it once, then evaluate it for every job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(Node);

impl Expression {
    /// Parses an expression.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use gitlab_ci::expression::Expression;
    ///
    /// let expression = Expression::parse(r#"$CI_COMMIT_BRANCH == "main""#)?;
    /// assert!(expression.evaluate(&BTreeMap::from([("CI_COMMIT_BRANCH", "main")])));
    /// assert!(!expression.evaluate(&BTreeMap::from([("CI_COMMIT_BRANCH", "feature")])));
    /// # Ok::<(), gitlab_ci::expression::SyntaxError>(())
    /// ```
    ///
    /// The parser is stricter than GitLab's in one respect: GitLab's algorithm (`expression/parser.rb`) also accepts an
    /// operator after or before both of its operands (`$A "a" ==`), which is always a mistake.
    ///
    /// # Errors
    /// The text is not a valid expression, and GitLab would refuse the file. The error describes the first mistake, its
    /// position, and what would be valid there.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        parser::parse(text).map(Self)
    }

    /// Whether the expression is true. An expression for which GitLab's code raises an error is false: `$A =~ true`.
    pub fn evaluate(&self, variables: &dyn Variables) -> bool {
        evaluate::holds(&self.0, variables)
    }

    /// Returns the names of the variables in the expression, in the order of first use, without duplicates.
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
