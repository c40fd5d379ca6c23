//! Requests in frames (RFC 9113), and what would become of them as HTTP/1.1.

use super::{data, headers, house, house_with, play, play_http2, refused, request, served, text, whole};
use crate::support::wire::{END_STREAM, fields, frame, kind};

const SEEN: &str = "GET /orders/1";
/// PROTOCOL_ERROR (RFC 9113, section 7).
const RESET: &str = "reset 1, open";
/// The field cannot be decoded.
const GONE: &str = "goaway 1, closed";
const NO: &str = "400 bad-request, open";

fn get_with<'a>(more: &[(&'a str, &'a str)]) -> String {
    whole(request("GET", "/orders/1").into_iter().chain(more.iter().copied()))
}

/// A GET with another value of one pseudo-header field.
fn get_but(name: &str, value: &str) -> String {
    let fields = request("GET", "/orders/1").map(|(own, old)| (own, if own == name { value } else { old }));
    whole(fields)
}

fn get_without(name: &str, more: &[(&str, &str)]) -> String {
    whole(request("GET", "/orders/1").into_iter().filter(|(own, _)| *own != name).chain(more.iter().copied()))
}

fn post(more: &[(&str, &str)], body: &str) -> String {
    let fields = request("POST", "/orders/1/notes").into_iter().chain([("content-type", "application/json")]);
    headers(fields.chain(more.iter().copied()), 0) + &data(body, END_STREAM)
}

#[tokio::test]
async fn fields_that_would_mean_something_else_in_http_1_are_malformed() {
    let house = house().await;
    play_http2(
        &house,
        vec![
            served("a request", get_with(&[]), "200, open", SEEN),
            refused("Transfer-Encoding", get_with(&[("transfer-encoding", "chunked")]), RESET),
            refused("Connection", get_with(&[("connection", "close")]), RESET),
            refused("Keep-Alive", get_with(&[("keep-alive", "timeout=5")]), RESET),
            refused("Proxy-Connection", get_with(&[("proxy-connection", "keep-alive")]), RESET),
            refused("Upgrade", get_with(&[("upgrade", "websocket")]), RESET),
            refused("TE that is not trailers", get_with(&[("te", "gzip")]), RESET),
            served("TE: trailers", get_with(&[("te", "trailers")]), "200, open", SEEN),
            refused("a name in capitals", get_with(&[("X-User", "x")]), GONE),
            refused("an empty name", get_with(&[("", "x")]), GONE),
            refused("a name with a colon", get_with(&[("a:b", "x")]), GONE),
            refused("a name with a space", get_with(&[("a b", "x")]), GONE),
            refused("CRLF in a value", get_with(&[("a", "b\r\nx-injected: PLANTED")]), GONE),
            refused("LF in a value", get_with(&[("a", "b\nc")]), GONE),
            refused("NUL in a value", get_with(&[("a", "b\0c")]), GONE),
            refused("CRLF in a name", get_with(&[("a\r\nb", "c")]), GONE),
            served("high bytes in a value", get_with(&[("a", "caf\u{e9}")]), "200, open", SEEN),
            served(
                "forwarded and identity fields",
                get_with(&[
                    ("x-forwarded-for", "PLANTED"),
                    ("x_user", "PLANTED"),
                    ("client-cert", ":UExBTlRFRA==:"),
                ]),
                "200, open",
                SEEN,
            ),
            served(
                "a method in a field",
                get_with(&[("x-http-method-override", "DELETE")]),
                "200, open",
                SEEN,
            ),
            served("100-continue", get_with(&[("expect", "100-continue")]), "200, open", SEEN),
            served("a range", get_with(&[("range", "bytes=0-3"), ("if-none-match", "*")]), "200, open", SEEN),
            refused("an expectation", get_with(&[("expect", "x")]), "417 expectation-failed, open"),
            refused(
                "more than a hundred fields",
                get_with(&[("a", "b"); 101]),
                "431 request-header-fields-too-large, open",
            ),
            refused("a head over the limit", get_with(&[("a", &"x".repeat(16_300))]), "431 empty, open"),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn pseudo_header_fields_are_there_once_and_first() {
    let house = house().await;
    let first = ("x", "y");
    let late = whole(
        [request("GET", "/orders/1")[0], first]
            .into_iter()
            .chain(request("GET", "/orders/1").into_iter().skip(1)),
    );
    play_http2(
        &house,
        vec![
            refused("one behind a field", late, RESET),
            refused("no method", get_without(":method", &[]), RESET),
            refused("no scheme", get_without(":scheme", &[]), RESET),
            refused("no path", get_without(":path", &[]), RESET),
            refused("the method twice", get_with(&[(":method", "GET")]), RESET),
            refused("the path twice", get_with(&[(":path", "/orders/2")]), RESET),
            refused("the authority twice", get_with(&[(":authority", "localhost")]), RESET),
            refused("an unknown one", get_with(&[(":x", "y")]), GONE),
            refused("a status", get_with(&[(":status", "200")]), RESET),
            refused("an empty path", get_but(":path", ""), RESET),
            refused("a path without a slash", get_but(":path", "orders/1"), RESET),
            refused("a path with a host", get_but(":path", "https://localhost/orders/1"), RESET),
            refused("a path for the server", get_but(":path", "*"), NO),
            refused("a path with a space", get_but(":path", "/orders/1 HTTP/1.1"), RESET),
            refused("a path with CRLF", get_but(":path", "/orders/1\r\nx-injected: PLANTED"), RESET),
            refused("a path with NUL", get_but(":path", "/orders/\0"), RESET),
            refused("a path with dot segments", get_but(":path", "/files/../orders/1"), NO),
            served("a path with a fragment", get_but(":path", "/orders/1#/customers"), "200, open", SEEN),
            refused("another scheme", get_but(":scheme", "http"), "421 misdirected-request, open"),
            refused("a scheme that is not HTTP", get_but(":scheme", "ftp"), "421 misdirected-request, open"),
            refused("a scheme with CRLF", get_but(":scheme", "https\r\n"), RESET),
            refused("a scheme with a host", get_but(":scheme", "https://localhost/customers?"), RESET),
            refused("an empty method", get_but(":method", ""), GONE),
            refused("a method with a space", get_but(":method", "GET /orders/2"), GONE),
            refused("a method in lower case", get_but(":method", "get"), "405 method-not-allowed, open"),
            refused("TRACE", get_but(":method", "TRACE"), "405 method-not-allowed, open"),
            refused("CONNECT", whole([(":method", "CONNECT"), (":authority", "localhost:443")]), NO),
            refused("CONNECT with a path", get_but(":method", "CONNECT"), RESET),
            refused(
                "CONNECT for another protocol",
                whole(request("CONNECT", "/orders/1").into_iter().chain([(":protocol", "websocket")])),
                RESET,
            ),
            refused("another protocol without CONNECT", get_with(&[(":protocol", "websocket")]), RESET),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn the_authority_and_the_host_are_one() {
    let house = house().await;
    play_http2(
        &house,
        vec![
            served("both, and the same", get_with(&[("host", "LOCALHOST:443")]), "200, open", SEEN),
            served(
                "a host and no authority",
                get_without(":authority", &[("host", "localhost")]),
                "200, open",
                SEEN,
            ),
            refused("both, and different", get_with(&[("host", "other")]), NO),
            refused("the same, at another port", get_with(&[("host", "localhost:8443")]), NO),
            refused("neither", get_without(":authority", &[]), NO),
            refused("an empty authority", get_but(":authority", ""), RESET),
            refused("an empty host", get_without(":authority", &[("host", "")]), NO),
            refused(
                "two hosts",
                get_without(":authority", &[("host", "localhost"), ("host", "localhost")]),
                NO,
            ),
            refused("a user", get_but(":authority", "other@localhost"), NO),
            refused("a path in the authority", get_but(":authority", "localhost/customers"), RESET),
            refused("a path in the host", get_without(":authority", &[("host", "localhost/x")]), NO),
            refused("a space in the authority", get_but(":authority", "localhost other"), RESET),
            refused("CRLF in the authority", get_but(":authority", "localhost\r\nx: y"), RESET),
        ],
    )
    .await;
    // Without an authority, the scheme is gone before the gateway could look at it.
    let no_scheme = request("GET", "/orders/1").into_iter().filter(|(name, _)| *name != ":authority");
    let no_scheme = no_scheme.map(|(name, value)| (name, if name == ":scheme" { "http" } else { value }));
    let no_scheme = whole(no_scheme.chain([("host", "localhost")]));
    play_http2(&house, vec![served("another scheme and no authority", no_scheme, "200, open", SEEN)]).await;
    let listed = house_with("hosts = [\"localhost\"]").await;
    play_http2(
        &listed,
        vec![
            served("a listed host", get_but(":authority", "localhost:8443"), "200, open", SEEN),
            refused("another host", get_but(":authority", "other"), "421 misdirected-request, open"),
            refused(
                "another host, and no authority",
                get_without(":authority", &[("host", "other")]),
                "421 misdirected-request, open",
            ),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn a_length_says_what_comes() {
    let house = house().await;
    let note = "{\"note\":\"x\"}";
    let seen = "POST /orders/1/notes";
    let length = |value: &'static str| post(&[("content-length", value)], note);
    let start =
        || request("POST", "/orders/1/notes").into_iter().chain([("content-type", "application/json")]);
    let trailers = text(frame(
        kind::HEADERS,
        END_STREAM | 4,
        1,
        &fields([("x-trailer", "PLANTED"), ("content-length", "1")]),
    ));
    play_http2(
        &house,
        vec![
            served("a length", length("12"), "200, open", seen),
            served("no length", post(&[], note), "200, open", seen),
            refused("a length that is too small", length("5"), RESET),
            refused("a length that is too large", length("50"), RESET),
            refused("a length without a body", get_with(&[("content-length", "5")]), RESET),
            served("a length of 0 without a body", get_with(&[("content-length", "0")]), "200, open", SEEN),
            refused("a length with a sign", length("+12"), RESET),
            refused("a list of one length", length("12, 12"), RESET),
            refused(
                "the same length twice",
                post(&[("content-length", "12"), ("content-length", "12")], note),
                NO,
            ),
            refused("two lengths", post(&[("content-length", "12"), ("content-length", "5")], note), RESET),
            refused(
                "a body on GET",
                headers(request("GET", "/orders/1"), 0)
                    + &data("GET /orders/666 HTTP/1.1\r\nHost: localhost\r\n\r\n", END_STREAM),
                NO,
            ),
            served("trailers", headers(start(), 0) + &data(note, 0) + &trailers, "200, open", seen),
            refused(
                "a request in an HTTP/2 connection",
                "GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "goaway 6, closed",
            ),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn a_protocol_is_agreed_in_the_handshake_and_stays() {
    let house = house().await;
    let frames = format!(
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{}{}",
        text(frame(kind::SETTINGS, 0, 0, b"")),
        get_with(&[])
    );
    play(&house, vec![refused("HTTP/2 where HTTP/1.1 is agreed", frames, "closed")]).await;
    let mut stream = house.parcelco().raw_with(b"h2").await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, super::PROBE.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut heard).await;
    assert!(!heard.starts_with(b"HTTP/") && house.upstream.requests().is_empty(), "{heard:?}");
    house.assert_clean();
}
