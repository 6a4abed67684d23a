//! A page that holds a report.

use std::fs;
use std::path::PathBuf;

use crate::error::{Context, Error};

const BEGIN: &str = "<!-- bench-app:begin -->";
const END: &str = "<!-- bench-app:end -->";

/// A page with a place for the report.
#[derive(Debug)]
pub(crate) struct Page {
    path: PathBuf,
    before: String,
    after: String,
}

impl Page {
    /// Reads the page at `path`.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let text = fs::read_to_string(&path).context(path.display())?;
        let (before, after) = split(&text).context(path.display())?;
        Ok(Self { before: before.to_owned(), after: after.to_owned(), path })
    }

    /// Writes it with `report` in place of the old one.
    pub(crate) fn write(&self, report: &str) -> Result<(), Error> {
        let Self { path, before, after } = self;
        fs::write(path, format!("{before}{BEGIN}\n{report}{END}{after}")).context(path.display())
    }
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let (before, rest) = text.split_once(BEGIN).ok_or_else(|| format!("it has no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("it has no {END} after {BEGIN}"))?;
    Ok((before, after))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn what_is_around_the_report_stays() {
        let text = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nrest {END}\n");
        assert_eq!(split(&text), Ok(("# Title\n\n", format!("\n\nrest {END}\n").as_str())));
    }

    #[rstest]
    #[case::no_begin(format!("old\n{END}\n"), "it has no <!-- bench-app:begin -->")]
    #[case::no_end(format!("{END}\n{BEGIN}\n"), "it has no <!-- bench-app:end --> after <!-- bench-app:begin -->")]
    fn no_place(#[case] text: String, #[case] why: &str) {
        assert_eq!(split(&text), Err(why.to_owned()));
    }
}
