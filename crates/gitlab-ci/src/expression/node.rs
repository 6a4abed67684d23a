//! The syntax tree of an expression.

use std::fmt;

use super::pattern::Pattern;

/// A node of the syntax tree. The depth of the tree is at most the number of tokens, which bounds recursion over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Boolean(bool),
    /// Contains at most one of the two kinds of quotes, and no line break.
    Text(String),
    Variable(String),
    Input(String),
    Pattern(Pattern),
    Not(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Matching,
    Unmatching,
}

impl Operator {
    /// The precedence of the operator, from 0: Ruby's order. A higher number binds more tightly.
    pub(super) fn precedence(self) -> u8 {
        match self {
            Self::Or => 0,
            Self::And => 1,
            Self::Equal | Self::Unequal | Self::Matching | Self::Unmatching => 2,
        }
    }
}

impl Node {
    /// Calls `visit` with every node, from left to right.
    pub(super) fn each<'node>(&'node self, visit: &mut impl FnMut(&'node Self)) {
        visit(self);
        match self {
            Self::Not(operand) => operand.each(visit),
            Self::Binary(_, left, right) => {
                left.each(visit);
                right.each(visit);
            }
            Self::Null | Self::Boolean(_) | Self::Text(_) | Self::Variable(_) | Self::Input(_) | Self::Pattern(_) => {}
        }
    }

    /// Writes the node as an operand of an operator with this precedence, in parentheses if necessary.
    fn within(&self, precedence: u8, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Binary(operator, ..) if operator.precedence() < precedence => write!(formatter, "({self})"),
            _ => fmt::Display::fmt(self, formatter),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Boolean(value) => write!(formatter, "{value}"),
            Self::Text(text) if text.contains('"') => write!(formatter, "'{text}'"),
            Self::Text(text) => write!(formatter, "\"{text}\""),
            Self::Variable(name) => write!(formatter, "${name}"),
            Self::Input(name) => write!(formatter, "$[[ inputs.{name} ]]"),
            Self::Pattern(pattern) => formatter.write_str(&pattern.literal()),
            Self::Not(operand) => {
                formatter.write_str("!")?;
                operand.within(u8::MAX, formatter)
            }
            Self::Binary(operator, left, right) => {
                left.within(operator.precedence(), formatter)?;
                write!(formatter, " {operator} ")?;
                // One more than the operator's own precedence, because all operators are left-associative.
                right.within(operator.precedence() + 1, formatter)
            }
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Matching => "=~",
            Self::Unmatching => "!~",
        })
    }
}
