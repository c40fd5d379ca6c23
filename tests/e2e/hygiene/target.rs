//! The request line: method, target and version (RFC 9112, section 3; RFC 9110, sections 4 and 9).

use super::{STOLEN, get, house, play, post, refused, served};

const NO: &str = "400 bad-request, open";
const SHUT: &str = "400 bad-request, closed";
const BARE: &str = "400 empty, closed";
const NONE: &str = "404 not-found, open";

fn target(target: &str) -> String {
    get("").replace("/orders/1", target)
}

fn method(method: &str) -> String {
    get("").replace("GET", method)
}

#[tokio::test]
async fn methods_are_those_of_the_route() {
    let house = house().await;
    let other = "405 method-not-allowed, open";
    play(
        &house,
        vec![
            refused("TRACE", method("TRACE"), other),
            refused("OPTIONS", method("OPTIONS"), other),
            refused("an unknown method", method("BREW"), other),
            refused("a method in lower case", method("get"), other),
            refused("a method with all that a token may have", method("!#$%&'*+-.^_`|~"), other),
            refused("PROPFIND", method("PROPFIND"), other),
            refused("a method with a slash", method("GE/T"), BARE),
            refused("no method", method(""), BARE),
            refused("two spaces behind the method", method("GET "), BARE),
            refused("a tab behind the method", get("").replace("GET ", "GET\t"), BARE),
            refused(
                "CONNECT to an authority",
                method("CONNECT").replace("/orders/1", "localhost:443") + STOLEN,
                SHUT,
            ),
            refused("CONNECT to a path", method("CONNECT") + STOLEN, SHUT),
            refused("OPTIONS for the server", method("OPTIONS").replace("/orders/1", "*") + STOLEN, SHUT),
            refused("GET for the server", target("*") + STOLEN, SHUT),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn versions_are_1_0_and_1_1() {
    let house = house().await;
    let seen = "GET /orders/1";
    let version = |version: &str| get("").replace("HTTP/1.1", version) + STOLEN;
    let chunked = post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0");
    play(
        &house,
        vec![
            served("HTTP/1.0", version("HTTP/1.0"), "200, closed", seen),
            served("HTTP/1.0 without a host", "GET /orders/1 HTTP/1.0\r\n\r\n", "200, closed", seen),
            served(
                "HTTP/1.0, kept open",
                get("Connection: keep-alive\r\n").replace("HTTP/1.1", "HTTP/1.0"),
                "200, open",
                seen,
            ),
            refused("HTTP/1.0 with chunks", chunked + STOLEN, BARE),
            refused("HTTP/0.9", "GET /orders/1\r\n", BARE),
            refused("HTTP/1.2", version("HTTP/1.2"), BARE),
            refused("HTTP/2.0 in a request line", version("HTTP/2.0"), BARE),
            refused("HTTP/1.1 in lower case", version("http/1.1"), BARE),
            refused("HTTP/1.10", version("HTTP/1.10"), BARE),
            refused("a version with a space before it", version(" HTTP/1.1"), BARE),
            refused("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "closed"),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn a_path_is_read_once_and_written_once() {
    let house = house().await;
    let long = format!("/files/{}", "x".repeat(8200));
    play(
        &house,
        vec![
            served("an escape that needs none", target("/%6frders/%31"), "200, open", "GET /orders/1"),
            served("an escaped space", target("/files/a%20b"), "200, open", "GET /files/a%20b"),
            served("an escape in lower case", target("/files/%c3%a9"), "200, open", "GET /files/%C3%A9"),
            served(
                "a character that is not escaped",
                target("/files/\u{c3}\u{a9}"),
                "200, open",
                "GET /files/%C3%A9",
            ),
            served("double encoding", target("/files/%252f..%252f"), "200, open", "GET /files/%252f..%252f"),
            served(
                "double encoding of a dot",
                target("/files/%252e%252e"),
                "200, open",
                "GET /files/%252e%252e",
            ),
            served("path parameters", target("/files/a;b=c"), "200, open", "GET /files/a%3Bb%3Dc"),
            served("dots and a path parameter", target("/files/..;x"), "200, open", "GET /files/..%3Bx"),
            served(
                "full-width characters",
                target("/files/\u{ef}\u{bc}\u{8f}\u{ef}\u{bc}\u{8e}"),
                "200, open",
                "GET /files/%EF%BC%8F%EF%BC%8E",
            ),
            served("three dots", target("/files/..."), "200, open", "GET /files/..."),
            served("an escaped question mark", target("/files/a%3fq=1"), "200, open", "GET /files/a%3Fq%3D1"),
            served("an escaped hash", target("/files/a%23b"), "200, open", "GET /files/a%23b"),
            served("an escaped at sign", target("/files/%40other"), "200, open", "GET /files/%40other"),
            refused("double encoding where the rule wants a number", target("/orders/%2531"), NONE),
            refused("a path parameter where the rule wants a number", target("/orders/1;x=y"), NONE),
            refused("an encoded slash", target("/files/a%2fb"), NO),
            refused("an encoded slash in capitals", target("/files/a%2Fb"), NO),
            refused("a backslash", target("/files/a\\b"), NO),
            refused("an encoded backslash", target("/files/a%5cb"), NO),
            refused("dot segments", target("/files/../orders/1"), NO),
            refused("a dot segment", target("/./orders/1"), NO),
            refused("dot segments at the end", target("/orders/.."), NO),
            refused("half encoded dots", target("/files/.%2e"), NO),
            refused("encoded dots", target("/files/%2E%2e"), NO),
            refused("two slashes", target("//orders/1"), NO),
            refused("two slashes inside", target("/orders//1"), NO),
            refused("a slash at the end", target("/orders/1/"), NO),
            refused("a NUL", target("/files/a%00b"), NO),
            refused("header injection", target("/files/a%0d%0aX-Injected:%20PLANTED"), NO),
            refused("an encoded LF", target("/files/a%0ab"), NO),
            refused("an encoded DEL", target("/files/a%7fb"), NO),
            refused("an encoded control of two bytes", target("/files/a%c2%85b"), NO),
            refused("overlong UTF-8", target("/files/%c0%af"), NO),
            refused("overlong dots", target("/files/%c0%ae%c0%ae"), NO),
            refused("a byte that is not UTF-8", target("/files/%ff"), NO),
            refused("half a surrogate pair", target("/files/%ed%a0%80"), NO),
            refused("a bad escape", target("/files/a%zz"), NO),
            refused("an escape that is cut off", target("/files/a%2"), NO),
            refused("an escape of IIS", target("/files/a%u002f"), NO),
            refused("a bare byte that is not UTF-8", target("/files/\u{ff}"), BARE),
            refused("a bare NUL", target("/files/a\0b"), BARE),
            refused("a bare control character", target("/files/a\u{1}b"), BARE),
            refused("a space", target("/files/a b"), BARE),
            refused("a fragment", target("/orders/1#/customers"), SHUT),
            refused("a fragment in the query", target("/files/a?q=1#r"), SHUT),
            refused("no target", target(""), BARE),
            refused("no slash before the path", target("orders/1"), BARE),
            refused("no path", target("?q=1"), BARE),
            refused("a target over the limit", target(&long), "414 uri-too-long, open"),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn a_query_is_listed_parameters_each_once() {
    let house = house().await;
    let query = |query: &str| target(&format!("/files/a{query}"));
    let other = "400 parameter-not-permitted, open";
    play(
        &house,
        vec![
            served("parameters", query("?q=1&r=2"), "200, open", "GET /files/a?q=1&r=2"),
            served("an empty query", query("?"), "200, open", "GET /files/a"),
            served("empty pairs", query("?&&q=1&"), "200, open", "GET /files/a?q=1"),
            served("a name without a value", query("?q"), "200, open", "GET /files/a?q="),
            served("an escaped name", query("?%71=1"), "200, open", "GET /files/a?q=1"),
            served("plus is a space", query("?q=a+b"), "200, open", "GET /files/a?q=a%20b"),
            served("an escaped plus is a plus", query("?q=a%2bb"), "200, open", "GET /files/a?q=a%2Bb"),
            served("an equals sign in a value", query("?q=a=b"), "200, open", "GET /files/a?q=a%3Db"),
            served(
                "an escaped ampersand",
                query("?q=a%26admin=1"),
                "200, open",
                "GET /files/a?q=a%26admin%3D1",
            ),
            served("double encoding", query("?q=%2526r%253d1"), "200, open", "GET /files/a?q=%2526r%253d1"),
            served("a second question mark", query("?q=1?r=2"), "200, open", "GET /files/a?q=1%3Fr%3D2"),
            served("a semicolon is no separator", query("?q=1;r=2"), "200, open", "GET /files/a?q=1%3Br%3D2"),
            served("a path in a value", query("?q=../../etc"), "200, open", "GET /files/a?q=..%2F..%2Fetc"),
            served(
                "an address in a value",
                query("?q=https://other/"),
                "200, open",
                "GET /files/a?q=https%3A%2F%2Fother%2F",
            ),
            refused("a parameter twice", query("?q=1&q=1"), NO),
            refused("a parameter twice, once escaped", query("?q=1&%71=2"), NO),
            refused("a name twice, without values", query("?q&q"), NO),
            refused("an empty name", query("?=1"), other),
            refused("a name in capitals", query("?Q=1"), other),
            refused("a name with brackets", query("?q[]=1"), other),
            refused("a name with a space", query("?q+=1"), other),
            refused("a name with a NUL", query("?q%00=1"), NO),
            refused("an escaped ampersand in a name", query("?q%26r=1"), other),
            refused("header injection", query("?q=a%0d%0aX-Injected:%20PLANTED"), NO),
            refused("overlong UTF-8", query("?q=%c0%af"), NO),
            refused("a bad escape", query("?q=%"), NO),
        ],
    )
    .await;
    house.assert_clean();
}
