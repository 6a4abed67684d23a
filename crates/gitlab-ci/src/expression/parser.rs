//! Parses tokens into a syntax tree: GitLab's `expression/parser.rb`.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::error::{Problem, SyntaxError, shortened};
use super::lexer::{self, Kind, Token};
use super::node::{Node, Operator};
use super::pattern::Pattern;

const OPERAND: &str = "a variable, a quoted string, a /regular expression/, null, true, false, `!` or `(`";
const OPERATOR: &str = "`==`, `!=`, `=~`, `!~`, `&&`, `||` or the end";

/// Parses all of `text`.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser { text, tokens: lexer::tokens(text)?.into_iter().peekable() };
    if parser.tokens.peek().is_none() {
        return Err(SyntaxError { range: 0..text.len(), problem: Problem::Empty, expected: OPERAND });
    }
    let node = parser.binary(0)?;
    match parser.tokens.next() {
        None => Ok(node),
        Some(token) => Err(parser.misplaced(&token, OPERATOR)),
    }
}

/// Each recursive call consumes a token, and the lexer returns at most 99 of them, which bounds the recursion.
struct Parser<'text> {
    text: &'text str,
    tokens: Peekable<IntoIter<Token<'text>>>,
}

impl Parser<'_> {
    /// Parses operands and the operators of at least this precedence between them. Operators of the same precedence are
    /// left-associative, including comparisons: `$A == $B == $C`.
    fn binary(&mut self, precedence: u8) -> Result<Node, SyntaxError> {
        let mut left = self.operand()?;
        while let Some(operator) = self.operator(precedence) {
            let right = self.binary(operator.precedence() + 1)?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    /// Returns the next token if it is an operator of at least this precedence.
    fn operator(&mut self, precedence: u8) -> Option<Operator> {
        let Kind::Operator(operator) = self.tokens.peek()?.kind else { return None };
        (operator.precedence() >= precedence).then(|| {
            self.tokens.next();
            operator
        })
    }

    /// Parses a value with the `!` before and after it. GitLab's parser keeps each `!` until the next operator, so that `$A! == $B` is
    /// `!$A == $B`.
    fn operand(&mut self) -> Result<Node, SyntaxError> {
        let mut operand = self.value()?;
        while self.tokens.next_if(|token| matches!(token.kind, Kind::Not)).is_some() {
            operand = Node::Not(Box::new(operand));
        }
        Ok(operand)
    }

    fn value(&mut self) -> Result<Node, SyntaxError> {
        let Some(token) = self.tokens.next() else {
            let end = self.text.len();
            return Err(SyntaxError { range: end..end, problem: Problem::End, expected: OPERAND });
        };
        Ok(match token.kind {
            Kind::Null => Node::Null,
            Kind::Boolean(value) => Node::Boolean(value),
            Kind::Text(text) => Node::Text(text.to_owned()),
            Kind::Variable(name) => Node::Variable(name.to_owned()),
            Kind::Input(name) => Node::Input(name.to_owned()),
            Kind::Pattern(literal) => Node::Pattern(Pattern::parse(literal).map_err(|error| SyntaxError {
                range: token.range,
                problem: Problem::Pattern(shortened(literal), error),
                expected: "a regular expression in RE2 syntax",
            })?),
            Kind::Not => Node::Not(Box::new(self.operand()?)),
            Kind::Open => {
                let inner = self.binary(0)?;
                self.close(token)?;
                inner
            }
            Kind::Close | Kind::Operator(_) => return Err(self.misplaced(&token, OPERAND)),
        })
    }

    fn close(&mut self, open: Token) -> Result<(), SyntaxError> {
        match self.tokens.next() {
            Some(Token { kind: Kind::Close, .. }) => Ok(()),
            Some(token) => Err(self.misplaced(&token, "an operator or `)`")),
            None => Err(SyntaxError { range: open.range, problem: Problem::Unclosed, expected: "`)`" }),
        }
    }

    fn misplaced(&self, token: &Token, expected: &'static str) -> SyntaxError {
        let range = token.range.clone();
        let part = self.text.get(range.clone()).unwrap_or_default();
        SyntaxError { range, problem: Problem::Misplaced(shortened(part)), expected }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use rstest::rstest;

    use super::*;

    /// Writes a node with parentheses around every binary operation.
    fn grouped(node: &Node) -> String {
        match node {
            Node::Not(operand) => format!("!{}", grouped(operand)),
            Node::Binary(operator, left, right) => format!("({} {operator} {})", grouped(left), grouped(right)),
            other => other.to_string(),
        }
    }

    // From GitLab's `spec/lib/gitlab/ci/pipeline/expression/parser_spec.rb`. The cases with `!` follow
    // `lib/gitlab/ci/pipeline/expression/lexeme/not.rb`.
    #[rstest]
    #[case::comparison("$A == '123'", "($A == \"123\")")]
    #[case::comparisons_are_left_associative("$A == '1' == $B", "(($A == \"1\") == $B)")]
    #[case::and_binds_more_tightly_than_or("$A || $B && $C", "($A || ($B && $C))")]
    #[case::and_on_the_left("$A && $B || $C", "(($A && $B) || $C)")]
    #[case::and_on_both_sides("$A && $B || $C && $D", "(($A && $B) || ($C && $D))")]
    #[case::parentheses("$A && ($B || $C) && $D", "(($A && ($B || $C)) && $D)")]
    #[case::or_is_left_associative(
        "$A == 'a' || $B == 'b' && $C == 'c' || $D == 'd' && $E == 'e'",
        r#"((($A == "a") || (($B == "b") && ($C == "c"))) || (($D == "d") && ($E == "e")))"#
    )]
    #[case::nested_parentheses(
        "(($A == 'a' || $B == 'b') && $C == 'c' || $D == 'd') && $E == 'e'",
        r#"((((($A == "a") || ($B == "b")) && ($C == "c")) || ($D == "d")) && ($E == "e"))"#
    )]
    #[case::not_binds_most_tightly("!$A == 'a' && !$B", "((!$A == \"a\") && !$B)")]
    #[case::not_on_the_right("$A == !$B || $C", "(($A == !$B) || $C)")]
    #[case::not_of_parentheses("!($A || $B)", "!($A || $B)")]
    #[case::not_twice("!!$A", "!!$A")]
    // `tokens_rpn` of `lib/gitlab/ci/pipeline/expression/parser.rb`
    #[case::not_behind_its_operand("$A! == $B", "(!$A == $B)")]
    #[case::not_before_an_operator("null !!~ /xx/", "(!null !~ /xx/)")]
    #[case::not_at_the_end("$A == $B !", "($A == !$B)")]
    #[case::not_behind_parentheses("($A || $B)! && $C", "(!($A || $B) && $C)")]
    fn groups_by_precedence(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(grouped(&parse(text).unwrap()), expected);
    }

    // From the same sources.
    #[rstest]
    #[case::empty("", 0..0, Problem::Empty)]
    #[case::only_white_space(" \n", 0..2, Problem::Empty)]
    #[case::two_values("$VAR \"text\"", 5..11, Problem::Misplaced("\"text\"".into()))]
    #[case::no_left_operand("== \"123\"", 0..2, Problem::Misplaced("==".into()))]
    #[case::no_right_operand("$VAR ==", 7..7, Problem::End)]
    #[case::not_without_an_operand("$VAR && !", 9..9, Problem::End)]
    #[case::opened_at_the_end("$VAR == (", 9..9, Problem::End)]
    #[case::unclosed("$VAR == (\"aa\"", 8..9, Problem::Unclosed)]
    #[case::closed_twice("$VAR == (\"aa\"))", 14..15, Problem::Misplaced(")".into()))]
    #[case::closed_but_not_opened("$VAR == \"aa\")", 12..13, Problem::Misplaced(")".into()))]
    #[case::outer_unclosed("(($VAR == \"aa\")", 0..1, Problem::Unclosed)]
    #[case::empty_parentheses("()", 1..2, Problem::Misplaced(")".into()))]
    #[case::two_values_in_parentheses("($A $B)", 4..6, Problem::Misplaced("$B".into()))]
    #[case::operator_after_its_operands("$A $B ==", 3..5, Problem::Misplaced("$B".into()))]
    fn rejects_invalid_expressions(#[case] text: &str, #[case] range: Range<usize>, #[case] problem: Problem) {
        let error = parse(text).unwrap_err();
        assert_eq!((error.range, error.problem), (range, problem));
    }

    #[rstest]
    #[case::word(
        "$A == main",
        "unknown token `main`, at byte 6; expected a quoted string, a variable with `$`, or null, true, false"
    )]
    #[case::braces(
        "${A}",
        "`${A}` is not a valid reference to a variable, at byte 0; expected `$NAME`, without braces"
    )]
    #[case::pattern(
        "$A =~ /some ( thin/i",
        "the regular expression /some ( thin/i is invalid: missing ), at byte 6; expected a regular expression in RE2 syntax"
    )]
    #[case::line_break(
        "\u{1}\n",
        r"unknown token `\u{1}`, at byte 0; expected a variable, a quoted string, a /regular expression/ or an operator"
    )]
    fn writes_errors_on_one_line(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), expected);
    }
}
