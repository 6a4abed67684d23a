//! Explicit tags of values. `deserialize` and `visit_Psych_Nodes_Mapping` of Psych's `lib/psych/visitors/to_ruby.rb`
//!
//! Psych reads a scalar with a tag as if it were not quoted: `!!int "0x1F"` is 31. GitLab permits no class but `Symbol`.

use granit_parser::Tag;

use super::node::Value;
use super::scalar::{self, Refused};

/// The value of a scalar with a tag.
pub(super) fn resolve(tag: &Tag, text: &str) -> Result<Value, Refused> {
    let string = |text: &str| Ok(Value::String(text.into()));
    match name(tag).as_str() {
        "!!str" | "!str" | "!ruby/string" => string(text),
        "!ruby/symbol" | "!ruby/sym" => Ok(Value::Symbol(text.into())),
        "!!binary" | "!binary" => match decode(text) {
            Some(text) => string(&text),
            None => Err(Refused::NotText),
        },
        "!!float" | "!float" => match scalar::resolve(text) {
            Ok(Value::Integer(whole)) => Ok(Value::Float(format!("{whole}.0").into())),
            Ok(value @ Value::Float(_)) => Ok(value),
            _ => Err(Refused::Class("Float")),
        },
        other => match class(other) {
            Some(class) => Err(Refused::Class(class)),
            None => scalar::resolve(text),
        },
    }
}

/// Whether the tag is that of a string.
pub(super) fn is_string(tag: &Tag) -> bool {
    matches!(name(tag).as_str(), "!!str" | "!str" | "!ruby/string")
}

/// The class that a list with this tag would have, if GitLab does not permit it.
pub(super) fn refused_class_of_list(tag: &Tag) -> Option<&'static str> {
    match name(tag).as_str() {
        "!!omap" | "!omap" => Some("Psych::Omap"),
        other => class(other),
    }
}

/// The class that a hash with this tag would have, if GitLab does not permit it.
pub(super) fn refused_class_of_hash(tag: &Tag) -> Option<&'static str> {
    match name(tag).as_str() {
        "!!set" | "!set" => Some("Set"),
        _ => refused_class_of_list(tag),
    }
}

fn class(name: &str) -> Option<&'static str> {
    let kind = name.strip_prefix("!ruby/")?;
    [("regexp", "Regexp"), ("range", "Range"), ("struct", "Struct"), ("object", "Object"), ("exception", "Exception")]
        .into_iter()
        .chain([("hash", "Hash"), ("array", "Array"), ("class", "Class"), ("module", "Module")])
        .find_map(|(word, class)| kind.starts_with(word).then_some(class))
}

/// The tag as it is usually written: `!!int`, `!binary`.
fn name(tag: &Tag) -> String {
    let whole = format!("{}{}", tag.handle(), tag.suffix());
    whole.strip_prefix("tag:yaml.org,2002:").map_or_else(|| whole.clone(), |short| format!("!!{short}"))
}

/// Decodes base 64 as Ruby's `unpack('m')` does, which skips all other characters and ends at the padding.
fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for character in text.bytes().take_while(|byte| *byte != b'=') {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.extend(u8::try_from((bits >> count) & 0xFF));
        }
    }
    String::from_utf8(bytes).ok()
}
