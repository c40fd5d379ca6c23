//! What each contractor can see, and what it did see.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::super::guard::{Entrance, Fault, See, rights};
use super::{Shell, html};

pub fn routes() -> Router<Entrance> {
    Router::new().route("/contractors", get(page))
}

#[derive(Template)]
#[template(path = "contractors.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
}

async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    html(&Page { shell: Shell::new(&see.house, &see.who, "/contractors") })
}
