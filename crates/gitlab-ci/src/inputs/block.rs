//! `$[[ inputs.name | function ]]`: parsing and evaluation of interpolation blocks.
//! `lib/gitlab/ci/config/interpolation/block.rb`, `access.rb`, `functions_stack.rb`

use super::values::{Inputs, text_of};
use crate::yaml::node::{Node, Value};

/// GitLab's `MAX_FUNCTIONS`, `MAX_ACCESS_OBJECTS`, `MAX_ACCESS_BYTESIZE` and `MAX_ACCESS_ARRAY_DEPTH`.
const MAX_FUNCTIONS: usize = 3;
const MAX_SEGMENTS: usize = 5;
const MAX_ACCESS_BYTES: usize = 1024;
const MAX_INDICES: usize = 5;

/// An interpolation block in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<'text> {
    /// The text before the block.
    pub before: &'text str,
    /// The block with its brackets.
    pub whole: &'text str,
    /// The content between the brackets.
    pub data: &'text str,
    /// The text after the block.
    pub after: &'text str,
}

/// Why a block cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockError {
    /// The message, in GitLab's words.
    pub message: String,
    /// The unknown input, for which the caller can suggest a similar name.
    pub name: Option<String>,
}

/// Finds the first block of a text. Its data are on one line.
pub(super) fn find(text: &str) -> Option<Block<'_>> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find("$[[")?;
        let inner = text.get(start + 3..)?.trim_start();
        let inner_start = text.len() - inner.len();
        let line = inner.split('\n').next().unwrap_or_default();
        // White space before the end may contain line breaks.
        let after = inner.get(line.len()..).unwrap_or_default();
        let at_line_end = || after.trim_start().starts_with("]]").then(|| inner.len() - after.trim_start().len());
        let Some(at) = line.find("]]").or_else(at_line_end) else {
            // Without a `]]` on the rest of the line, no later block on this line can end either.
            from = inner_start + line.len();
            continue;
        };
        let data = inner.get(..at)?.trim_end();
        // `\S{1}.*?\S{1}`: at least two characters.
        if data.chars().nth(1).is_some() {
            let end = inner_start + at + 2;
            let [before, whole, after] = [text.get(..start)?, text.get(start..end)?, text.get(end..)?];
            return Some(Block { before, whole, data, after });
        }
        from = start + 3;
    }
}

/// Evaluates the content of a block. Returns `None` for a block that stays as written. `expand` implements the function
/// `expand_vars`.
pub(super) fn value(data: &str, inputs: &Inputs, expand: &dyn Fn(&str) -> String) -> Result<Option<Node>, BlockError> {
    let mut parts = data.split('|').map(str::trim);
    let access = parts.next().unwrap_or_default();
    // These blocks stay as written. GitLab replaces `matrix` later, for each instance of the job. The data of `component` is only on the
    // GitLab server that has the component.
    if matches!(access.split('.').next(), Some("matrix" | "component")) {
        return Ok(None);
    }
    let mut value = evaluate_access(access, inputs)?;
    let mut functions: Vec<&str> = parts.collect();
    // Ruby's `split` leaves out what is empty at the end.
    if data.ends_with('|') {
        functions.pop();
    }
    if functions.len() > MAX_FUNCTIONS {
        return Err(error("too many functions in interpolation block"));
    }
    for function in functions {
        let Some(text) = value.string() else {
            let name = function.split('(').next().unwrap_or_default();
            return Err(error(format!("invalid input type: {name} can only be used with string inputs")));
        };
        let text = match function {
            "expand_vars" => expand(text),
            "posix_escape" => posix_escape(text),
            other => truncate(text, other).ok_or_else(|| {
                error(format!(
                    "no function matching `{other}`: check that the function name, arguments, and types are correct"
                ))
            })?,
        };
        value = Node::new(value.span, Value::String(text.into()));
    }
    Ok(Some(value))
}

fn error(message: impl Into<String>) -> BlockError {
    BlockError { message: message.into(), name: None }
}

/// Evaluates `inputs.name`, `inputs.list[0]` or `inputs.hash.key`. `lib/gitlab/ci/config/interpolation/access.rb`
fn evaluate_access(access: &str, inputs: &Inputs) -> Result<Node, BlockError> {
    let mut segments = access.splitn(MAX_SEGMENTS, '.');
    let (Some(context), Some(first)) = (segments.next(), segments.next()) else {
        return Err(error("invalid pattern used for interpolation. valid pattern is $[[ inputs.input ]]"));
    };
    if access.len() > MAX_ACCESS_BYTES {
        return Err(error("maximum interpolation expression size exceeded"));
    }
    let unknown = |key: &str| format!("unknown interpolation provided: `{key}` in `{access}`");
    if context != "inputs" {
        return Err(error(unknown(context)));
    }
    let (name, indices) = read_segment(first, access)?;
    let Some(value) = inputs.get(name) else {
        return Err(BlockError { message: unknown(name), name: Some(name.to_owned()) });
    };
    let mut value = item(value, &indices, access)?;
    for segment in segments {
        let (key, indices) = read_segment(segment, access)?;
        let below = value.get(key).ok_or_else(|| error(unknown(key)))?;
        value = item(below, &indices, access)?;
    }
    Ok(value.clone())
}

fn item<'value>(mut value: &'value Node, indices: &[usize], access: &str) -> Result<&'value Node, BlockError> {
    for index in indices {
        let Some(items) = value.sequence() else {
            return Err(error(format!("cannot index into non-array value at [{index}] in `{access}`")));
        };
        value = items
            .get(*index)
            .ok_or_else(|| error(format!("array index {index} out of bounds (size: {}) in `{access}`", items.len())))?;
    }
    Ok(value)
}

/// Parses `key`, or `key[0][1]`.
fn read_segment<'segment>(segment: &'segment str, access: &str) -> Result<(&'segment str, Vec<usize>), BlockError> {
    let Some((key, indices)) = segment.split_once('[') else { return Ok((segment, Vec::new())) };
    let indices = read_indices(indices, access)?;
    if key.is_empty() {
        return Err(error(format!("invalid indexed access without a key in `{access}`")));
    }
    Ok((key, indices))
}

/// Parses the indices `[0][1]`, without the first bracket.
fn read_indices(text: &str, access: &str) -> Result<Vec<usize>, BlockError> {
    let Some(text) = text.strip_suffix(']') else {
        let is_unclosed = text.matches('[').count() + 1 != text.matches(']').count();
        return Err(error(if is_unclosed {
            format!("invalid array index in `{access}`: missing closing bracket")
        } else {
            format!("invalid array index syntax in `{access}`")
        }));
    };
    let indices = text.split("][").map(|digits| {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| is_number);
        number.ok_or_else(|| error(format!("invalid array index in `{access}`: `{digits}` is not a valid index")))
    });
    let indices: Vec<usize> = indices.collect::<Result<_, _>>()?;
    if indices.len() > MAX_INDICES {
        return Err(error(format!("too many array indices in `{access}` (maximum depth: {MAX_INDICES})")));
    }
    Ok(indices)
}

/// Evaluates `truncate(offset, length)`, in characters.
fn truncate(value: &str, call: &str) -> Option<String> {
    let arguments = call.strip_prefix("truncate(")?.strip_suffix(')')?;
    let (offset, length) = arguments.split_once(',')?;
    let (offset, length) = (offset.trim().parse::<usize>().ok()?, length.trim().parse::<usize>().ok()?);
    Some(value.chars().skip(offset).take(length).collect())
}

/// Escapes like Ruby's `Shellwords.escape`.
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

/// Replaces every block that has a value. The others stay as written.
pub(super) fn fill(text: &str, value: &mut dyn FnMut(Block<'_>) -> Option<Node>) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(block) = find(rest) {
        output.push_str(block.before);
        match value(block) {
            Some(node) => output.push_str(&text_of(&node)),
            None => output.push_str(block.whole),
        }
        rest = block.after;
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
        let file = sources.add("", "{x: it's, y: $HOME, list: [p, [q, r], {k: [s, {l: t}]}], count: 2}");
        let node = compose(&sources, file, &mut Diagnostics::default()).remove(0);
        node.mapping().unwrap().iter().map(|(name, entry)| (name.to_string(), entry.value.clone())).collect()
    }

    fn filled(text: &str) -> Result<String, BlockError> {
        let (inputs, mut first_error) = (inputs(), None);
        let expand = |text: &str| text.replace("$HOME", "/root");
        let filled = fill(text, &mut |block| {
            value(block.data, &inputs, &expand).unwrap_or_else(|error| {
                first_error.get_or_insert(error);
                None
            })
        });
        first_error.map_or(Ok(filled), Err)
    }

    // https://docs.gitlab.com/ci/inputs/, lib/gitlab/ci/config/interpolation/template.rb
    #[rstest]
    #[case::one_block("a: $[[ inputs.x ]]\n", "a: it's\n")]
    #[case::without_spaces("$[[inputs.x]]", "it's")]
    #[case::two_blocks("$[[ inputs.x ]]-$[[ inputs.y ]]", "it's-$HOME")]
    #[case::expanded("$[[ inputs.y | expand_vars ]]", "/root")]
    #[case::truncated("$[[ inputs.x | truncate(1,2) ]]", "t'")]
    #[case::escaped("$[[ inputs.x | posix_escape ]]", "it\\'s")]
    #[case::chained("$[[ inputs.y | expand_vars | truncate(1, 3) ]]", "roo")]
    #[case::matrix_blocks_stay("$[[ matrix.X ]]", "$[[ matrix.X ]]")]
    #[case::unclosed("$[[ inputs.x", "$[[ inputs.x")]
    #[case::line_break_before_the_end("$[[ inputs.x\n]]", "it's")]
    #[case::line_break_within("$[[ inputs.x\n| posix_escape ]]", "$[[ inputs.x\n| posix_escape ]]")]
    #[case::an_item("$[[ inputs.list[0] ]]", "p")]
    #[case::an_item_of_an_item("$[[ inputs.list[1][1] ]]", "r")]
    #[case::a_key_of_an_item("$[[ inputs.list[2].k[1].l ]]", "t")]
    #[case::a_list_in_a_text("of $[[ inputs.list[1] ]]", "of [\"q\", \"r\"]")]
    fn replaces_blocks(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(filled(text).as_deref(), Ok(expected));
    }

    // lib/gitlab/ci/config/interpolation/access.rb
    #[rstest]
    #[case::unknown("ab $[[ inputs.z ]]", "unknown interpolation provided: `z` in `inputs.z`")]
    #[case::unknown_context("$[[ foo.bar ]]", "unknown interpolation provided: `foo` in `foo.bar`")]
    #[case::no_context("$[[ foo ]]", "invalid pattern used for interpolation. valid pattern is $[[ inputs.input ]]")]
    #[case::unknown_function(
        "$[[ inputs.x | upcase ]]",
        "no function matching `upcase`: check that the function name, arguments, and types are correct"
    )]
    #[case::too_many_functions("$[[ inputs.x | a | b | c | d ]]", "too many functions in interpolation block")]
    #[case::function_of_a_number(
        "$[[ inputs.count | truncate(0,1) ]]",
        "invalid input type: truncate can only be used with string inputs"
    )]
    #[case::key_of_a_string("$[[ inputs.x.y ]]", "unknown interpolation provided: `y` in `inputs.x.y`")]
    #[case::unknown_key("$[[ inputs.list[2].z ]]", "unknown interpolation provided: `z` in `inputs.list[2].z`")]
    #[case::index_without_a_key(
        "$[[ inputs.list[2].[0] ]]",
        "invalid indexed access without a key in `inputs.list[2].[0]`"
    )]
    #[case::text_after_an_index("$[[ inputs.list[2]k ]]", "invalid array index syntax in `inputs.list[2]k`")]
    #[case::index_out_of_bounds("$[[ inputs.list[3] ]]", "array index 3 out of bounds (size: 3) in `inputs.list[3]`")]
    #[case::index_of_a_string("$[[ inputs.x[0] ]]", "cannot index into non-array value at [0] in `inputs.x[0]`")]
    #[case::index_is_not_a_number(
        "$[[ inputs.list[a] ]]",
        "invalid array index in `inputs.list[a]`: `a` is not a valid index"
    )]
    #[case::unclosed_index("$[[ inputs.list[0 ]]", "invalid array index in `inputs.list[0`: missing closing bracket")]
    #[case::too_many_indices(
        "$[[ inputs.list[0][0][0][0][0][0] ]]",
        "too many array indices in `inputs.list[0][0][0][0][0][0]` (maximum depth: 5)"
    )]
    fn reports_invalid_blocks(#[case] text: &str, #[case] message: &str) {
        assert_eq!(filled(text).unwrap_err().message, message);
    }
}
