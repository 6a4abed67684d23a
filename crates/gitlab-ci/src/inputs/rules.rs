//! `spec:inputs:NAME:rules`: options and defaults that depend on other inputs. `lib/ci/inputs/rules_evaluator.rb`

use super::values::Inputs;
use crate::diagnostic::Diagnostics;
use crate::expression::{Expression, Input, Variables};
use crate::yaml::node::{Mapping, Node, Value};

/// The keys of a rule. `lib/gitlab/ci/config/header/input/rules/rule.rb`
const KEYS: [&str; 3] = ["default", "if", "options"];

/// Whether any rule has a default. The input is then optional.
pub(super) fn have_default(rules: &Node) -> bool {
    rules.sequence().into_iter().flatten().any(|rule| rule.get("default").is_some())
}

/// Returns the first matching rule of the input `name`. Conditions can read the `given` values and the inputs declared
/// before it.
pub(super) fn first<'rules>(
    rules: &'rules Node,
    name: &str,
    given: &Mapping,
    resolved: &Inputs,
    diagnostics: &mut Diagnostics,
) -> Option<&'rules Node> {
    let path = format!("header:spec:inputs:{name}:rules");
    let Some(items) = rules.sequence() else {
        diagnostics.error(rules.span, format!("{path} config should be a array"));
        return None;
    };
    let given_inputs = GivenInputs { given, resolved };
    let mut found = None;
    for rule in items {
        let Some(mapping) = rule.mapping() else {
            diagnostics.error(rule.span, format!("{path}:rule config should be a hash"));
            continue;
        };
        for (key, entry) in mapping.iter().filter(|(key, _)| !KEYS.contains(&&***key)) {
            let message = format!("{path}:rule config contains unknown keys: {key}");
            diagnostics.error(entry.key_span, message).nearest(key, KEYS);
        }
        let holds = match rule.get("if").filter(|condition| !condition.is_null()) {
            None => true,
            Some(condition) => holds(condition, &path, &given_inputs, diagnostics),
        };
        if holds && found.is_none() {
            found = Some(rule);
        }
    }
    found
}

fn holds(condition: &Node, path: &str, given_inputs: &GivenInputs<'_>, diagnostics: &mut Diagnostics) -> bool {
    let Some(text) = condition.string() else {
        diagnostics.error(condition.span, format!("{path}:rule if should be a string"));
        return false;
    };
    match Expression::parse(text) {
        Ok(expression) => expression.evaluate(given_inputs),
        Err(error) => {
            let complaint = diagnostics.error(condition.span, format!("{path}:rule if invalid expression syntax"));
            complaint.help(format!("{error} (in `{text}`)"));
            false
        }
    }
}

struct GivenInputs<'run> {
    given: &'run Mapping,
    resolved: &'run Inputs,
}

impl Variables for GivenInputs<'_> {
    /// Conditions of inputs have no access to variables.
    fn get(&self, _: &str) -> Option<&str> {
        None
    }

    fn input(&self, name: &str) -> Option<Input<'_>> {
        let value = self.resolved.get(name).or_else(|| Some(&self.given.get(name)?.value))?;
        match &value.value {
            Value::Boolean(value) => Some(Input::Boolean(*value)),
            _ => value.scalar().map(Input::Text),
        }
    }
}
