//! The variables and inputs that expressions read.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

/// The value of an input. Unlike a variable, it has a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'value> {
    /// A boolean.
    Boolean(bool),
    /// A string, or a number in its text form.
    Text(&'value str),
}

/// A source of variables for expressions. Implemented for maps.
pub trait Variables {
    /// Returns the value of a variable as written: GitLab evaluates expressions before it expands variables in values.
    /// `None` is GitLab's `null`.
    fn get(&self, name: &str) -> Option<&str>;

    /// Returns the value of `$[[ inputs.name ]]`. Only the rules of inputs are evaluated before inputs are interpolated
    /// (`expression/lexeme/input.rb`). Everywhere else the value is `null`, the default.
    fn input(&self, _name: &str) -> Option<Input<'_>> {
        None
    }
}

impl<Name: Borrow<str> + Ord, Value: AsRef<str>> Variables for BTreeMap<Name, Value> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(AsRef::as_ref)
    }
}

impl<Name: Borrow<str> + Eq + Hash, Value: AsRef<str>, State: BuildHasher> Variables for HashMap<Name, Value, State> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(AsRef::as_ref)
    }
}
