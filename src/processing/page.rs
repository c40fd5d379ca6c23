//! The record as a page to print. Askama escapes every value, because the template is HTML.

use askama::Template;

use super::Record;

/// The page could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the record of processing activities could not be written as a page")]
pub struct PageError(#[from] askama::Error);

#[derive(Template)]
#[template(path = "processing.html", config = ".askama.toml")]
struct Page<'a> {
    record: &'a Record,
}

/// One page without script or anything from elsewhere.
///
/// # Errors
/// Where the template fails.
pub fn html(record: &Record) -> Result<String, PageError> {
    Ok(Page { record }.render()?)
}
