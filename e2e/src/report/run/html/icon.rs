//! The icons for results. Each result has its own shape, so that it can be recognized without colors.

use maud::{Markup, html};

use crate::report::run::words::Kind;

/// The CSS class to which the style sheet assigns the colors.
pub(in crate::report) fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Passed => "passed",
        Kind::Failed => "failed",
        Kind::Warned => "warned",
        Kind::Manual => "manual",
        Kind::Interrupted => "interrupted",
        Kind::NotRun => "not-run",
    }
}

/// An icon with a text for screen readers.
pub(in crate::report) fn icon(kind: Kind) -> Markup {
    html! {
        span.icon.(class(kind)) {
            (silent(kind))
            span.aloud { (kind.word()) ": " }
        }
    }
}

/// An icon without a text for screen readers, for use next to a word with the same meaning.
pub(in crate::report) fn silent(kind: Kind) -> Markup {
    html! {
        svg viewBox="0 0 16 16" aria-hidden="true" focusable="false" { use href={ "#icon-" (class(kind)) } {} }
    }
}

pub(in crate::report) fn pill(kind: Kind, word: &str) -> Markup {
    html! { span.pill.(class(kind)) { (silent(kind)) (word) } }
}

/// The definitions of the icons, once for the whole page.
pub(in crate::report) fn symbols() -> Markup {
    html! {
        svg.symbols width="0" height="0" aria-hidden="true" focusable="false" {
            @for kind in Kind::ALL {
                symbol id={ "icon-" (class(kind)) } viewBox="0 0 16 16" {
                    @if kind == Kind::Warned {
                        path.line d="M8 1.9 14.6 13.6H1.4Z" {}
                    } @else {
                        circle.line.dashed[kind == Kind::NotRun] cx="8" cy="8" r="6.6" {}
                    }
                    path.line d=(glyph(kind)) {}
                }
            }
        }
    }
}

fn glyph(kind: Kind) -> &'static str {
    match kind {
        Kind::Passed => "M5 8.3 7.2 10.4 11 5.9",
        Kind::Failed => "M5.7 5.7 10.3 10.3M10.3 5.7 5.7 10.3",
        Kind::Warned => "M8 6V9.2M8 11.4V11.5",
        Kind::Manual => "M6.6 5.3V10.7L10.8 8Z",
        Kind::Interrupted => "M3.6 12.4 12.4 3.6",
        Kind::NotRun => "M5.4 8H10.6",
    }
}

/// The icon in the browser's tab.
pub(in crate::report) fn favicon(kind: Kind) -> String {
    let color = match kind {
        Kind::Passed => "1a7f37",
        Kind::Failed => "cf222e",
        Kind::Warned | Kind::Interrupted => "9a6700",
        Kind::Manual | Kind::NotRun => "59636e",
    };
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='none' stroke='white' \
         stroke-width='1.8' stroke-linecap='round' stroke-linejoin='round'%3E%3Ccircle cx='8' cy='8' r='8' \
         fill='%23{color}' stroke='none'/%3E%3Cpath d='{}'/%3E%3C/svg%3E",
        glyph(kind)
    )
}
