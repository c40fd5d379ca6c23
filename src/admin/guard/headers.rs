//! The last word on each response.

use askama::Template;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;

use super::super::assets;
use super::fault::Told;

/// Nothing runs, loads or is sent but by our own files; nobody frames us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "fault.html", config = ".askama.toml")]
struct FaultPage<'a> {
    title: &'a str,
    detail: &'a str,
    status: u16,
    assets: &'a assets::Links,
}

/// Shows faults in the form that was asked for, and adds the headers that each response has.
pub async fn dress(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_program = path.starts_with("/api/");
    let is_part = request.headers().contains_key("hx-request");
    let back = match request.method() {
        &Method::GET => request.uri().path_and_query().map(|path| path.as_str().to_owned()),
        _ => None,
    };
    let mut response = next.run(request).await;
    // What the router itself refuses.
    let refused = match response.status() {
        StatusCode::NOT_FOUND if !response.headers().contains_key(CONTENT_TYPE) => {
            Some(("Not there", "There is no such page."))
        }
        StatusCode::METHOD_NOT_ALLOWED if response.headers().contains_key(ALLOW) => {
            Some(("Not with this method", "What changes something is a POST; pages are for GET."))
        }
        // A page of ours says itself what is wrong with its form.
        StatusCode::BAD_REQUEST if !is_page(&response) => {
            Some(("Not understood", "The address or the form has a field that is not what it should be."))
        }
        _ => None,
    };
    let told = response.extensions_mut().remove::<Told>().or_else(|| {
        let (title, detail) = refused?;
        Some(Told { title, detail: detail.to_owned(), signed_out: false })
    });
    if let Some(told) = told {
        response = show(&told, response, is_program, is_part, back);
    }
    add_headers(&mut response);
    response
}

fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.starts_with(b"text/html")
}

fn show(told: &Told, response: Response, is_program: bool, is_part: bool, back: Option<String>) -> Response {
    let status = response.status();
    let mut shown = if is_program {
        let body = json!({
            "type": "about:blank", "title": told.title, "status": status.as_u16(), "detail": told.detail,
        });
        (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    } else if told.signed_out && is_part {
        (status, [(HeaderName::from_static("hx-redirect"), "/sign-in")]).into_response()
    } else if told.signed_out {
        let to = match back.filter(|back| back != "/") {
            Some(back) => {
                let back = percent_encoding::utf8_percent_encode(&back, percent_encoding::NON_ALPHANUMERIC);
                format!("/sign-in?back={back}")
            }
            None => "/sign-in".to_owned(),
        };
        Redirect::to(&to).into_response()
    } else {
        let page = FaultPage {
            title: told.title,
            detail: &told.detail,
            status: status.as_u16(),
            assets: assets::links(),
        };
        (status, axum::response::Html(page.render().unwrap_or_default())).into_response()
    };
    for name in [ALLOW, http::header::RETRY_AFTER] {
        if let Some(value) = response.headers().get(&name) {
            shown.headers_mut().insert(name, value.clone());
        }
    }
    shown
}

fn add_headers(response: &mut Response) {
    let headers = response.headers_mut();
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
