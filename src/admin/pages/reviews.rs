//! Reviews of what contractors may see, and their sign-off.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::super::guard::{Entrance, Fault, See, rights};
use super::{Shell, html};

pub fn routes() -> Router<Entrance> {
    Router::new().route("/reviews", get(page))
}

#[derive(Template)]
#[template(path = "reviews.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
}

async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    html(&Page { shell: Shell::new(&see.house, &see.who, "/reviews") })
}
