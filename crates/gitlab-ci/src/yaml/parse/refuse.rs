//! Reports values that GitLab does not permit.

use super::Composer;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::yaml::scalar::Refused;
use crate::yaml::tag;

impl Composer<'_> {
    /// Reports a list whose tag names a class.
    pub(super) fn check_list(&mut self, span: Span, tag: Option<&granit_parser::Tag>) {
        if let Some(class) = tag.and_then(tag::refused_class_of_list) {
            self.refuse_class(span, class).help("remove the tag");
        }
    }

    /// Reports a hash whose tag names a class or declares it to be a string, and returns `None` in the second case: Psych raises a
    /// `FrozenError`.
    pub(super) fn check_hash(&mut self, span: Span, tag: Option<&granit_parser::Tag>) -> Option<()> {
        if let Some(class) = tag.and_then(tag::refused_class_of_hash) {
            self.refuse_class(span, class).help("remove the tag");
        }
        if !tag.is_some_and(tag::is_string) {
            return Some(());
        }
        self.diagnostics.error(span, "a hash cannot have the tag `!!str`").help("remove the tag");
        None
    }

    /// Reports a scalar without a value that GitLab permits.
    pub(super) fn refuse(&mut self, span: Span, refused: &Refused, text: &str, has_tag: bool) {
        match refused {
            // Psych ignores the quotes of a scalar with a tag.
            Refused::Class(class) if has_tag => {
                self.refuse_class(span, class).help(format!("remove the tag, and quote the text: '{text}'"));
            }
            Refused::Class(class) => {
                self.refuse_class(span, class).help(format!("quote it: '{text}'"));
            }
            Refused::NotText => {
                let error = self.diagnostics.error(span, "the content of `!!binary` is not UTF-8 text");
                error.help("encode the text again as UTF-8, or remove the value");
            }
        }
    }

    /// Psych's message.
    fn refuse_class(&mut self, span: Span, class: &str) -> &mut Diagnostic {
        self.diagnostics.error(span, format!("Tried to load unspecified class: {class}"))
    }

    /// `lib/gitlab/ci/config/yaml/tags/reference.rb`
    pub(super) fn refuse_reference(&mut self, span: Span, value: &str) {
        let error = self.diagnostics.error(span, format!("!reference {value} is not valid"));
        error.help("write a list of strings: `!reference [job, keyword]`");
    }
}
