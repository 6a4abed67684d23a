//! Tests of the page of checks of a cluster.

use std::path::PathBuf;

use e2e::record::check_report::CheckReport;
use e2e::report::check::html;
use rstest::rstest;

use crate::devtools::Browser;
use crate::page::{THEMES, WIDTHS, dead_links, unreadable, violations, width};
use crate::{check_fixture, support};

/// A file with the page of a report.
fn page(report: &CheckReport) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    std::fs::write(&path, html::page(report)).unwrap();
    (dir, path)
}

#[rstest]
#[case::passed("checks-passed", check_fixture::passed())]
#[case::failed("checks-failed", check_fixture::failed())]
fn the_page_fits_the_window_and_can_be_read_in_both_themes(#[case] name: &str, #[case] report: CheckReport) {
    let ((_dir, page), mut browser) = (page(&report), Browser::start());
    let pictures = support::project().join("target/browser");
    for theme in THEMES {
        browser.prefer(theme);
        for window in WIDTHS {
            browser.resize(window);
            browser.open(&page);
            browser.picture(&pictures.join(format!("{name}-{theme}-{window}.png")));
            let width = width(&mut browser);
            assert!(width <= u64::from(window), "{theme}: {width} of {window} pixels");
        }
        assert_eq!(unreadable(&mut browser), Vec::<String>::new(), "{theme}");
    }
    assert_eq!(violations(&browser, &page), Vec::<String>::new());
}

#[test]
fn every_link_has_a_visible_target() {
    let ((_dir, page), mut browser) = (page(&check_fixture::failed()), Browser::start());
    browser.open(&page);
    assert_eq!(dead_links(&mut browser), Vec::<String>::new());
}

/// The filter is part of the style sheet. A link to a check shows it with every filter.
#[rstest]
#[case::all("show-all", "", &["dev-deployment", "dev-readiness", "live-scraping", "live-ingress"])]
#[case::failed("show-failed", "", &["dev-readiness", "live-ingress"])]
#[case::not_run("show-not-run", "", &["live-scraping"])]
#[case::a_link("show-not-run", "dev-deployment", &["dev-deployment", "live-scraping"])]
fn the_filter_shows_checks_by_their_verdict(#[case] filter: &str, #[case] target: &str, #[case] expected: &[&str]) {
    let ((_dir, page), mut browser) = (page(&check_fixture::failed()), Browser::start());
    browser.open(&page);
    browser.evaluate(&format!("document.getElementById('{filter}').click()"));
    browser.evaluate(&format!("location.hash = '{target}'"));
    let visible = "[...document.querySelectorAll('.checks > li')].filter(it => it.checkVisibility()).map(it => it.id)";
    assert_eq!(browser.evaluate(visible), serde_json::json!(expected));
}
