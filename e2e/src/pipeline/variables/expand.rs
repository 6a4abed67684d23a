//! Variables within texts, as the server puts them in. `lib/expand_variables.rb`
//!
//! `$NAME`, `${NAME}` and `%NAME%`, once: what a value brings in is looked at again only where all variables are expanded
//! together.

use super::collection::Collection;

/// How large a text may become: values that double each other grow without end.
const LARGEST: usize = 1 << 20;

/// How often values are put into values; a chain that is longer leads in a circle, or nowhere.
const DEEPEST: usize = 50;

impl Collection {
    /// A text with every variable in it; unknown ones are empty.
    pub fn expand(&self, text: &str) -> String {
        self.replace(text, false)
    }

    /// A text with every variable that is known; others stay as they are written.
    pub fn expand_existing(&self, text: &str) -> String {
        self.replace(text, true)
    }

    fn replace(&self, text: &str, keeps_unknown: bool) -> String {
        let mut current = text.to_owned();
        for _ in 0..DEEPEST {
            let next = replace(&current, &|name| {
                let variable = self.get(name)?;
                // A raw value is the end of it, and a file's path is known only where the job runs.
                if variable.file { None } else { Some(&variable.value) }
            });
            if next == current || next.len() > LARGEST {
                break;
            }
            current = next;
        }
        if keeps_unknown { current } else { replace(&current, &|name| self.get(name).map_or(Some(""), |_| None)) }
    }
}

/// Replaces each variable by what `value` gives for it, or leaves it where that is nothing. `$$` and `%%` stay.
fn replace<'value>(text: &str, value: &dyn Fn(&str) -> Option<&'value str>) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        let (before, from) = rest.split_at(at);
        output.push_str(before);
        let length = if let Some((name, length)) = reference(from) {
            output.push_str(value(name).or_else(|| from.get(..length)).unwrap_or_default());
            length
        } else {
            let doubled = from.starts_with("$$") || from.starts_with("%%");
            let length = if doubled { 2 } else { 1 };
            output.push_str(from.get(..length).unwrap_or_default());
            length
        };
        rest = from.get(length..).unwrap_or_default();
        if output.len() > LARGEST {
            break;
        }
    }
    output.push_str(rest);
    output
}

/// The name of the variable that a text begins with, and how many bytes that is.
fn reference(text: &str) -> Option<(&str, usize)> {
    let word = |text: &str| text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    if let Some(inner) = text.strip_prefix("${") {
        let length = word(inner);
        return inner.get(length..)?.starts_with('}').then(|| (inner.get(..length), length + 3)).and_then(named);
    }
    if let Some(inner) = text.strip_prefix('%') {
        let length = word(inner);
        return inner.get(length..)?.starts_with('%').then(|| (inner.get(..length), length + 2)).and_then(named);
    }
    let inner = text.strip_prefix('$')?;
    let length = word(inner);
    named((inner.get(..length), length + 1))
}

fn named((name, length): (Option<&str>, usize)) -> Option<(&str, usize)> {
    name.filter(|name| !name.is_empty()).map(|name| (name, length))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::collection::{Origin, Variable};
    use super::*;

    fn collection() -> Collection {
        let mut collection = Collection::default();
        let list = [("A", "1"), ("B", "$A-2"), ("C", "${B}"), ("LOOP", "$LOOP"), ("X", "$Y$Y"), ("Y", "$X$X")];
        for (key, value) in list {
            collection.add(Variable::new(key, value, Origin::Job));
        }
        collection.add(Variable { file: true, ..Variable::new("FILE", "content", Origin::Project) });
        collection
    }

    // https://docs.gitlab.com/ci/variables/where_variables_can_be_used/
    #[rstest]
    #[case::plain("a $A b", "a 1 b", "a 1 b")]
    #[case::braces("${A}b", "1b", "1b")]
    #[case::percent("%A%", "1", "1")]
    #[case::nested("$C", "1-2", "1-2")]
    #[case::unknown("[$NONE]", "[]", "[$NONE]")]
    #[case::doubled("$$A", "$$A", "$$A")]
    #[case::no_name("5$ or $(date) 100%", "5$ or $(date) 100%", "5$ or $(date) 100%")]
    #[case::open("${A", "${A", "${A")]
    #[case::file("$FILE", "$FILE", "$FILE")]
    #[case::circle("$LOOP", "$LOOP", "$LOOP")]
    fn texts(#[case] text: &str, #[case] all: &str, #[case] existing: &str) {
        assert_eq!((collection().expand(text).as_str(), collection().expand_existing(text).as_str()), (all, existing));
    }

    #[test]
    fn what_doubles_itself_ends() {
        assert!(collection().expand("$X").len() <= 4 * LARGEST);
    }
}
