//! Updates the report in a Markdown page.

use std::fs;
use std::path::PathBuf;

use crate::error::{Context, Error};

/// A page with markers between which the report is written.
#[derive(Debug)]
pub(crate) struct Page {
    path: PathBuf,
    before: String,
    after: String,
    report: &'static str,
}

impl Page {
    /// Reads the page at `path`, which must contain the markers `<!-- REPORT:begin -->` and `<!-- REPORT:end -->` of `report`.
    pub(crate) fn open(path: PathBuf, report: &'static str) -> Result<Self, Error> {
        let text = fs::read_to_string(&path).context(path.display())?;
        let (before, after) = split(&text, report).context(path.display())?;
        Ok(Self { before: before.to_owned(), after: after.to_owned(), path, report })
    }

    /// Writes the page with `report` instead of the previous one.
    pub(crate) fn write(&self, report: &str) -> Result<(), Error> {
        let Self { path, before, after, .. } = self;
        let [begin, end] = markers(self.report);
        fs::write(path, format!("{before}{begin}\n{report}{end}{after}")).context(path.display())
    }
}

fn markers(report: &str) -> [String; 2] {
    ["begin", "end"].map(|edge| format!("<!-- {report}:{edge} -->"))
}

fn split<'text>(text: &'text str, report: &str) -> Result<(&'text str, &'text str), String> {
    let [begin, end] = markers(report);
    let (before, rest) = text.split_once(&begin).ok_or_else(|| format!("it has no {begin}"))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| format!("it has no {end} after {begin}"))?;
    Ok((before, after))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BEGIN: &str = "<!-- bench-app:begin -->";
    const END: &str = "<!-- bench-app:end -->";

    #[test]
    fn text_around_the_report_is_kept() {
        let text = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nrest {END}\n");
        assert_eq!(split(&text, "bench-app"), Ok(("# Title\n\n", format!("\n\nrest {END}\n").as_str())));
    }

    #[rstest]
    #[case::no_begin(format!("old\n{END}\n"), "it has no <!-- bench-app:begin -->")]
    #[case::no_end(format!("{END}\n{BEGIN}\n"), "it has no <!-- bench-app:end --> after <!-- bench-app:begin -->")]
    #[case::anothers("<!-- bench-up:begin --><!-- bench-up:end -->".to_owned(), "it has no <!-- bench-app:begin -->")]
    fn a_page_without_both_markers_is_an_error(#[case] text: String, #[case] reason: &str) {
        assert_eq!(split(&text, "bench-app"), Err(reason.to_owned()));
    }
}
