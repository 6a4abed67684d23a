//! `$[[ inputs.name | function ]]`: what stands between the brackets, and what it comes to.
//! `lib/gitlab/ci/config/interpolation/block.rb`, `access.rb`, `functions_stack.rb`

use super::values::{Inputs, text_of};
use crate::yaml::node::Node;
use crate::yaml::node::Value;

/// `MAX_FUNCTIONS`, `MAX_ACCESS_BYTESIZE`, `MAX_ACCESS_ARRAY_DEPTH`
const MOST_FUNCTIONS: usize = 3;
const LONGEST_ACCESS: usize = 1024;
const MOST_INDICES: usize = 5;

/// A block in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<'text> {
    /// What is before it.
    pub before: &'text str,
    /// All of it, with its brackets.
    pub whole: &'text str,
    /// What is between them.
    pub data: &'text str,
    /// What is behind it.
    pub behind: &'text str,
}

/// Why a block has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// In GitLab's words.
    pub message: String,
    /// What was meant instead may be near to this one of the inputs' names.
    pub name: Option<String>,
}

/// The first block of a text. It ends in the line in which it begins.
pub(super) fn find(text: &str) -> Option<Block<'_>> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find("$[[")?;
        let after = text.get(start + 3..)?.trim_start();
        let after_start = text.len() - after.len();
        let line = after.split('\n').next().unwrap_or_default();
        let Some(at) = line.find("]]") else {
            // Without an end here, there is none for any other that begins later in this line.
            from = after_start + line.len();
            continue;
        };
        let data = line.get(..at)?.trim_end();
        // `\S{1}.*?\S{1}`: at least two characters.
        if data.chars().nth(1).is_some() {
            let end = after_start + at + 2;
            let [before, whole, behind] = [text.get(..start)?, text.get(start..end)?, text.get(end..)?];
            return Some(Block { before, whole, data, behind });
        }
        from = start + 3;
    }
}

/// What a block stands for; nothing if it is somebody else's business, and stays. `expand` puts variables in, for the
/// function of that name.
pub(super) fn value(data: &str, inputs: &Inputs, expand: &dyn Fn(&str) -> String) -> Result<Option<Node>, Refused> {
    let mut parts = data.split('|').map(str::trim);
    let access = parts.next().unwrap_or_default();
    // The first is replaced for each instance, later; the other is known where a component is kept only.
    if matches!(access.split('.').next(), Some("matrix" | "component")) {
        return Ok(None);
    }
    let mut value = accessed(access, inputs)?;
    let functions: Vec<&str> = parts.collect();
    if functions.len() > MOST_FUNCTIONS {
        return Err(refused("too many functions in interpolation block"));
    }
    for function in functions {
        let Some(text) = value.string() else {
            let name = function.split('(').next().unwrap_or_default();
            return Err(refused(format!("invalid input type: {name} can only be used with string inputs")));
        };
        let text = match function {
            "expand_vars" => expand(text),
            "posix_escape" => posix_escape(text),
            other => truncate(text, other).ok_or_else(|| {
                refused(format!(
                    "no function matching `{other}`: check that the function name, arguments, and types are correct"
                ))
            })?,
        };
        value = Node::new(value.span, Value::String(text.into()));
    }
    Ok(Some(value))
}

fn refused(message: impl Into<String>) -> Refused {
    Refused { message: message.into(), name: None }
}

/// `inputs.name`, `inputs.list[0]`.
fn accessed(access: &str, inputs: &Inputs) -> Result<Node, Refused> {
    let Some((context, rest)) = access.split_once('.') else {
        return Err(refused("invalid pattern used for interpolation. valid pattern is $[[ inputs.input ]]"));
    };
    if access.len() > LONGEST_ACCESS {
        return Err(refused("maximum interpolation expression size exceeded"));
    }
    let unknown = |key: &str| format!("unknown interpolation provided: `{key}` in `{access}`");
    if context != "inputs" {
        return Err(refused(unknown(context)));
    }
    let (name, indices) = match rest.split_once('[') {
        None => (rest, Vec::new()),
        Some((name, indices)) => (name, read_indices(indices, access)?),
    };
    if name.is_empty() && !indices.is_empty() {
        return Err(refused(format!("invalid indexed access without a key in `{access}`")));
    }
    let Some(mut value) = inputs.get(name) else {
        return Err(Refused { message: unknown(name), name: Some(name.to_owned()) });
    };
    for index in indices {
        let Some(items) = value.sequence() else {
            return Err(refused(format!("cannot index into non-array value at [{index}] in `{access}`")));
        };
        value = items.get(index).ok_or_else(|| {
            refused(format!("array index {index} out of bounds (size: {}) in `{access}`", items.len()))
        })?;
    }
    Ok(value.clone())
}

/// What is behind the first bracket of `[0][1]`.
fn read_indices(text: &str, access: &str) -> Result<Vec<usize>, Refused> {
    let Some(text) = text.strip_suffix(']') else {
        return Err(refused(format!("invalid array index in `{access}`: missing closing bracket")));
    };
    let indices = text.split("][").map(|digits| {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| is_number);
        number.ok_or_else(|| refused(format!("invalid array index in `{access}`: `{digits}` is not a valid index")))
    });
    let indices: Vec<usize> = indices.collect::<Result<_, _>>()?;
    if indices.len() > MOST_INDICES {
        return Err(refused(format!("too many array indices in `{access}` (maximum depth: {MOST_INDICES})")));
    }
    Ok(indices)
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

/// A text with the value of every block in its place; one without a value stays.
pub(super) fn fill(text: &str, value: &mut dyn FnMut(Block<'_>) -> Option<Node>) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(block) = find(rest) {
        output.push_str(block.before);
        match value(block) {
            Some(node) => output.push_str(&text_of(&node)),
            None => output.push_str(block.whole),
        }
        rest = block.behind;
    }
    output + rest
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::source::Sources;
    use crate::yaml::parse::compose;

    fn inputs() -> Inputs {
        let mut sources = Sources::default();
        let file = sources.add("", "{x: it's, y: $HOME, list: [p, [q, r]], count: 2}");
        let node = compose(&sources, file, &mut Diagnostics::default()).remove(0);
        node.mapping().unwrap().iter().map(|(name, entry)| (name.to_string(), entry.value.clone())).collect()
    }

    fn filled(text: &str) -> Result<String, Refused> {
        let (inputs, mut problem) = (inputs(), None);
        let expand = |text: &str| text.replace("$HOME", "/root");
        let filled = fill(text, &mut |block| {
            value(block.data, &inputs, &expand).unwrap_or_else(|refused| {
                problem.get_or_insert(refused);
                None
            })
        });
        problem.map_or(Ok(filled), Err)
    }

    // https://docs.gitlab.com/ci/inputs/, lib/gitlab/ci/config/interpolation/template.rb
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
    #[case::in_two_lines("$[[ inputs.x\n]]", "$[[ inputs.x\n]]")]
    #[case::an_item("$[[ inputs.list[0] ]]", "p")]
    #[case::an_item_of_an_item("$[[ inputs.list[1][1] ]]", "r")]
    #[case::a_list_in_a_text("of $[[ inputs.list ]]", "of [\"p\", [\"q\", \"r\"]]")]
    fn blocks(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(filled(text).as_deref(), Ok(expected));
    }

    // lib/gitlab/ci/config/interpolation/access.rb
    #[rstest]
    #[case::unknown("ab $[[ inputs.z ]]", "unknown interpolation provided: `z` in `inputs.z`")]
    #[case::unknown_kind("$[[ foo.bar ]]", "unknown interpolation provided: `foo` in `foo.bar`")]
    #[case::no_kind("$[[ foo ]]", "invalid pattern used for interpolation. valid pattern is $[[ inputs.input ]]")]
    #[case::no_function(
        "$[[ inputs.x | upcase ]]",
        "no function matching `upcase`: check that the function name, arguments, and types are correct"
    )]
    #[case::too_many("$[[ inputs.x | a | b | c | d ]]", "too many functions in interpolation block")]
    #[case::of_a_number(
        "$[[ inputs.count | truncate(0,1) ]]",
        "invalid input type: truncate can only be used with string inputs"
    )]
    #[case::behind_the_end("$[[ inputs.list[2] ]]", "array index 2 out of bounds (size: 2) in `inputs.list[2]`")]
    #[case::of_a_text("$[[ inputs.x[0] ]]", "cannot index into non-array value at [0] in `inputs.x[0]`")]
    #[case::no_index("$[[ inputs.list[a] ]]", "invalid array index in `inputs.list[a]`: `a` is not a valid index")]
    #[case::no_bracket("$[[ inputs.list[0 ]]", "invalid array index in `inputs.list[0`: missing closing bracket")]
    #[case::too_many_indices(
        "$[[ inputs.list[0][0][0][0][0][0] ]]",
        "too many array indices in `inputs.list[0][0][0][0][0][0]` (maximum depth: 5)"
    )]
    fn refused_blocks(#[case] text: &str, #[case] message: &str) {
        assert_eq!(filled(text).unwrap_err().message, message);
    }
}
