//! `spec:inputs:NAME:rules`: options and defaults that depend on other inputs. `lib/ci/inputs/rules_evaluator.rb`

use super::values::Inputs;
use crate::diagnostic::Diagnostics;
use crate::expression::{Expression, Input, Variables};
use crate::yaml::header::MAX_OPTIONS;
use crate::yaml::node::{Mapping, Node, Value, unknown_keys};

/// The keys of a rule. `lib/gitlab/ci/config/header/input/rules/rule.rb`
const KEYS: [&str; 3] = ["default", "if", "options"];

/// Whether any rule has a default. The input is then optional.
pub(super) fn any_has_default(rules: &Node) -> bool {
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
        diagnostics.error(rules.span, format!("{path} config should be an array"));
        return None;
    };
    // `errors` of `lib/gitlab/ci/config/header/input/rules.rb`
    let subject = format!("`{}` input:", name.to_lowercase());
    let given_inputs = GivenInputs { given, resolved };
    let mut found = None;
    for rule in items.iter().filter(|rule| !rule.is_null()) {
        let Some(mapping) = rule.mapping() else {
            diagnostics.error(rule.span, format!("{subject} should be a hash"));
            continue;
        };
        let (unknown, names) = unknown_keys(mapping, &KEYS);
        let message = format!("{subject} contains unknown keys: {names}").to_lowercase();
        for (key, entry) in unknown {
            diagnostics.error(entry.key_span, message.as_str()).nearest(key, KEYS);
        }
        check_values(rule, mapping, &subject, diagnostics);
        let holds = match rule.get("if").filter(|condition| !condition.is_null()) {
            None => true,
            Some(condition) => holds(condition, &subject, &given_inputs, diagnostics),
        };
        if holds && found.is_none() {
            found = Some(rule);
        }
    }
    found
}

/// Checks the options and the default of a rule. `lib/gitlab/ci/config/header/input/rules/rule.rb`
fn check_values(rule: &Node, mapping: &Mapping, subject: &str, diagnostics: &mut Diagnostics) {
    if mapping.is_empty() {
        diagnostics.error(rule.span, format!("{subject} can't be blank"));
        return;
    }
    let options = rule.get("options").filter(|options| !options.is_null());
    if let Some(wrong) = options.filter(|options| options.sequence().is_none()) {
        diagnostics.error(wrong.span, format!("{subject} options should be an array"));
        return;
    }
    let options = options.and_then(Node::sequence).unwrap_or_default();
    if options.len() > MAX_OPTIONS {
        diagnostics.error(rule.span, format!("{subject} cannot define more than {MAX_OPTIONS} options"));
    }
    // Ruby's `any?` finds neither null nor false.
    let has_options = options.iter().any(|option| !matches!(option.value, Value::Null | Value::Boolean(false)));
    match rule.get("default") {
        None => {
            let message = "rule must define 'options' with at least one value and a 'default'";
            diagnostics.error(rule.span, format!("{subject} {message}"));
        }
        Some(default) if has_options && !options.iter().any(|option| option.json() == default.json()) => {
            let text = default.scalar().map_or_else(|| default.json().to_string(), str::to_owned);
            diagnostics.error(default.span, format!("{subject} default '{text}' must be one of the options"));
        }
        Some(_) => {}
    }
}

fn holds(condition: &Node, subject: &str, given_inputs: &GivenInputs<'_>, diagnostics: &mut Diagnostics) -> bool {
    let Some(text) = condition.string() else {
        diagnostics.error(condition.span, format!("{subject} if invalid expression syntax"));
        return false;
    };
    match Expression::parse(text) {
        Ok(expression) => expression.evaluate(given_inputs),
        Err(error) => {
            let diagnostic = diagnostics.error(condition.span, format!("{subject} if invalid expression syntax"));
            diagnostic.help(format!("{error} (in `{text}`)"));
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
