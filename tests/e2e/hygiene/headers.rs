//! Fields that ask for something else than the rule says: they are not heard, and go nowhere.

use super::{get, house, play, post, refused, served};
use crate::support::wire::latin1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SEEN: &str = "GET /orders/1";

/// Each of these is served as if it were not there.
const IGNORED: [&str; 51] = [
    // Who the other end says that it is, or that somebody in front says it is.
    "Forwarded: for=PLANTED;host=PLANTED;proto=http",
    "X-Forwarded-For: 127.0.0.1, PLANTED",
    "X-Forwarded-Host: PLANTED",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Prefix: /PLANTED",
    "X-Forwarded-Client-Cert: Hash=PLANTED;URI=spiffe://helpdesk.example/gateway",
    "X-Real-IP: PLANTED",
    "X-Client-IP: PLANTED",
    "True-Client-IP: PLANTED",
    "CF-Connecting-IP: PLANTED",
    "Client-Cert: :UExBTlRFRA==:",
    "Client-Cert-Chain: :UExBTlRFRA==:",
    "X-Client-Cert: PLANTED",
    "X-SSL-Client-Cert: PLANTED",
    "X-SSL-Client-S-DN: CN=PLANTED",
    "X-SSL-Client-Verify: SUCCESS",
    "SSL-Client-Verify: SUCCESS",
    "X-ARR-ClientCert: PLANTED",
    "X-User: PLANTED",
    "X-Remote-User: PLANTED",
    "Remote-User: PLANTED",
    "X-Authenticated-User: PLANTED",
    "From: PLANTED@example.com",
    "Proxy-Authorization: Basic PLANTED",
    "Cookie: session=PLANTED",
    "Via: 1.1 PLANTED",
    "Fieldgate-Request-Id: PLANTED",
    "Fieldgate-Disclosure-Id: PLANTED",
    // Names with underscores, as CGI would read them.
    "X_Forwarded_For: PLANTED",
    "Remote_User: PLANTED",
    "Content_Length: 5",
    "Transfer_Encoding: chunked",
    // Another method or target than the request line says.
    "X-HTTP-Method-Override: DELETE",
    "X-HTTP-Method: DELETE",
    "X-Method-Override: DELETE",
    "X-Original-URL: /customers/PLANTED",
    "X-Rewrite-URL: /customers/PLANTED",
    "X-Original-Host: PLANTED",
    // Other parts or forms of the answer, or none.
    "Range: bytes=0-3",
    "If-Range: \"PLANTED\"\r\nRange: bytes=0-3",
    "If-None-Match: *",
    "If-Match: \"PLANTED\"",
    "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
    "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
    "Accept-Encoding: gzip, br, zstd",
    "Prefer: return=minimal",
    // Another protocol.
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: UExBTlRFRA==",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "TE: trailers, deflate\r\nTrailer: X-Trailer",
    "Max-Forwards: 0",
];

#[tokio::test]
async fn fields_that_the_gateway_does_not_know_change_nothing() {
    let house = house().await;
    let cases = IGNORED.map(|line| served(line, get(&format!("{line}\r\n")), "200, open", SEEN));
    play(&house, cases.into()).await;
    let plain = exact(&house, &get("Connection: close\r\n")).await;
    for line in IGNORED {
        let answer = exact(&house, &get(&format!("{line}\r\nConnection: close\r\n"))).await;
        assert_eq!(answer, plain, "{line}");
    }
    let all = IGNORED.join("\r\n") + "\r\n";
    play(&house, vec![served("all of them", get(&all), "200, open", SEEN)]).await;
    house.assert_clean();
}

/// The whole answer but what differs from one request to the next.
async fn exact(house: &crate::support::House, sent: &str) -> String {
    let mut stream = house.parcelco().raw().await.unwrap();
    stream.write_all(&latin1(sent)).await.unwrap();
    let mut answer = Vec::new();
    // Behind an offer to upgrade, hyper ends the connection without saying so to TLS.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let changes = |line: &&str| {
        !["date: ", "fieldgate-disclosure-id: ", "ratelimit: "].iter().any(|name| line.starts_with(name))
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().filter(changes).collect();
    lines.sort_unstable();
    format!("{}\n\n{body}", lines.join("\n"))
}

#[tokio::test]
async fn a_connection_ends_when_it_is_asked_to_and_nothing_else_is_dropped_for_it() {
    let house = house().await;
    play(
        &house,
        vec![
            served("close", get("Connection: close\r\n"), "200, closed", SEEN),
            served(
                "close and a name",
                get("Connection: close, X-User\r\nX-User: PLANTED\r\n"),
                "200, closed",
                SEEN,
            ),
            served(
                "keep-alive behind close",
                get("Connection: close\r\nConnection: keep-alive\r\n"),
                "200, closed",
                SEEN,
            ),
            served(
                "the host named as a hop's own",
                get("Connection: Host, Authorization\r\n"),
                "200, open",
                SEEN,
            ),
            refused(
                "a key that is named as a hop's own still counts",
                get("Connection: Authorization\r\nAuthorization: Bearer PLANTED\r\n"),
                "401 bad-credential, open",
            ),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn only_100_continue_can_be_expected_and_a_refused_request_is_not_asked_for_its_body() {
    let house = house().await;
    let note = "{\"note\":\"x\"}";
    let waiting = "Expect: 100-continue\r\nContent-Length: 12\r\n";
    let seen = "POST /orders/1/notes";
    play(
        &house,
        vec![
            served("with its body", post(waiting, note), "100, 200, open", seen),
            served("in capitals", post(&waiting.replace("c", "C"), note), "100, 200, open", seen),
            served("without a body", get("Expect: 100-continue\r\n"), "200, open", SEEN),
            refused(
                "a refused request",
                post(waiting, "").replace("/1/notes", "/1/none"),
                "404 not-found, closed",
            ),
            refused(
                "a body that is too large",
                post(&waiting.replace("12", "9999999"), ""),
                "413 content-too-large, closed",
            ),
            refused("a body on GET", get(waiting), "400 bad-request, closed"),
            refused("another expectation", get("Expect: the-unexpected\r\n"), "417 expectation-failed, open"),
            refused(
                "one more",
                post(&waiting.replace("continue", "continue, x"), ""),
                "417 expectation-failed, closed",
            ),
            refused(
                "one more line",
                get("Expect: 100-continue\r\nExpect: x\r\n"),
                "417 expectation-failed, open",
            ),
            refused("an empty one", get("Expect:\r\n"), "417 expectation-failed, open"),
            served(
                "HTTP/1.0 has no 100",
                post(waiting, note).replace("HTTP/1.1", "HTTP/1.0"),
                "200, closed",
                seen,
            ),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let house = house().await;
    let get = get("Connection: close\r\n");
    play(&house, vec![served("HEAD", get.replace("GET", "HEAD"), "200, closed", SEEN)]).await;
    for target in ["/orders/1", "/orders/7", "/customers", "/orders/1?x=y"] {
        let get = get.replace("/orders/1", target);
        let (head, got) = (exact(&house, &get.replace("GET", "HEAD")).await, exact(&house, &get).await);
        let (got, body) = got.split_once("\n\n").unwrap();
        assert_eq!(head, format!("{got}\n\n"), "{target}");
        assert!(got.contains(&format!("content-length: {}", body.len())), "{got}");
    }
    house.assert_clean();
}
