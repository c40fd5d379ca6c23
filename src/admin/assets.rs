//! The files that pages need, out of the binary.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::guard::{Entrance, Fault};

/// All style sheets, as one.
const STYLE: &str = concat!(
    include_str!("assets/css/base.css"),
    include_str!("assets/css/charts.css"),
    include_str!("assets/css/overview.css"),
    include_str!("assets/css/contractors.css"),
    include_str!("assets/css/disclosures.css"),
    include_str!("assets/css/subject.css"),
    include_str!("assets/css/alerts.css"),
    include_str!("assets/css/reviews.css"),
    include_str!("assets/css/rules.css"),
    include_str!("assets/css/ledger.css"),
);
const FILES: [(&str, &str, &str); 4] = [
    ("style.css", "text/css; charset=utf-8", STYLE),
    // htmx 2.0.11, Zero-Clause BSD.
    ("htmx.js", "text/javascript; charset=utf-8", include_str!("assets/htmx.min.js")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("assets/app.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// Where the files are: their names change with their content, so that browsers keep them.
pub struct Links {
    pub style: String,
    pub htmx: String,
    pub app: String,
    pub icon: String,
}

pub fn links() -> &'static Links {
    static LINKS: OnceLock<Links> = OnceLock::new();
    LINKS.get_or_init(|| {
        let link = |at: usize| {
            let (name, _, text) = FILES[at];
            format!("/assets/{name}?{}", version(text))
        };
        Links { style: link(0), htmx: link(1), app: link(2), icon: link(3) }
    })
}

fn version(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

pub fn routes() -> Router<Entrance> {
    Router::new().route("/assets/{name}", get(file))
}

/// They hold nothing of anybody, so that who is not signed in gets them too.
async fn file(Path(name): Path<String>) -> Result<Response, Fault> {
    let (_, kind, text) =
        FILES.into_iter().find(|(known, ..)| *known == name).ok_or(Fault::Missing("file"))?;
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, text).into_response())
}
