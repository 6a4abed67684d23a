//! A comparison of programs as text, for the terminal and for a page.

use crate::error::Error;
use crate::page::Page;
use crate::table::Table;

/// The figures of a comparison, and the facts that a reader needs to judge them.
pub(crate) trait Comparison {
    /// The facts, a line each.
    fn notes(&self) -> Vec<String>;

    /// The command that measures the figures again.
    fn command(&self) -> String;

    fn table(&self) -> Table;

    /// The text for the terminal.
    fn plain(&self) -> String {
        format!("{}\n\n{}", self.notes().join("\n"), self.table().plain())
    }

    /// The text for a Markdown page.
    fn markdown(&self) -> String {
        let notes = [self.notes(), vec![format!("command: `{}`", self.command())]].concat();
        format!("\n{}\n- {}\n\n", self.table().markdown(), notes.join("\n- "))
    }

    /// Writes the page, if there is one, and returns the text for the terminal.
    fn write(&self, page: Option<Page>) -> Result<String, Error> {
        if let Some(page) = page {
            page.write(&self.markdown())?;
        }
        Ok(self.plain())
    }
}

/// The cell for a target, and whether the measurement meets it.
pub(crate) fn verdict(target: &str, is_met: bool) -> String {
    format!("{target}: {}", if is_met { "met" } else { "missed" })
}
