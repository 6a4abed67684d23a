//! Verifies that the browser tests can fail, with pages that do what a report must not do.

use rstest::rstest;

use crate::devtools::Browser;
use crate::fixture;
use crate::page::{Report, dead_links, text_without_scripts, unreadable, violations, width};

/// A report with additional content, and with `policy` as its Content-Security-Policy.
fn sabotaged(content: &str, policy: &str) -> Report {
    let report = Report::from_record(fixture::passed());
    let page = std::fs::read_to_string(report.page()).unwrap();
    let changed = page.replacen("</main>", &format!("{content}</main>"), 1);
    assert_ne!(changed, page);
    let changed = changed.replacen("default-src 'none'", policy, 1);
    std::fs::write(report.page(), changed).unwrap();
    report
}

#[rstest]
#[case::blocked_request("<img src='http://127.0.0.1:9/x.png'>", "default-src 'none'", "Content Security Policy")]
#[case::request("<img src='http://127.0.0.1:9/x.png'>", "default-src *; img-src *", "http://127.0.0.1:9/x.png")]
#[case::console_error("<script>console.error('x')</script>", "script-src 'unsafe-inline'", "Runtime.consoleAPICalled")]
#[case::exception("<script>throw 1</script>", "script-src 'unsafe-inline'", "Runtime.exceptionThrown")]
fn violations_of_a_page_are_found(#[case] content: &str, #[case] policy: &str, #[case] expected: &str) {
    let (report, mut browser) = (sabotaged(content, policy), Browser::start());
    browser.open(&report.page());
    let violations = violations(&browser, &report.page());
    assert!(violations.iter().any(|it| it.contains(expected)), "{violations:?}");
}

#[rstest]
#[case("<div style='width: 400px'>wide</div>")]
#[case("<style>.scroll { overflow: visible }</style>")]
fn a_page_that_is_too_wide_is_found(#[case] content: &str) {
    let report = sabotaged(content, "default-src 'none'");
    let mut browser = Browser::start();
    browser.resize(360);
    browser.open(&report.page());
    assert!(width(&mut browser) > 360);
}

#[rstest]
#[case::gray_on_white("<p style='color: #999; background: #fff'>gray</p>", "gray")]
#[case::half_of_black_on_white("<p style='color: rgb(0 0 0 / 40%); background: #fff'>thin</p>", "thin")]
fn text_with_too_little_contrast_is_found(#[case] content: &str, #[case] expected: &str) {
    let (report, mut browser) = (sabotaged(content, "default-src 'none'"), Browser::start());
    browser.open(&report.page());
    let unreadable = unreadable(&mut browser);
    assert!(unreadable.len() == 1 && unreadable[0].contains(expected), "{unreadable:?}");
}

#[test]
fn a_dead_link_is_found() {
    let report = sabotaged("<a href='#nowhere'>nowhere</a>", "default-src 'none'");
    let mut browser = Browser::start();
    browser.open(&report.page());
    assert_eq!(dead_links(&mut browser), ["\"#nowhere\": None"]);
}

#[test]
fn text_that_a_script_writes_is_not_read() {
    let content = "<script>document.querySelector('main').textContent = 'written'</script><p>here before</p>";
    let report = sabotaged(content, "script-src 'unsafe-inline'");
    let text = text_without_scripts(&mut Browser::start(), &report.page());
    assert!(text.contains("here before") && !text.contains("written"), "{text}");
}
