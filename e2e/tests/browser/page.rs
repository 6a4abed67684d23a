//! Tests of the pages of a run that passed, a run that failed, and an interrupted run.

use std::path::{Path, PathBuf};

use rstest::rstest;
use serde_json::Value;

use crate::contrast::contrast;
use crate::devtools::{Browser, address};
use crate::record::Record;
use crate::{fixture, support};

/// The minimum contrast of text: <https://www.w3.org/TR/WCAG22/#contrast-minimum>
const LEAST_CONTRAST: f64 = 4.5;

/// The widths of phones, a tablet and a laptop.
pub(crate) const WIDTHS: [u32; 4] = [360, 390, 768, 1280];

pub(crate) const THEMES: [&str; 2] = ["light", "dark"];

/// Expands all details: collapsed content has no width and no text.
const OPEN: &str = "document.querySelectorAll('details').forEach(it => it.open = true)";

/// Every visible text with its color and the backgrounds behind it, the nearest first. Texts in drawings have no background of their
/// own; the library's tests verify their contrast.
const TEXTS: &str = "(() => {
    const texts = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim(), parent = walker.currentNode.parentElement;
        if (!text || parent.closest('svg') || !parent.checkVisibility()) continue;
        const backgrounds = [];
        for (let it = parent; it; it = it.parentElement) backgrounds.push(getComputedStyle(it).backgroundColor);
        texts.push([text, getComputedStyle(parent).color, ...backgrounds]);
    }
    return texts;
})()";

/// The directory of a report, and the record of its run.
pub(crate) struct Report {
    pub(crate) record: Record,
    dir: tempfile::TempDir,
}

impl Report {
    pub(crate) fn from_record(record: Record) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for log in record.pipelines.iter().flat_map(|it| &it.jobs).filter_map(|job| job.log.as_ref()) {
            let log = dir.path().join(log);
            std::fs::create_dir_all(log.parent().unwrap()).unwrap();
            std::fs::write(log, fixture::LOG).unwrap();
        }
        e2e::report::run::write::write(&record, &private_dir::PrivateDir::open_shared(dir.path(), "").unwrap())
            .unwrap();
        Self { record, dir }
    }

    pub(crate) fn page(&self) -> PathBuf {
        self.dir.path().join("report.html")
    }
}

fn requests(browser: &Browser) -> Vec<String> {
    let requests = browser.events("Network.requestWillBeSent").into_iter();
    requests.map(|it| it["request"]["url"].as_str().unwrap().to_owned()).collect()
}

/// Everything that a page has done but must not do: requests other than for itself, and errors that the browser reports.
pub(crate) fn violations(browser: &Browser, page: &Path) -> Vec<String> {
    let mut violations = requests(browser);
    // Data URLs cause no network traffic.
    violations.retain(|url| *url != address(page) && !url.starts_with("data:"));
    for error in ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Audits.issueAdded"] {
        violations.extend(browser.events(error).into_iter().map(|it| format!("{error}: {it}")));
    }
    violations
}

/// Texts with too little contrast, with all details expanded.
pub(crate) fn unreadable(browser: &mut Browser) -> Vec<String> {
    browser.evaluate(OPEN);
    let texts = browser.evaluate(TEXTS);
    let texts = texts.as_array().unwrap();
    assert!(texts.len() > 50, "there is more to read than {} texts", texts.len());
    let ratios = texts.iter().map(|text| {
        let layers = &text.as_array().unwrap()[1..];
        (contrast(blend(layers), blend(&layers[1..])), text)
    });
    ratios.filter(|(ratio, _)| *ratio < LEAST_CONTRAST).map(|(ratio, text)| format!("{ratio:.2}: {text}")).collect()
}

/// The visible text of the page without scripts.
pub(crate) fn text_without_scripts(browser: &mut Browser, page: &Path) -> String {
    browser.call("Emulation.setScriptExecutionDisabled", &serde_json::json!({ "value": true }));
    browser.open(page);
    browser.evaluate("document.body.innerText").as_str().unwrap().to_owned()
}

/// Links within the page whose target is not visible after a click.
pub(crate) fn dead_links(browser: &mut Browser) -> Vec<String> {
    let links = browser.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map(it => it.getAttribute('href'))");
    let mut dead = Vec::new();
    for (number, link) in links.as_array().unwrap().iter().enumerate() {
        browser.evaluate(&format!("document.querySelectorAll('a[href^=\"#\"]')[{number}].click()"));
        assert_eq!(browser.evaluate("location.hash"), *link);
        let top = browser.evaluate("document.querySelector(':target')?.getBoundingClientRect().top").as_f64();
        let bottom = browser.evaluate("innerHeight").as_f64().unwrap();
        if !top.is_some_and(|top| (0.0..bottom).contains(&top)) {
            dead.push(format!("{link}: {top:?}"));
        }
    }
    dead
}

/// The width of the page, with all details expanded.
pub(crate) fn width(browser: &mut Browser) -> u64 {
    browser.evaluate(OPEN);
    browser.evaluate("document.documentElement.scrollWidth").as_u64().unwrap()
}

/// Red, green, blue and opacity of `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.4)`.
fn color(text: &Value) -> ([f64; 3], f64) {
    let parts = text.as_str().unwrap().trim_start_matches("rgba(").trim_start_matches("rgb(").trim_end_matches(')');
    let parts: Vec<f64> = parts.split(", ").map(|it| it.parse().unwrap()).collect();
    ([parts[0] / 255.0, parts[1] / 255.0, parts[2] / 255.0], parts.get(3).copied().unwrap_or(1.0))
}

/// The visible color of several layers, the nearest first.
fn blend(layers: &[Value]) -> [f64; 3] {
    layers.iter().rev().map(color).fold([1.0; 3], |below, (above, cover)| {
        std::array::from_fn(|part| above[part] * cover + below[part] * (1.0 - cover))
    })
}

#[rstest]
#[case::passed(fixture::passed())]
#[case::failed(fixture::failed())]
#[case::interrupted(fixture::interrupted())]
fn the_page_requests_nothing_and_causes_no_errors(#[case] record: Record) {
    let (report, mut browser) = (Report::from_record(record), Browser::start());
    browser.open(&report.page());
    assert!(requests(&browser).contains(&address(&report.page())), "requests are not observed");
    assert_eq!(violations(&browser, &report.page()), Vec::<String>::new());
}

#[rstest]
#[case::passed("passed", fixture::passed())]
#[case::failed("failed", fixture::failed())]
#[case::interrupted("interrupted", fixture::interrupted())]
fn the_page_is_not_wider_than_the_window(#[case] name: &str, #[case] record: Record) {
    let (report, mut browser) = (Report::from_record(record), Browser::start());
    let pictures = support::project().join("target/browser");
    for theme in THEMES {
        browser.prefer(theme);
        for window in WIDTHS {
            browser.resize(window);
            browser.open(&report.page());
            browser.picture(&pictures.join(format!("{name}-{theme}-{window}.png")));
            assert_eq!(browser.evaluate("innerWidth"), window);
            let width = width(&mut browser);
            assert!(width <= u64::from(window), "{theme}: {width} of {window} pixels");
        }
    }
}

#[rstest]
#[case::passed(fixture::passed())]
#[case::failed(fixture::failed())]
#[case::interrupted(fixture::interrupted())]
fn both_themes_have_enough_contrast(#[case] record: Record) {
    let (report, mut browser) = (Report::from_record(record), Browser::start());
    let backgrounds = THEMES.map(|theme| {
        browser.prefer(theme);
        browser.open(&report.page());
        assert_eq!(unreadable(&mut browser), Vec::<String>::new(), "{theme}");
        let body = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        contrast(color(&body).0, [1.0; 3])
    });
    assert!(
        backgrounds[0] < 1.5 && backgrounds[1] > 10.0,
        "contrast of the page to white, light and dark: {backgrounds:?}"
    );
}

#[rstest]
#[case::passed(fixture::passed())]
#[case::failed(fixture::failed())]
#[case::interrupted(fixture::interrupted())]
fn every_link_has_a_visible_target(#[case] record: Record) {
    let (report, mut browser) = (Report::from_record(record), Browser::start());
    browser.open(&report.page());
    assert_eq!(dead_links(&mut browser), Vec::<String>::new());
    assert!(browser.evaluate("document.querySelectorAll('nav a[href^=\"#\"]').length").as_u64() >= Some(5));
}

/// The page may be sent without the other files of the report. Browsers expand a log that a link leads into.
#[rstest]
#[case::passed(fixture::passed())]
#[case::failed(fixture::failed())]
#[case::interrupted(fixture::interrupted())]
fn the_page_alone_has_the_log_of_each_job(#[case] record: Record) {
    let (report, mut browser) = (Report::from_record(record), Browser::start());
    let elsewhere = tempfile::tempdir().unwrap();
    let page = elsewhere.path().join("report.html");
    std::fs::copy(report.page(), &page).unwrap();
    browser.open(&page);
    let links = "[...document.querySelectorAll('.job a[href^=\"#log-\"]')]";
    let count = browser.evaluate(&format!("{links}.length")).as_u64().unwrap();
    let ran = report.record.pipelines.iter().flat_map(|it| &it.jobs).filter(|job| job.attempts > 0);
    assert_eq!(count, ran.count() as u64);
    for number in 0..count {
        browser.evaluate(&format!("{links}[{number}].click()"));
        let text = browser.evaluate("document.querySelector(':target').innerText");
        assert!(text.as_str().unwrap().contains("$ make all"), "{text}");
    }
}

#[rstest]
#[case::passed(fixture::passed())]
#[case::failed(fixture::failed())]
#[case::interrupted(fixture::interrupted())]
fn the_page_is_readable_without_scripts(#[case] record: Record) {
    let (report, mut browser) = (Report::from_record(record), Browser::start());
    let text = text_without_scripts(&mut browser, &report.page());
    let Record { steps, pipelines, checks, .. } = &report.record;
    let jobs = pipelines.iter().flat_map(|it| &it.jobs).map(|it| &it.name);
    for name in steps.iter().map(|it| &it.name).chain(checks.iter().map(|it| &it.name)).chain(jobs) {
        assert!(text.contains(name.as_str()), "{name}: {text}");
    }
    let failures = checks.iter().filter_map(|it| it.failure.as_ref());
    for sentence in failures.flat_map(|it| [&it.expected, &it.cause, &it.fix]) {
        assert!(text.contains(sentence.as_str()), "{sentence}: {text}");
    }
}
