//! Where the values come from.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

/// The value of an input, which unlike a variable has a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'value> {
    /// Yes or no.
    Boolean(bool),
    /// Anything else that is written without structure.
    Text(&'value str),
}

/// The variables that an expression sees.
pub trait Variables {
    /// The value of a variable as it was written: expressions are compared before anything is expanded. `None` is
    /// GitLab's `null`.
    fn get(&self, name: &str) -> Option<&str>;

    /// The value of `$[[ inputs.name ]]`, for the few expressions that are read before inputs are filled in
    /// (`expression/lexeme/input.rb`); everywhere else it is `null`.
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
