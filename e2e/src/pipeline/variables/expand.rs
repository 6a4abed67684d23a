//! Variables within texts, as the server puts them in. `lib/expand_variables.rb`
//!
//! `$NAME`, `${NAME}` and `%NAME%`, once: what a value brings in is looked at again only where all variables are expanded
//! together.

use std::collections::HashMap;
use std::sync::Arc;

use super::collection::{Collection, Variable};

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

    /// The names of variables that lead back to the first of them, if there are any.
    /// `lib/gitlab/ci/variables/collection/sort.rb`
    pub fn circle(&self) -> Option<Vec<Arc<str>>> {
        let variables: Vec<&Variable> = self.iter().map(|(variable, _)| variable).collect();
        let index: HashMap<&str, usize> =
            variables.iter().enumerate().map(|(index, variable)| (&*variable.key, index)).collect();
        let leads_to = |variable: &Variable| -> Vec<usize> {
            if variable.raw || variable.file {
                return Vec::new();
            }
            names(&variable.value).into_iter().filter_map(|name| index.get(name).copied()).collect()
        };
        // Nothing of a variable is known, or it is on the path, or nothing behind it leads back.
        let mut is_on_path = vec![None; variables.len()];
        for start in 0..variables.len() {
            let mut path: Vec<(usize, Vec<usize>)> = Vec::new();
            let mut next = is_on_path.get(start).copied().flatten().is_none().then_some(start);
            loop {
                if let Some(at) = next.take() {
                    path.push((at, variables.get(at).map(|variable| leads_to(variable)).unwrap_or_default()));
                    is_on_path.get_mut(at).map(|state| state.replace(true));
                }
                let Some((at, rest)) = path.last_mut() else { break };
                let Some(to) = rest.pop() else {
                    is_on_path.get_mut(*at).map(|state| state.replace(false));
                    path.pop();
                    continue;
                };
                match is_on_path.get(to).copied().flatten() {
                    None => next = Some(to),
                    Some(false) => {}
                    Some(true) => {
                        let circle = path.iter().map(|(at, _)| *at).skip_while(|at| *at != to);
                        return Some(circle.filter_map(|at| variables.get(at)).map(|it| Arc::clone(&it.key)).collect());
                    }
                }
            }
        }
        None
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

/// The names of all variables in a text.
fn names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(from) = rest.find(['$', '%']).and_then(|at| rest.get(at..)) {
        let length = match reference(from) {
            Some((name, length)) => {
                names.push(name);
                length
            }
            None if from.starts_with("$$") || from.starts_with("%%") => 2,
            None => 1,
        };
        rest = from.get(length..).unwrap_or_default();
    }
    names
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

    use super::super::collection::Origin;
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

    #[rstest]
    #[case::itself(&[("A", "$A")], Some(&["A"][..]))]
    #[case::two(&[("A", "x$B"), ("B", "${A}y")], Some(&["A", "B"][..]))]
    #[case::behind_others(&[("A", "$B"), ("B", "$C"), ("C", "%B%")], Some(&["B", "C"][..]))]
    #[case::none(&[("A", "$B$B"), ("B", "$C"), ("C", "c")], None)]
    #[case::doubled(&[("A", "$$A")], None)]
    fn circles(#[case] list: &[(&str, &str)], #[case] expected: Option<&[&str]>) {
        let mut collection = Collection::default();
        for (key, value) in list {
            collection.add(Variable::new(key, value, Origin::Job));
        }
        let found = collection.circle();
        assert_eq!(
            found.as_ref().map(|names| names.iter().map(|name| &**name).collect::<Vec<_>>()).as_deref(),
            expected
        );
    }

    #[test]
    fn a_long_chain_is_no_circle() {
        let mut collection = Collection::default();
        for number in 0..20_000 {
            collection.add(Variable::new(&format!("V{number}"), &format!("$V{}", number + 1), Origin::Job));
        }
        assert_eq!(collection.circle(), None);
    }

    #[test]
    fn what_doubles_itself_ends() {
        assert!(collection().expand("$X").len() <= 4 * LARGEST);
    }
}
