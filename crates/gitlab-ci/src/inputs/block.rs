//! `$[[ inputs.name | function ]]`: parsing and evaluation of interpolation blocks.
//! `lib/gitlab/ci/config/interpolation/block.rb`, `access.rb`, `functions_stack.rb`

use std::sync::Arc;

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

/// The data that blocks can use.
pub(super) struct Data<'file> {
    pub(super) inputs: &'file Inputs,
    /// The data about its component that a file may use: `spec:component`. Only the GitLab server that has the component has the values.
    pub(super) component: &'file [Arc<str>],
    /// Implements the function `expand_vars`.
    pub(super) expand: &'file dyn Fn(&str) -> String,
}

/// Evaluates the content of a block. Returns `None` for a block that stays as written.
pub(super) fn value(block: &str, data: &Data<'_>) -> Result<Option<Node>, BlockError> {
    let mut parts = block.split('|').map(str::trim);
    let access = parts.next().unwrap_or_default();
    // GitLab replaces `matrix` later, for each instance of the job.
    if access.split('.').next() == Some("matrix") {
        return Ok(None);
    }
    let value = evaluate_access(access, data)?;
    let mut functions: Vec<&str> = parts.collect();
    // Ruby's `split` leaves out what is empty at the end.
    if block.ends_with('|') {
        functions.pop();
    }
    if functions.len() > MAX_FUNCTIONS {
        return Err(error("too many functions in interpolation block"));
    }
    let functions = functions.into_iter().map(Function::parse).collect::<Result<Vec<_>, _>>()?;
    let Some(mut value) = value else { return Ok(None) };
    for function in functions {
        let Some(text) = value.string() else {
            // `lib/gitlab/ci/config/interpolation/functions/base.rb`
            let name = function.name();
            let reason = format!("invalid input type: {name} can only be used with string inputs");
            return Err(error(format!("error in `{name}` function: {reason}")));
        };
        let text = match function {
            Function::ExpandVars => (data.expand)(text),
            Function::PosixEscape => posix_escape(text),
            Function::Truncate { offset, length } => text.chars().skip(offset).take(length).collect(),
        };
        value = Node::new(value.span, Value::String(text.into()));
    }
    Ok(Some(value))
}

/// A function of a block. `lib/gitlab/ci/config/interpolation/functions/`
#[derive(Clone, Copy)]
enum Function {
    ExpandVars,
    PosixEscape,
    /// Counts in characters.
    Truncate {
        offset: usize,
        length: usize,
    },
}

impl Function {
    fn parse(text: &str) -> Result<Self, BlockError> {
        let function = match text {
            "expand_vars" => Some(Self::ExpandVars),
            "posix_escape" => Some(Self::PosixEscape),
            other => Self::parse_truncate(other),
        };
        function.ok_or_else(|| {
            error(format!(
                "no function matching `{text}`: check that the function name, arguments, and types are correct"
            ))
        })
    }

    /// Parses `truncate(OFFSET, LENGTH)`. GitLab's regular expression makes the last parenthesis optional.
    fn parse_truncate(text: &str) -> Option<Self> {
        let arguments = text.strip_prefix("truncate(")?;
        let (offset, length) = arguments.strip_suffix(')').unwrap_or(arguments).split_once(',')?;
        let number = |text: &str| {
            let digits = text.trim();
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        Some(Self::Truncate { offset: number(offset)?, length: number(length)? })
    }

    fn name(self) -> &'static str {
        match self {
            Self::ExpandVars => "expand_vars",
            Self::PosixEscape => "posix_escape",
            Self::Truncate { .. } => "truncate",
        }
    }
}

fn error(message: impl Into<String>) -> BlockError {
    BlockError { message: message.into(), name: None }
}

/// Evaluates `inputs.name`, `inputs.list[0]` or `inputs.hash.key`. Returns `None` for a value that is not known here, such as
/// `component.version`. `lib/gitlab/ci/config/interpolation/access.rb`
fn evaluate_access(access: &str, data: &Data<'_>) -> Result<Option<Node>, BlockError> {
    let mut segments = access.splitn(MAX_SEGMENTS, '.');
    let (Some(context), Some(first)) = (segments.next(), segments.next()) else {
        return Err(error("invalid pattern used for interpolation. valid pattern is $[[ inputs.input ]]"));
    };
    if access.len() > MAX_ACCESS_BYTES {
        return Err(error("maximum interpolation expression size exceeded"));
    }
    let unknown = |key: &str| format!("unknown interpolation provided: `{key}` in `{access}`");
    if !matches!(context, "inputs" | "component") {
        return Err(error(unknown(context)));
    }
    let (name, indices) = read_segment(first, access)?;
    if context == "component" {
        let is_known = data.component.iter().any(|known| **known == *name);
        return if is_known { Ok(None) } else { Err(error(unknown(name))) };
    }
    let Some(value) = data.inputs.get(name) else {
        return Err(BlockError { message: unknown(name), name: Some(name.to_owned()) });
    };
    let mut value = item(value, &indices, access)?;
    for segment in segments {
        let (key, indices) = read_segment(segment, access)?;
        let below = value.get(key).ok_or_else(|| error(unknown(key)))?;
        value = item(below, &indices, access)?;
    }
    Ok(Some(value.clone()))
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
    // `VALID_INDEXED_SEGMENT_PATTERN`: unlike other names, one before an index has no hyphen.
    if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(error(format!("invalid array index syntax in `{access}`")));
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
            let data = Data { inputs: &inputs, component: &["version".into()], expand: &expand };
            value(block.data, &data).unwrap_or_else(|error| {
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
    #[case::truncated_without_the_end("$[[ inputs.x | truncate( 1 , 2 ]]", "t'")]
    #[case::matrix_blocks_stay("$[[ matrix.X ]]", "$[[ matrix.X ]]")]
    #[case::data_of_a_component_stays(
        "$[[ component.version | truncate(0,1) ]]",
        "$[[ component.version | truncate(0,1) ]]"
    )]
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
        "error in `truncate` function: invalid input type: truncate can only be used with string inputs"
    )]
    #[case::unknown_function_of_a_number(
        "$[[ inputs.count | expand_vars | upcase ]]",
        "no function matching `upcase`: check that the function name, arguments, and types are correct"
    )]
    #[case::sign_of_an_argument(
        "$[[ inputs.x | truncate(+1,2) ]]",
        "no function matching `truncate(+1,2)`: check that the function name, arguments, and types are correct"
    )]
    #[case::unlisted_data_of_a_component(
        "$[[ component.name ]]",
        "unknown interpolation provided: `name` in `component.name`"
    )]
    #[case::index_of_a_name_with_a_hyphen(
        "$[[ inputs.my-list[0] ]]",
        "invalid array index syntax in `inputs.my-list[0]`"
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
