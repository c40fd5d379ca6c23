use std::convert::Infallible;
use std::sync::Mutex;

use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use super::*;

/// What a reader that takes `step` bytes at once makes of `bytes`: which of the first requests are in
/// doubt, how many bytes it hands on, and why it stops.
async fn read(bytes: &[u8], step: usize) -> (Vec<bool>, usize, Option<String>) {
    let (mut stream, doubts) = ReadAlong::new(bytes, 8192);
    let (mut handed_on, mut piece, mut stopped) = (0, vec![0; step], None);
    loop {
        match stream.read(&mut piece).await {
            Ok(0) => break,
            Ok(read) => handed_on += read,
            Err(error) => {
                stopped = Some(error.to_string());
                break;
            }
        }
    }
    let heads = stream.reader.heads + u64::from(matches!(stream.reader.place, Place::Doubted));
    let doubtful = |()| doubts.mark(Request::new(())).extensions().get::<Doubtful>().is_some();
    ((0..heads).map(|_| doubtful(())).collect(), handed_on, stopped)
}

async fn assert_read(bytes: &str, requests: &[bool], stopped_before: Option<&str>) {
    let whole = stopped_before.map_or(bytes.len(), |rest| bytes.find(rest).unwrap());
    for step in [1, 2, 3, 7, 64, 8192] {
        let (doubtful, handed_on, stopped) = read(bytes.as_bytes(), step).await;
        assert_eq!(doubtful, requests, "{step}: {bytes:?}");
        assert_eq!((handed_on, stopped.is_some()), (whole, stopped_before.is_some()), "{step}: {bytes:?}");
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(lines: &str, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{rest}")
}

#[tokio::test]
async fn requests_are_told_apart_however_they_arrive() {
    assert_read(GET, &[false], None).await;
    assert_read(&format!("\r\n{GET}\r\n{GET}"), &[false, false], None).await;
    let length = post("content-LENGTH:\t5 \r\n", "a\nb\r\n");
    assert_read(&format!("{length}{GET}{length}"), &[false, false, false], None).await;
    let chunks =
        post("Transfer-Encoding: Chunked\r\n", "5\r\na\nb\r\n\r\n0C\r\n0123456789ab\r\n0\r\nA: b\r\n\r\n");
    assert_read(&format!("{chunks}{chunks}{GET}"), &[false, false, false], None).await;
}

#[tokio::test]
async fn what_is_in_doubt_and_all_behind_it_is_said_so() {
    for doubtful in [
        GET.replace("\r\n", "\n"),
        GET.replacen("\r\n", "\n", 1),
        GET.replace("\r\n\r\n", "\r\n\n"),
        GET.replace("GET /", "GET /#"),
        format!("\r\n\r\n{GET}"),
        format!("\n{GET}"),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000)),
        post("Content-Length: 1\r\nContent-Length: 1\r\n", "a"),
        post("Content-Length: 0\r\nContent-Length: 0\r\n", ""),
        post("Content-Length: 1, 1\r\n", "a"),
        post("Content-Length: +1\r\n", "a"),
        post("Content-Length:\r\n", ""),
        post("Content-Length: 18446744073709551616\r\n", ""),
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding:\r\n", "0\r\n\r\n"),
    ] {
        assert_read(&doubtful, &[true], None).await;
        let (requests, ..) = read(format!("{GET}{doubtful}{GET}").as_bytes(), 64).await;
        assert_eq!(requests, [false, true], "{doubtful:?}");
    }
    let (mut stream, doubts) = ReadAlong::new("\n".as_bytes(), 8192);
    stream.read_u8().await.unwrap();
    for _ in 0..3 {
        assert!(doubts.mark(Request::new(())).extensions().get::<Doubtful>().is_some());
    }
}

#[tokio::test]
async fn a_body_ends_where_it_stops_to_be_one() {
    for (body, rest) in [
        ("1;a=b\r\nx\r\n0\r\n\r\n", "\nx"),
        ("1 \r\nx\r\n0\r\n\r\n", "\nx"),
        ("0x1\r\nx\r\n0\r\n\r\n", "\nx"),
        ("\r\nx\r\n0\r\n\r\n", "\nx"),
        ("00000000000000001\r\nx\r\n0\r\n\r\n", "\nx"),
        ("1\nx\r\n0\r\n\r\n", "\nx"),
        ("1\r\nxy\r\n0\r\n\r\n", "\n0"),
        ("1\r\nx\n0\r\n\r\n", "\n0"),
        ("1\r\nx\r\n0\n\n", "\n\n"),
        ("1\r\nx\r\n0\r\nA: b\n\r\n", "\n\r\n"),
    ] {
        let request = post("Transfer-Encoding: chunked\r\n", "");
        let (requests, handed_on, stopped) = read(format!("{request}{body}{GET}").as_bytes(), 7).await;
        assert_eq!(requests, [false], "{body:?}");
        assert_eq!(handed_on, request.len() + body.find(rest).unwrap(), "{body:?}");
        assert!(stopped.is_some(), "{body:?}");
    }
}

/// What hyper alone makes of the bytes: for each request whether its body came whole, and whether hyper was
/// content to the end.
async fn by_hyper(bytes: &[u8]) -> (Vec<bool>, bool) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let whole = request.into_body().collect().await.is_ok();
            seen.lock().unwrap().push(whole);
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let stream = TokioIo::new(tokio::io::join(bytes, tokio::io::sink()));
    let result = http1::Builder::new().half_close(true).serve_connection(stream, service).await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (seen, result.is_ok())
}

/// Requests as they should be, and pieces that may get between.
fn conversation() -> impl Strategy<Value = String> {
    let request = prop::sample::select(vec![
        GET.to_owned(),
        post("Transfer-Encoding: gzip, chunked\r\n", "5\r\nGET /\r\n0\r\n\r\n"),
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Content-Length: 5\r\n", "GET /"),
        post("Content-Length: 0\r\n", ""),
        post("Transfer-Encoding: chunked\r\n", "5\r\nGET /\r\n0\r\n\r\n"),
        post(
            "Transfer-Encoding: chunked\r\n",
            "1\r\na\r\n1b\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\nA: b\r\n\r\n",
        ),
    ]);
    let pieces = vec![
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        "0",
        "5",
        ";",
        "#",
        ",",
        ":",
        "A: b\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "0\r\n\r\n",
        "5\r\nGET /\r\n",
        GET,
    ];
    let change = (any::<prop::sample::Index>(), any::<bool>(), prop::sample::select(pieces), 0..4usize);
    (vec(request, 1..4), vec(change, 0..4)).prop_map(|(requests, changes)| {
        let mut text = requests.concat();
        for (place, new_line, piece, gone) in changes {
            let within = place.index(text.len());
            let line = text[within..].find('\n').map_or(text.len(), |end| within + end + 1);
            let (from, gone) = if new_line { (line, 0) } else { (within, gone) };
            text.replace_range(from..text.len().min(from + gone), piece);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever this reader lets pass, hyper sees the same requests: none inside a body, none swallowed.
    #[test]
    fn hyper_sees_no_request_where_this_reader_sees_none(text in conversation()) {
        let first = First::default();
        let mut reader = Reader::new(8192, Arc::clone(&first));
        let broken = reader.read(text.as_bytes()).is_err();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (seen, content) = runtime.block_on(by_hyper(text.as_bytes()));
        // From the first doubt on, nothing is served; behind a body that breaks, nothing is read.
        let sure = first.get().map_or(reader.heads, |(number, _)| *number) as usize;
        let before = seen.iter().take(sure).count();
        prop_assert!(first.get().is_some() || broken || seen.len() <= sure, "{seen:?}, {sure} of {text:?}");
        // hyper stops by itself behind a request of HTTP/1.0.
        let unspoilt = content && !text.contains("HTTP/1.0") && !broken && seen.iter().take(sure).all(|whole| *whole);
        prop_assert!(!unspoilt || before == sure, "{seen:?}, {sure} of {text:?}");
    }
}
