//! stub
#[derive(Debug)]
pub struct Diagnosis {
    pub cause: String,
    pub next_step: String,
}
pub(super) fn diagnose(_log: &str) -> Option<Diagnosis> {
    None
}
