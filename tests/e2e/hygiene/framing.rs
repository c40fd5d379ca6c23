//! Where a message begins and ends (RFC 9112, sections 2, 6 and 7).

use super::{NOTES, STOLEN, get, house, play, post, refused, served};

const NOTE: &str = "{\"note\":\"x\"}";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const CHUNKS: &str = "c\r\n{\"note\":\"x\"}\r\n0\r\n\r\n";
const SEEN: &str = "POST /orders/1/notes";
const NO: &str = "400 bad-request, closed";
/// The HTTP layer's own.
const BARE: &str = "400 empty, closed";

#[tokio::test]
async fn what_two_servers_could_take_apart_in_two_ways_is_not_served() {
    let house = house().await;
    let both = |first: &str, second: &str, rest: &str| post(&format!("{first}{second}"), rest);
    let length = |n: usize| format!("Content-Length: {n}\r\n");
    let hidden = format!("0\r\n\r\n{STOLEN}");
    let coded = |value: &str| post(&format!("Transfer-Encoding:{value}\r\n"), &format!("{CHUNKS}{STOLEN}"));
    let after = |value: &str| post(&format!("Content-Length:{value}\r\n"), &format!("{NOTE}{STOLEN}"));
    play(
        &house,
        vec![
            refused("CL.TE", both(&length(hidden.len()), CHUNKED, &hidden), NO),
            refused("CL.TE, the whole body in chunks", both(&length(12), CHUNKED, CHUNKS), NO),
            refused(
                "TE.CL",
                both(CHUNKED, &length(4), &format!("{:x}\r\n{STOLEN}\r\n0\r\n\r\n", STOLEN.len())),
                NO,
            ),
            refused("TE.CL with length 0", both(CHUNKED, &length(0), &hidden), NO),
            refused("CL.TE on GET", get(&format!("{}{CHUNKED}", length(5))) + &hidden, NO),
            refused("chunked twice", coded(" chunked, chunked"), NO),
            refused("chunked in two lines", both(CHUNKED, CHUNKED, &format!("{CHUNKS}{STOLEN}")), NO),
            refused("an empty coding before chunked", coded(" , chunked"), NO),
            refused("an empty line of codings", both("Transfer-Encoding:\r\n", CHUNKED, CHUNKS), NO),
            refused("gzip, chunked", coded(" gzip, chunked"), NO),
            refused("identity, chunked", coded(" identity, chunked"), NO),
            refused("xchunked", coded(" xchunked"), BARE),
            refused("chunked with a parameter", coded(" chunked;q=1"), BARE),
            refused("chunked, identity", coded(" chunked, identity"), BARE),
            refused("identity", coded(" identity"), BARE),
            refused("gzip alone", coded(" gzip"), BARE),
            refused("chunked in quotes", coded(" \"chunked\""), BARE),
            refused("chunked behind a vertical tab", coded(" \u{b}chunked"), BARE),
            refused("chunked before a no-break space", coded(" chunked\u{a0}"), BARE),
            refused("a space before the colon", post("Transfer-Encoding : chunked\r\n", CHUNKS), BARE),
            refused("a coding in a folded line", post("Transfer-Encoding:\r\n chunked\r\n", CHUNKS), BARE),
            served(
                "chunked behind a tab, in capitals",
                coded("\tCHUNKED").replace(STOLEN, ""),
                "200, open",
                SEEN,
            ),
            refused("lengths that differ", both(&length(12), &length(40), NOTE), BARE),
            refused("the same length twice", both(&length(12), &length(12), NOTE), NO),
            refused("a list of one length", after(" 12, 12"), BARE),
            refused("a list of lengths", after(" 12,6"), BARE),
            refused("a sign", after(" +12"), BARE),
            refused("a negative length", after(" -1"), BARE),
            refused("a hexadecimal length", after(" 0xc"), BARE),
            refused("a length with an exponent", after(" 12e0"), BARE),
            refused("a length with a point", after(" 12.0"), BARE),
            refused("an empty length", after(""), BARE),
            refused("a length in Arabic digits", after(" \u{d9}\u{a1}"), BARE),
            refused("a length over 64 bits", after(" 18446744073709551628"), BARE),
            refused("a length that no body has", after(" 18446744073709551615"), "431 empty, closed"),
            refused(
                "a length over the limit",
                after(" 9223372036854775807"),
                "413 content-too-large, closed",
            ),
            served("a length with spaces around it", after(" \t12 ").replace(STOLEN, ""), "200, open", SEEN),
            served("a length with leading zeros", after(" 0012").replace(STOLEN, ""), "200, open", SEEN),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn chunks_are_a_size_and_nothing_else() {
    let house = house().await;
    let chunks = |body: &str| post(CHUNKED, body);
    let sized = |size: &str| post(CHUNKED, &format!("{size}\r\n{NOTE}\r\n0\r\n\r\n{STOLEN}"));
    let extension = format!("c;{}", "x".repeat(1 << 20));
    play(
        &house,
        vec![
            served("chunks", chunks(CHUNKS), "200, open", SEEN),
            served(
                "chunks and a request behind them",
                chunks(CHUNKS) + &get(""),
                "200, 200, open",
                "POST /orders/1/notes, GET /orders/1",
            ),
            served("a size in capitals, with a zero", chunks(&CHUNKS.replace('c', "0C")), "200, open", SEEN),
            refused("a size over 64 bits", sized("FFFFFFFFFFFFFFFFF"), NO),
            refused("the largest size of 64 bits", sized("FFFFFFFFFFFFFFFF"), "408 request-timeout, closed"),
            refused("a size that wraps around", sized("1000000000000000c"), NO),
            refused("a size of seventeen digits", sized("0000000000000000c"), NO),
            refused("a negative size", sized("-c"), NO),
            refused("a size with a prefix", sized("0xc"), NO),
            refused("a size with a sign", sized("+c"), NO),
            refused("an empty size", sized(""), NO),
            refused("a space before the size", sized(" c"), NO),
            refused("a space behind the size", sized("c "), NO),
            refused("a size with an underscore", sized("0_c"), NO),
            refused("an extension", sized("c;name=value"), NO),
            refused("an extension in quotes", sized("c;name=\"a;b\""), NO),
            refused("an empty extension", sized("c;"), NO),
            refused("an extension with a bare LF", sized("c;\n0"), NO),
            refused("an extension with a bare CR", sized("c;a\rb"), NO),
            refused(
                "an extension at the last chunk",
                chunks(&CHUNKS.replace("\r\n0\r\n", "\r\n0;x\r\n")),
                NO,
            ),
            refused("an extension of a MiB", sized(&extension), NO),
            refused("a bare LF behind the size", chunks("c\n{\"note\":\"x\"}\r\n0\r\n\r\n"), NO),
            refused("a bare LF behind the chunk", chunks("c\r\n{\"note\":\"x\"}\n0\r\n\r\n"), NO),
            refused("a bare LF at the end", chunks("c\r\n{\"note\":\"x\"}\r\n0\n\n"), NO),
            refused("a chunk that is longer than its size", chunks(&CHUNKS.replace("\"}", "\"}   ")), NO),
            refused("a chunk without its end", chunks("c\r\n{\"note\":\"x\"}0\r\n\r\n"), NO),
            refused("no last chunk", chunks("c\r\n{\"note\":\"x\"}\r\n"), "400 bad-request, closed")
                .and_ends(),
            refused(
                "a last chunk without its empty line",
                chunks("c\r\n{\"note\":\"x\"}\r\n0\r\n"),
                "408 request-timeout, closed",
            ),
            served(
                "trailers",
                chunks(&CHUNKS.replace(
                    "0\r\n\r\n",
                    "0\r\nX-Trailer: PLANTED\r\nContent-Length: 9\r\nHost: other\r\n\r\n",
                )),
                "200, open",
                SEEN,
            ),
            refused(
                "a trailer that is no field",
                chunks(&CHUNKS.replace("0\r\n\r\n", "0\r\nno field\r\n\r\n")),
                NO,
            ),
            refused(
                "a trailer with a bare LF",
                chunks(&CHUNKS.replace("0\r\n\r\n", "0\r\nA: b\nC: d\r\n\r\n")),
                NO,
            ),
            refused(
                "trailers of 32 KiB",
                chunks(&CHUNKS.replace("0\r\n\r\n", &format!("0\r\nA: {}\r\n\r\n", "x".repeat(32 << 10)))),
                NO,
            ),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn a_head_is_lines_that_end_in_crlf() {
    let house = house().await;
    let line = |line: &str| get(&format!("{line}\r\n")) + STOLEN;
    let seen = "GET /orders/1";
    play(
        &house,
        vec![
            refused("bare LF everywhere", get("").replace("\r\n", "\n"), NO),
            refused("bare LF behind the request line", get("").replacen("\r\n", "\n", 1), NO),
            refused("bare LF behind a field", get("A: b\nC: d\r\n"), NO),
            refused("bare LF at the end of the head", get("").replace("\r\n\r\n", "\r\n\n"), NO),
            refused(
                "a field hidden behind a bare LF",
                post("A: b\nTransfer-Encoding: chunked\r\nContent-Length: 12\r\n", NOTE),
                NO,
            ),
            refused("bare CR in a value", line("A: b\rC: d"), BARE),
            refused("bare CR behind the request line", get("").replacen("\r\n", "\r", 1), BARE),
            refused("a folded line", line("A: b\r\n c"), BARE),
            refused("a folded line by tab", line("A: b\r\n\tc"), BARE),
            refused("white space before the first field", get("").replace("Host", " Host"), BARE),
            refused("a line without a colon", line("Fields"), BARE),
            refused("an empty name", line(": b"), BARE),
            refused("a space before the colon", line("A : b"), BARE),
            refused("a space in a name", line("A b: c"), BARE),
            refused("a NUL in a name", line("A\0: b"), BARE),
            refused("a high byte in a name", line("A\u{e9}: b"), BARE),
            refused("a NUL in a value", line("A: b\0c"), BARE),
            refused("a control character in a value", line("A: b\u{1}c"), BARE),
            refused("DEL in a value", line("A: b\u{7f}c"), BARE),
            served("high bytes in a value", get("A: caf\u{e9} \u{ff}\r\n"), "200, open", seen),
            served("an empty value", get("A:\r\n"), "200, open", seen),
            served("one empty line before the request", format!("\r\n{}", get("")), "200, open", seen),
            refused("two empty lines before the request", format!("\r\n\r\n{}", get("")), NO),
            refused("a bare LF before the request", format!("\n{}", get("")), NO),
            refused("a flood of empty lines", "\r\n".repeat(20_000), "431 empty, closed"),
            refused("white space before the request line", format!(" {}", get("")), BARE),
            refused("a TLS record inside TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0", BARE),
            refused(
                "a head over the limit",
                get(&format!("A: {}\r\n", "x".repeat(20 << 10))),
                "431 empty, closed",
            ),
            refused(
                "a request line over the limit",
                get("").replace("/1", &"1".repeat(20 << 10)),
                "431 empty, closed",
            ),
            refused("more than a hundred fields", get(&"A: b\r\n".repeat(120)), "431 empty, closed"),
            served("a hundred fields", get(&"A: b\r\n".repeat(99)), "200, open", seen),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn each_request_of_a_connection_is_decided_by_itself() {
    let house = house().await;
    let other = "GET /customers HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let seen = "GET /orders/1";
    let body = |head: &str| format!("{head}Content-Length: {}\r\n\r\n{STOLEN}", STOLEN.len());
    let on = |method: &str| body(&get("").replace("\r\n\r\n", "\r\n").replace("GET", method));
    play(
        &house,
        vec![
            served("allowed, then not", get("") + other, "200, 404 not-found, open", seen),
            served(
                "not allowed, then allowed",
                other.to_owned() + &get(""),
                "404 not-found, 200, open",
                seen,
            ),
            served(
                "good, then doubtful",
                get("") + &get("Content-Length: 0\r\nContent-Length: 0\r\n") + STOLEN,
                "200, 400 bad-request, closed",
                seen,
            ),
            served("good, then malformed", get("") + "GET\r\n\r\n" + STOLEN, "200, 400 empty, closed", seen),
            refused("doubtful, then good", get("Content-Length: 0\r\nContent-Length: 0\r\n") + STOLEN, NO),
            refused("a body on GET is not the next request", on("GET"), "400 bad-request, open"),
            refused("a body on HEAD is not the next request", on("HEAD"), "400, open"),
            refused("a body on DELETE is not the next request", on("DELETE"), "405 method-not-allowed, open"),
            refused(
                "a body in chunks on GET",
                get(CHUNKED) + &format!("{:x}\r\n{STOLEN}\r\n0\r\n\r\n", STOLEN.len()),
                "400 bad-request, open",
            ),
            refused("an empty body in chunks on GET", get(CHUNKED) + "0\r\n\r\n", "400 bad-request, open"),
            served("a length of 0 on GET", get("Content-Length: 0\r\n"), "200, open", seen),
            refused("a body that is cut off", format!("{NOTES}Content-Length: 50\r\n\r\n{NOTE}"), NO)
                .and_ends(),
            refused("a head that is cut off", "GET /orders/1 HTTP/1.1\r\nHost: loc", "closed").and_ends(),
            refused("no body where one is needed", post("", ""), "400 bad-request, open"),
        ],
    )
    .await;
    house.assert_clean();
}
