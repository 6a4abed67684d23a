//! `spec:inputs`, and `$[[ inputs.name ]]` in the text below it. `lib/gitlab/ci/config/interpolation/`

use std::collections::BTreeMap;

use super::node::{Mapping, Node};
use super::size;
use crate::pipeline::diagnostic::Diagnostics;
use crate::pipeline::source::Span;

/// The values of inputs, as the text that takes their place.
pub type Inputs = BTreeMap<String, String>;

/// How many functions a block may have, and how many blocks a text.
const MOST_FUNCTIONS: usize = 3;
const MOST_BLOCKS: usize = 10_000;

/// The longest regular expression, in bytes: reading one takes far more space than it has itself.
const LONGEST_PATTERN: usize = 4096;

/// A block that cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterpolationError {
    /// The bytes of the block in the text.
    pub range: std::ops::Range<usize>,
    /// In GitLab's words where known.
    pub message: String,
    /// The names that there are.
    pub valid: Vec<String>,
}

/// The values for the header `spec`, of what is `given` and else of its defaults. `span` is where it was included.
pub fn values(spec: &Node, given: &Mapping, span: Span, diagnostics: &mut Diagnostics) -> Inputs {
    let mut inputs = Inputs::new();
    let declared = spec.get("inputs").and_then(Node::mapping);
    for (name, entry) in declared.into_iter().flatten() {
        let definition = &entry.value;
        let value = match (given.get(name).map(|entry| &entry.value), definition.get("default")) {
            (Some(value), _) => value,
            (None, Some(default)) => default,
            (None, None) => {
                let error = diagnostics.error(span, format!("`{name}` input: required value has not been provided"));
                error.help("give it under `inputs:` of the include, or give it a default");
                continue;
            }
        };
        let kind = definition.get("type").and_then(Node::string).unwrap_or("string");
        if !fits(value, kind) {
            diagnostics.error(value.span, format!("`{name}` input: provided value is not a {kind}"));
            continue;
        }
        let text = text_of(value);
        let options = definition.get("options").and_then(Node::sequence);
        if options.is_some_and(|options| !options.iter().any(|option| text_of(option) == text)) {
            let message =
                format!("`{name}` input: `{text}` cannot be used because it is not in the list of allowed options");
            diagnostics.error(value.span, message);
        }
        if let Some(pattern) = definition.get("regex").and_then(Node::string) {
            check_pattern(name, pattern, &text, value.span, diagnostics);
        }
        inputs.insert(name.to_string(), text);
    }
    for (name, entry) in given.iter().filter(|(name, _)| declared.is_none_or(|declared| !declared.contains_key(*name)))
    {
        let error = diagnostics.error(entry.key_span, format!("unknown input arguments: {name}"));
        error.nearest(name, declared.into_iter().flat_map(|declared| declared.keys().map(|key| &**key)));
    }
    inputs
}

fn check_pattern(name: &str, pattern: &str, text: &str, span: Span, diagnostics: &mut Diagnostics) {
    // With or without slashes around it.
    let bare = pattern.strip_prefix('/').and_then(|it| it.strip_suffix('/')).unwrap_or(pattern);
    if bare.len() > LONGEST_PATTERN {
        diagnostics.error(span, format!("`{name}` input: its RegEx pattern is longer than {LONGEST_PATTERN} bytes"));
        return;
    }
    let complaint = match regex::RegexBuilder::new(bare).size_limit(1 << 20).build() {
        Ok(compiled) if compiled.is_match(text) => return,
        Ok(_) => "provided value does not match required RegEx pattern".to_owned(),
        Err(error) => format!("its RegEx pattern cannot be used: {error}"),
    };
    diagnostics.error(span, format!("`{name}` input: {complaint}"));
}

fn fits(value: &Node, kind: &str) -> bool {
    match kind {
        "number" => value.kind() == "a number",
        "boolean" => value.kind() == "a boolean",
        "array" => value.sequence().is_some(),
        _ => value.string().is_some(),
    }
}

fn text_of(value: &Node) -> String {
    // Lists take their place as JSON, which is YAML in one line.
    value.scalar().map_or_else(|| value.json().to_string(), str::to_owned)
}

/// The text with every block replaced. `expand` puts variables in, for the function of that name.
///
/// # Errors
/// The first block that cannot be.
pub fn interpolate(text: &str, inputs: &Inputs, expand: &dyn Fn(&str) -> String) -> Result<String, InterpolationError> {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    let mut blocks = 0;
    while let Some((before, after)) = rest.split_once("$[[") {
        // Without an end here, there is none for any other that begins later.
        let Some((block, behind)) = after.split_once("]]") else { break };
        let start = text.len() - rest.len() + before.len();
        output.push_str(before);
        let range = start..text.len() - behind.len();
        output.push_str(&replace(block, range.clone(), inputs, expand)?);
        blocks += 1;
        // A value may be given on to another file, there twice, and so on.
        if blocks > MOST_BLOCKS || output.len() > size::LARGEST {
            let message = if blocks > MOST_BLOCKS { "too many interpolation blocks" } else { "config too large" };
            return Err(InterpolationError { range, message: message.to_owned(), valid: Vec::new() });
        }
        rest = behind;
    }
    output.push_str(rest);
    Ok(output)
}

fn replace(
    block: &str,
    range: std::ops::Range<usize>,
    inputs: &Inputs,
    expand: &dyn Fn(&str) -> String,
) -> Result<String, InterpolationError> {
    let fail = |message: String| InterpolationError {
        range: range.clone(),
        message,
        valid: inputs.keys().map(|name| format!("inputs.{name}")).collect(),
    };
    // `$[[ matrix.X ]]` and others are replaced elsewhere, later.
    let mut parts = block.split('|').map(str::trim);
    let access = parts.next().unwrap_or_default();
    let Some(name) = access.strip_prefix("inputs.") else {
        return Ok(format!("$[[{block}]]"));
    };
    let Some(value) = inputs.get(name) else {
        return Err(fail(format!("unknown input name provided: `{name}` in `{access}`")));
    };
    let functions: Vec<&str> = parts.collect();
    if functions.len() > MOST_FUNCTIONS {
        return Err(fail("too many functions in interpolation block".to_owned()));
    }
    let mut value = value.clone();
    for function in functions {
        value = match function {
            "expand_vars" => expand(&value),
            "posix_escape" => posix_escape(&value),
            other => truncate(&value, other).ok_or_else(|| {
                fail(format!(
                    "no function matching `{other}`: check that the function name, arguments, and types are correct"
                ))
            })?,
        };
    }
    Ok(value)
}

/// `truncate(offset, length)`, in characters.
fn truncate(value: &str, call: &str) -> Option<String> {
    let arguments = call.strip_prefix("truncate(")?.strip_suffix(')')?;
    let (offset, length) = arguments.split_once(',')?;
    let (offset, length) = (offset.trim().parse::<usize>().ok()?, length.trim().parse::<usize>().ok()?);
    Some(value.chars().skip(offset).take(length).collect())
}

/// As Ruby's `Shellwords.escape`.
fn posix_escape(value: &str) -> String {
    if value.is_empty() {
        return "''".to_owned();
    }
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\n' => escaped.push_str("'\n'"),
            plain if plain.is_ascii_alphanumeric() || "_-.,:+/@".contains(plain) => escaped.push(plain),
            other => escaped.extend(['\\', other]),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // https://docs.gitlab.com/ci/inputs/
    #[rstest]
    #[case::one("a: $[[ inputs.x ]]\n", "a: it's\n")]
    #[case::without_spaces("$[[inputs.x]]", "it's")]
    #[case::two("$[[ inputs.x ]]-$[[ inputs.y ]]", "it's-$HOME")]
    #[case::expanded("$[[ inputs.y | expand_vars ]]", "/root")]
    #[case::truncated("$[[ inputs.x | truncate(1,2) ]]", "t'")]
    #[case::escaped("$[[ inputs.x | posix_escape ]]", "it\\'s")]
    #[case::chained("$[[ inputs.y | expand_vars | truncate(1, 3) ]]", "roo")]
    #[case::others_are_left("$[[ matrix.X ]]", "$[[ matrix.X ]]")]
    #[case::without_an_end("$[[ inputs.x", "$[[ inputs.x")]
    fn blocks(#[case] text: &str, #[case] expected: &str) {
        let inputs = [("x", "it's"), ("y", "$HOME")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let expand = |text: &str| text.replace("$HOME", "/root");
        assert_eq!(interpolate(text, &inputs, &expand).unwrap(), expected);
    }

    #[rstest]
    #[case::unknown("ab $[[ inputs.z ]]", 3..18, "unknown input name provided: `z` in `inputs.z`")]
    #[case::no_function("$[[ inputs.x | upcase ]]", 0..24, "no function matching `upcase`: check that the function name, arguments, and types are correct")]
    #[case::too_many("$[[ inputs.x | a | b | c | d ]]", 0..31, "too many functions in interpolation block")]
    fn refused(#[case] text: &str, #[case] range: std::ops::Range<usize>, #[case] message: &str) {
        let inputs = [("x".to_owned(), "1".to_owned())].into();
        let error = interpolate(text, &inputs, &str::to_owned).unwrap_err();
        assert_eq!((error.range, error.message.as_str()), (range, message));
    }
}
