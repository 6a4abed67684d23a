//! Tables for the terminal and for Markdown.

use std::iter;

/// Rows with the same number of cells. The first row is the header.
#[derive(Debug)]
pub(crate) struct Table(pub(crate) Vec<Vec<String>>);

impl Table {
    /// For the terminal.
    pub(crate) fn plain(&self) -> String {
        self.aligned().map(|cells| format!("{}\n", cells.join("  ").trim_end())).collect::<Vec<_>>().concat()
    }

    /// For a page.
    pub(crate) fn markdown(&self) -> String {
        let mut lines = self.aligned().map(|cells| format!("| {} |\n", cells.join(" | ")));
        let rule = self.widths().enumerate().map(|(column, width)| match column {
            0 => format!("|:{}-", "-".repeat(width)),
            _ => format!("|-{}:", "-".repeat(width)),
        });
        let rule = rule.chain(iter::once("|\n".to_owned())).collect();
        lines.next().into_iter().chain(iter::once(rule)).chain(lines).collect()
    }

    /// Pads the cells to the width of their column: the first column is left-aligned, all others are right-aligned.
    fn aligned(&self) -> impl Iterator<Item = Vec<String>> {
        self.0.iter().map(|row| {
            let cells = row.iter().zip(self.widths()).enumerate();
            cells
                .map(|(column, (cell, width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect()
        })
    }

    fn widths(&self) -> impl Iterator<Item = usize> {
        let columns = self.0.first().map_or(0, Vec::len);
        let width = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        (0..columns).map(move |column| self.0.iter().map(|row| width(row, column)).max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let rows = [["measure", "Rust", "Go"], ["start-up", "1.9 ms", "4 ms"], ["µ", "1", "100 (99–101)"]];
        Table(rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect())
    }

    #[test]
    fn plain() {
        insta::assert_snapshot!(table().plain(), @"
        measure     Rust            Go
        start-up  1.9 ms          4 ms
        µ              1  100 (99–101)
        ");
    }

    #[test]
    fn markdown() {
        insta::assert_snapshot!(table().markdown(), @"
        | measure  |   Rust |           Go |
        |:---------|-------:|-------------:|
        | start-up | 1.9 ms |         4 ms |
        | µ        |      1 | 100 (99–101) |
        ");
    }
}
