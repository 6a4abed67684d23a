//! Tests that parse the page like a browser.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::contrast::contrast;
use super::*;
use crate::record::Record;
use crate::report::check::fixture as check_fixture;
use crate::report::check::html::page as checks_page;
use crate::report::run::{fixture, log};

/// Elements that HTML never closes.
const VOID: [&str; 4] = ["link", "meta", "br", "input"];

struct Element {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    fn from_tag(tag: &BytesStart<'_>) -> Self {
        let attribute =
            |it: quick_xml::events::attributes::Attribute<'_>| (it.key.as_ref().to_owned(), it.value.to_string());
        let attributes = tag.html_attributes().map(|it| attribute(it.unwrap())).collect();
        Self { name: tag.name().as_ref().to_owned(), attributes }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

/// All elements of a page. Verifies that every element is closed.
fn elements(page: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(page);
    reader.config_mut().check_end_names = false;
    let (mut all, mut open) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                let element = Element::from_tag(&tag);
                if !VOID.contains(&&*element.name) {
                    open.push(element.name.clone());
                }
                all.push(element);
            }
            Event::End(tag) => assert_eq!(open.pop().as_deref(), Some(tag.name().as_ref())),
            Event::Empty(tag) => panic!("HTML has no empty elements: {:?}", tag.name()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, Vec::<String>::new());
    all
}

/// The page of a run whose jobs have logs.
fn page(record: &Record) -> String {
    let paths = record.pipelines.iter().flat_map(|it| &it.jobs).filter_map(|job| job.log.clone());
    super::page(record, &paths.map(|path| (path, log::parse(fixture::LOG))).collect())
}

/// The pages of runs, and those of checks of a cluster, which have the same parts.
fn all_pages() -> [String; 6] {
    [
        page(&fixture::passed()),
        page(&fixture::failed()),
        page(&fixture::interrupted()),
        page(&Record::default()),
        checks_page(&check_fixture::passed()),
        checks_page(&check_fixture::failed()),
    ]
}

#[test]
fn pages_are_well_formed_and_load_nothing() {
    for page in all_pages() {
        for element in elements(&page) {
            let name = &*element.name;
            assert!(!["script", "img", "iframe", "object", "embed", "base", "form"].contains(&name), "{name}");
            for (key, value) in &element.attributes {
                assert!(!key.starts_with("on") && key != "src", "{key}={value}");
                let is_link = name == "a" && key == "href";
                assert!(is_link || !value.starts_with("http"), "{name} {key}={value}");
            }
            if name == "link" {
                assert!(element.get("href").unwrap().starts_with("data:image/svg+xml,"));
            }
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains(['<', '&']));
    }
}

#[test]
fn every_link_has_a_target_and_ids_are_unique() {
    for page in all_pages() {
        let elements = elements(&page);
        let mut ids: Vec<_> = elements.iter().filter_map(|it| it.get("id")).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
        let links = elements.iter().flat_map(|it| [it.get("href"), it.get("aria-labelledby").map(|_| "")]).flatten();
        for target in links.filter_map(|href| href.strip_prefix('#')) {
            assert!(ids.contains(&target), "#{target}");
        }
        for label in elements.iter().filter_map(|it| it.get("aria-labelledby")) {
            assert!(ids.contains(&label), "{label}");
        }
    }
}

#[test]
fn scrollable_elements_are_focusable_and_images_have_labels() {
    for element in all_pages().iter().flat_map(|page| elements(page)) {
        match &*element.name {
            "pre" => assert_eq!(element.get("tabindex"), Some("0")),
            "svg" => assert!(element.get("aria-hidden") == Some("true") || element.get("aria-label").is_some()),
            "th" => assert!(element.get("scope").is_some()),
            "html" => assert_eq!(element.get("lang"), Some("en")),
            _ => {}
        }
    }
}

#[test]
fn headings_never_skip_a_level() {
    for page in all_pages() {
        let mut last = 0;
        let headings = elements(&page).into_iter().filter(|it| it.name.len() == 2 && it.name.starts_with('h'));
        for heading in headings.filter(|it| it.name != "hr") {
            let level: u8 = heading.name[1..].parse().unwrap();
            assert!(level <= last + 1, "h{level} after h{last}");
            last = level;
        }
    }
}

#[test]
fn texts_are_escaped() {
    let page = page(&fixture::failed());
    for markup in ["<img", "<script", "</script", "<since>", "<b>", "<fast>", "\x1b", "\0", "[31;1m"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;/script&gt;&lt;/style&gt;]]&gt; &lt;img src=x onerror=alert(1)&gt; &amp; |"));
    assert!(page.contains("<span class=\"red\">error</span>"));
}

#[test]
fn only_failures_are_expanded() {
    let is_open =
        |it: &&Element| it.name == "details" && it.get("open").is_some() && it.get("class") != Some("section");
    let open = |page: &str| elements(page).iter().filter(is_open).count();
    assert_eq!((open(&page(&fixture::passed())), open(&page(&fixture::failed()))), (0, 3));
}

/// Includes passed jobs. The page has the logs, so that it can be sent without the other files.
#[test]
fn every_job_that_ran_links_to_its_log() {
    for record in [fixture::passed(), fixture::failed(), fixture::interrupted()] {
        let elements = elements(&page(&record));
        assert!(elements.iter().filter_map(|it| it.get("href")).all(|it| it.starts_with(['#', 'd', 'h'])));
        let mut logs: Vec<_> =
            elements.iter().filter_map(|it| it.get("href")?.strip_prefix("#log-")).map(str::to_owned).collect();
        logs.sort_unstable();
        logs.dedup();
        let ran = record.pipelines.iter().flat_map(|pipeline| &pipeline.jobs).filter(|job| job.attempts > 0).count();
        assert_eq!((logs.len(), ran > 0), (ran, true), "{logs:?}");
    }
}

#[test]
fn the_cleanup_is_in_the_timeline() {
    let page = page(&fixture::passed());
    assert!(page.contains("<h3>takedown</h3>") && page.contains("cluster: passed, 10.8 s, from 3 min 02 s"), "{page}");
}

#[test]
fn only_pipelines_with_explicit_needs_have_lines() {
    let lines = |record: &Record| page(record).matches("<svg class=\"lines\"").count();
    assert_eq!((lines(&fixture::passed()), lines(&fixture::failed())), (1, 1));
}

/// The colors of a theme by name.
fn colors(theme: &str) -> Vec<(String, [f64; 3])> {
    let declarations = theme.lines().filter_map(|line| line.trim().strip_prefix("--")?.strip_suffix(';'));
    let hexes = declarations.filter_map(|it| it.split_once(": #"));
    hexes
        .map(|(name, hex)| {
            let part = |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            (name.to_owned(), [part(0), part(2), part(4)])
        })
        .collect()
}

#[test]
fn every_text_has_enough_contrast_in_both_themes() {
    let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
    let dark = dark.split_once("\n}\n").unwrap().0;
    for theme in [light, dark] {
        let colors = colors(theme);
        let get = |name: &str| colors.iter().find(|(it, _)| it == name).unwrap_or_else(|| panic!("--{name}")).1;
        let kinds = ["passed", "failed", "warned", "manual", "interrupted", "not-run"];
        let tints = kinds.map(|kind| format!("{kind}-tint"));
        let mut pairs = Vec::new();
        for (kind, tint) in kinds.iter().zip(&tints) {
            pairs.extend([
                (*kind, "surface"),
                (*kind, "page"),
                (*kind, tint),
                ("text", tint),
                ("muted", tint),
                ("link", tint),
            ]);
        }
        for ink in ["text", "muted", "link"] {
            pairs.extend([(ink, "surface"), (ink, "page"), (ink, "sunken")]);
        }
        // The colors of logs.
        pairs.extend(["failed", "passed", "warned", "magenta"].map(|ink| (ink, "sunken")));
        for (ink, paper) in pairs {
            let ratio = contrast(get(ink), get(paper));
            assert!(ratio >= 4.5, "{ink} on {paper}: {ratio:.2}");
        }
    }
}
