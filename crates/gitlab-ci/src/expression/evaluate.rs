//! Evaluates a syntax tree: GitLab's `expression/statement.rb` and the operators in `expression/lexeme/`.

use super::node::{Node, Operator};
use super::pattern::Pattern;
use super::variables::{Input, Variables};

/// The value of a part of an expression.
#[derive(Clone, Copy)]
enum Value<'run> {
    Null,
    Boolean(bool),
    Text(&'run str),
    Pattern(&'run Pattern),
}

/// GitLab's code raises an error for these operands.
struct EvaluationError;

/// Evaluates like `Statement#truthful?`.
pub(super) fn holds(node: &Node, variables: &dyn Variables) -> bool {
    node.value(variables).is_ok_and(Value::is_present)
}

impl<'run> Value<'run> {
    fn text(value: Option<&'run str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }

    /// Rails' `present?`. GitLab applies it to the final result and in `!`.
    fn is_present(self) -> bool {
        match self {
            Self::Null => false,
            Self::Boolean(value) => value,
            Self::Text(text) => text.contains(|character: char| !character.is_whitespace()),
            Self::Pattern(_) => true,
        }
    }

    /// Ruby's truthiness, used by `&&` and `||`: an empty string is true.
    fn is_truthy(self) -> bool {
        !matches!(self, Self::Null | Self::Boolean(false))
    }

    /// `LogicalOperator#compare_with_coercion`: `true` equals `"true"`, and a regular expression can only be compared
    /// with another one.
    fn equals(self, other: Self) -> Result<bool, EvaluationError> {
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(one), Self::Boolean(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Boolean(value), Self::Text(text)) | (Self::Text(text), Self::Boolean(value)) => text == word(value),
            (Self::Pattern(one), Self::Pattern(other)) => one == other,
            (Self::Pattern(_), _) => return Err(EvaluationError),
            _ => false,
        })
    }

    /// `Matches#evaluate`. The right side may be a string that contains a regular expression. If it does not contain a
    /// valid one, GitLab searches the right side for the left side.
    fn matches(self, right: Self) -> Result<bool, EvaluationError> {
        let text = match self {
            Self::Null => "",
            Self::Boolean(value) => word(value),
            Self::Text(text) => text,
            Self::Pattern(_) => return Err(EvaluationError),
        };
        match right {
            Self::Null | Self::Boolean(false) => Ok(false),
            Self::Boolean(true) => Err(EvaluationError),
            Self::Pattern(pattern) => Ok(pattern.is_match(text)),
            Self::Text(right) => {
                Ok(Pattern::parse(right).map_or_else(|_| right.contains(text), |pattern| pattern.is_match(text)))
            }
        }
    }
}

fn word(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

impl Node {
    fn value<'run>(&'run self, variables: &'run dyn Variables) -> Result<Value<'run>, EvaluationError> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Text(text) => Value::Text(text),
            Self::Variable(name) => Value::text(variables.get(name)),
            Self::Input(name) => match variables.input(name) {
                None => Value::Null,
                Some(Input::Boolean(value)) => Value::Boolean(value),
                Some(Input::Text(text)) => Value::Text(text),
            },
            Self::Pattern(pattern) => Value::Pattern(pattern),
            Self::Not(operand) => Value::Boolean(!operand.value(variables)?.is_present()),
            Self::Binary(operator, left, right) => {
                let left = left.value(variables)?;
                match operator {
                    Operator::And if !left.is_truthy() => left,
                    Operator::Or if left.is_truthy() => left,
                    Operator::And | Operator::Or => right.value(variables)?,
                    Operator::Equal => Value::Boolean(left.equals(right.value(variables)?)?),
                    Operator::Unequal => Value::Boolean(!left.equals(right.value(variables)?)?),
                    Operator::Matching => Value::Boolean(left.matches(right.value(variables)?)?),
                    Operator::Unmatching => Value::Boolean(!left.matches(right.value(variables)?)?),
                }
            }
        })
    }
}
