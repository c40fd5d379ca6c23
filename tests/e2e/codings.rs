//! Compressed answers: what the operator allows is decoded within bounds, everything else is a refusal.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::lists::{
    assert_parts_then_refusal, assert_recorded, list, most_memory, numbers, record, reduced,
};
use crate::support::{Answer, CONFIG, House, RULES, order, reduced_order};

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

fn code(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut coded = Vec::new();
            let params = brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
            brotli::BrotliCompress(&mut &body[..], &mut coded, &params).unwrap();
            coded
        }
        "zstd" => {
            let mut coded = vec![0; zstd_safe::compress_bound(body.len())];
            let size = zstd_safe::compress(&mut coded[..], body, 3).unwrap();
            coded.truncate(size);
            coded
        }
        other => panic!("{other}"),
    }
}

/// A body with its codings, in the order in which they are applied.
fn coded(codings: &[&str], body: &str) -> Answer {
    let bytes = codings.iter().fold(body.as_bytes().to_vec(), |bytes, coding| code(coding, &bytes));
    labelled(&codings.join(", "), bytes)
}

fn labelled(label: &str, bytes: Vec<u8>) -> Answer {
    Answer::json(bytes).with_header("Content-Encoding", label)
}

async fn house(encodings: &str, max_body: &str) -> House {
    let keys = format!("{max_body}\"\nencodings = [{encodings}]");
    House::with(&CONFIG.replace("64KiB\"", &keys), &[("parcelco", RULES)]).await
}

async fn house_of_all(max_body: &str) -> House {
    house(r#""gzip", "deflate", "br", "zstd""#, max_body).await
}

#[tokio::test]
async fn each_coding_and_each_pair_of_them_passes_where_it_is_allowed() {
    let house = house_of_all("64KiB").await;
    let (client, good) = (house.parcelco(), order(1, "parcelco", "ready_to_ship"));
    let pairs = CODINGS.iter().flat_map(|first| CODINGS.map(|second| vec![*first, second]));
    for codings in CODINGS.iter().map(|coding| vec![*coding]).chain(pairs) {
        house.upstream.on("/orders/1", coded(&codings, &good));
        let response = house.get(&client, "/orders/1").await;
        assert_eq!(response.body, reduced_order(1), "{codings:?}");
        assert_eq!(response.headers["content-length"], response.body.len().to_string());
    }
    for label in ["X-GZip", "identity, gzip", ", GZIP ,"] {
        house.upstream.on("/orders/1", labelled(label, code("gzip", good.as_bytes())));
        assert_eq!(house.get(&client, "/orders/1").await.body, reduced_order(1), "{label}");
    }
    let twice = labelled("br", code("gzip", &code("br", good.as_bytes())));
    house.upstream.on("/orders/1", twice.with_header("content-encoding", "gzip"));
    assert_eq!(house.get(&client, "/orders/1").await.body, reduced_order(1), "two header lines");
    // A coding is allowed and not required.
    house.upstream.on("/orders/1", Answer::json(good));
    assert_eq!(house.get(&client, "/orders/1").await.body, reduced_order(1));
    house.assert_clean();
}

#[tokio::test]
async fn the_upstream_is_asked_for_what_is_allowed_in_its_order() {
    for (encodings, header) in [
        (r#""gzip", "deflate", "br", "zstd""#, "gzip, deflate, br, zstd"),
        (r#""zstd", "gzip""#, "zstd, gzip"),
        ("", "identity"),
    ] {
        let house = house(encodings, "64KiB").await;
        house.get(&house.parcelco().with("accept-encoding", "br;q=1.0, *;q=0"), "/orders/1").await;
        let request = house.upstream.requests().pop().unwrap();
        let line = format!("\r\naccept-encoding: {header}\r\n");
        assert!(request.contains(&line) && request.matches("encoding").count() == 1, "{request}");
    }
}

#[tokio::test]
async fn a_coding_that_is_not_allowed_is_a_refusal() {
    let good = order(1, "parcelco", "ready_to_ship");
    for allowed in CODINGS {
        let house = house(&format!("\"{allowed}\""), "64KiB").await;
        for coding in CODINGS {
            house.upstream.on("/orders/1", coded(&[coding], &good));
            let response = house.get(&house.parcelco(), "/orders/1").await;
            if coding == allowed {
                assert_eq!(response.body, reduced_order(1));
                house.upstream.on("/orders/1", coded(&[coding, coding], &good));
                assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
            } else {
                assert_eq!(
                    (response.status.as_u16(), response.code()),
                    (502, "upstream-not-json".to_owned())
                );
                house.upstream.on("/orders/1", coded(&[allowed, coding], &good));
                assert_eq!(house.get(&house.parcelco(), "/orders/1").await.code(), "upstream-not-json");
            }
        }
        house.assert_clean();
    }
}

#[tokio::test]
async fn a_coded_body_that_is_not_what_it_says_is_a_refusal_without_an_upstream_byte() {
    let house = house_of_all("64MiB").await;
    let good = order(1, "parcelco", "ready_to_ship");
    let gzip = code("gzip", good.as_bytes());
    let mut wrong_sum = gzip.clone();
    wrong_sum[gzip.len() - 8] ^= 1;
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(good.as_bytes()).unwrap();
    let mut cases = vec![
        ("unknown", labelled("compress", gzip.clone()), "upstream-not-json"),
        ("planted", labelled("PLANTED", gzip.clone()), "upstream-not-json"),
        ("not ASCII", labelled("gzip\u{e9}", gzip.clone()), "upstream-not-json"),
        ("an unknown one below", labelled("dcb, gzip", gzip.clone()), "upstream-not-json"),
        ("three", coded(&["gzip", "br", "zstd"], &good), "upstream-not-json"),
        ("three of a kind", coded(&["gzip", "gzip", "gzip"], &good), "upstream-not-json"),
        ("a wrong checksum", labelled("gzip", wrong_sum), "upstream-malformed"),
        ("bare deflate", labelled("deflate", raw.finish().unwrap()), "upstream-malformed"),
        ("two members", labelled("gzip", [gzip.clone(), gzip.clone()].concat()), "upstream-malformed"),
        ("no label", Answer::json(gzip.clone()), "upstream-not-json"),
        ("a coded page", coded(&["br"], "<html>PLANTED</html>"), "upstream-not-json"),
        ("coded nothing", coded(&["gzip"], ""), "upstream-not-json"),
        ("coded and broken", coded(&["zstd"], &good[..good.len() - 1]), "upstream-malformed"),
    ];
    for coding in CODINGS {
        let bytes = code(coding, good.as_bytes());
        cases.extend([
            ("a lie", labelled(coding, good.clone().into()), "upstream-malformed"),
            ("an empty body", labelled(coding, Vec::new()), "upstream-malformed"),
            ("cut off", labelled(coding, bytes[..bytes.len() - 1].to_vec()), "upstream-malformed"),
            ("cut in half", labelled(coding, bytes[..bytes.len() / 2].to_vec()), "upstream-malformed"),
            ("more behind", labelled(coding, [&bytes[..], b"PLANTED"].concat()), "upstream-malformed"),
            ("one more byte", labelled(coding, [&bytes[..], b"\0"].concat()), "upstream-malformed"),
            ("one coding of two", labelled(&format!("br, {coding}, br"), bytes), "upstream-not-json"),
        ]);
    }
    for (what, answer, expected) in cases {
        house.upstream.on("/orders/1", answer);
        let response = house.get(&house.parcelco(), "/orders/1").await;
        assert_eq!((response.status.as_u16(), response.code().as_str()), (502, expected), "{what}");
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_body_that_expands_beyond_all_measure_is_refused_before_it_is_whole() {
    let spaces = " ".repeat(10 << 20);
    let bomb = order(1, "parcelco", "ready_to_ship").replacen('{', &format!("{{{spaces}"), 1);
    let page = format!("{{\"data\":[{bomb}]}}");
    let all = [&["gzip"][..], &["deflate"], &["br"], &["zstd"], &["gzip", "gzip"], &["br", "zstd"]];
    let mut answers: Vec<_> = all.map(|codings| ("/orders/1", coded(codings, &bomb))).into();
    answers.push(("/orders", coded(&["gzip"], &page)));
    for max_body in ["64MiB", "64KiB"] {
        let house = house_of_all(max_body).await;
        for (number, (target, answer)) in answers.iter().enumerate() {
            house.upstream.on(target, answer.clone());
            let response = house.get(&house.parcelco(), target).await;
            assert_eq!(response.code(), "upstream-too-large", "number {number}, {max_body}");
        }
        house.assert_clean();
    }
}

#[tokio::test]
async fn the_largest_body_is_counted_in_decoded_bytes() {
    let house = house_of_all("64KiB").await;
    let sized = |size: usize| {
        let good = order(1, "parcelco", "ready_to_ship");
        good.replacen('{', &format!("{{{}", " ".repeat(size - good.len())), 1)
    };
    for coding in CODINGS {
        for (size, status) in [(64 << 10, 200), ((64 << 10) + 1, 502), (500_000, 502)] {
            let body = sized(size);
            assert!(body.len() == size && code(coding, body.as_bytes()).len() < 4000);
            house.upstream.on("/orders/1", coded(&[coding], &body));
            let response = house.get(&house.parcelco(), "/orders/1").await;
            assert_eq!(response.status.as_u16(), status, "{coding} {size}");
            assert!(status == 200 || response.code() == "upstream-too-large");
        }
    }
}

fn page(records: String) -> String {
    format!("{{\"data\":[{records}]}}")
}

#[tokio::test]
async fn a_coded_list_leaves_in_parts() {
    let house = house_of_all("64KiB").await;
    let body = page(list((0..1500).map(record)));
    let expected = page((0..1500).map(reduced).collect::<Vec<_>>().join(","));
    for codings in [&["gzip"][..], &["deflate"], &["br"], &["zstd"], &["gzip", "br"]] {
        house.upstream.on("/orders", coded(codings, &body));
        let mut response = house.parcelco().begin(Method::GET, "/orders").await;
        while response.more().await {
            assert_eq!(response.status, 200, "{codings:?}: {}", response.text());
            assert_recorded(&house, &response);
        }
        house.check(&response);
        assert!(response.whole && response.text() == expected, "{codings:?}: {} bytes", response.bytes.len());
        let parts = numbers(&house.entries_of(&response.disclosure_id()));
        assert!(parts.len() >= 3 && parts.last().unwrap().1, "{codings:?}: {parts:?}");
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_coded_list_passes_in_bounded_memory_however_well_it_is_coded() {
    let house = house_of_all("64MiB").await;
    let (record, times) = (record(7), 15_000);
    let small = coded(&["gzip"], &page(list(vec![record.clone(); 500])));
    let large = coded(&["gzip"], &page(list(vec![record; times])));
    house.upstream.on("/orders", small);
    assert!(house.receive(&house.parcelco(), "/orders").await.whole);
    let before = most_memory(&house);
    house.upstream.on("/orders", large);
    let response = house.receive(&house.parcelco(), "/orders").await;
    assert!(response.whole && response.bytes.len() > times * reduced(7).len(), "{}", response.text());
    let grown = most_memory(&house) - before;
    assert!(grown < 16 << 10, "{grown} KiB more for {} KiB", response.bytes.len() >> 10);
}

/// Coded bytes that come when the first part of what is before them has left.
async fn interrupted(house: &House, coding: &str, bytes: [&[u8]; 2]) -> (String, Value) {
    let go = Arc::new(Notify::new());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        bytes.concat().len()
    );
    let rest = Answer::held(&go, Answer::Raw(bytes[1].to_vec()));
    house.upstream.on("/orders", Answer::begun([head.as_bytes(), bytes[0]].concat(), rest));
    let mut response = house.parcelco().begin(Method::GET, "/orders").await;
    assert!(response.more().await && response.status == 200, "{coding}: {}", response.text());
    go.notify_one();
    let response = response.until_end().await;
    house.check(&response);
    assert!(!response.whole, "{coding}");
    assert_recorded(house, &response);
    let entries = house.entries_of(&response.disclosure_id());
    let refusal = entries.last().unwrap().clone();
    let code = refusal["code"].as_str().unwrap().to_owned();
    assert_parts_then_refusal(&entries, &code, coding);
    (code, refusal)
}

#[tokio::test]
async fn a_coded_list_that_turns_out_to_be_broken_is_interrupted() {
    // What one piece of the coded body comes to is not what this is about.
    let house = house_of_all("64MiB").await;
    // Hard to compress, so that the coded bytes come to as much as the text does.
    let noise = |id: u64| {
        let mix = |n: u64| (id * 64 + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        (0..64).map(|n| format!("{:x}", mix(n).wrapping_mul(0xbf58_476d_1ce4_e5b9))).collect::<String>()
    };
    let records = (0..600).map(|id| record(id).replace("Zoë", &noise(id)));
    let body = page(list(records));
    for coding in CODINGS {
        let bytes = code(coding, body.as_bytes());
        let (half, all) = (bytes.len() / 2, bytes.len());
        let (code, refusal) = interrupted(&house, coding, [&bytes[..half], &bytes[half..all - 9]]).await;
        assert_eq!(code, "upstream-malformed", "{coding}");
        assert!(refusal["cause"].as_str().unwrap().contains(coding), "{coding}: {refusal}");
        let more = [&bytes[half..], b"PLANTED"].concat();
        assert_eq!(interrupted(&house, coding, [&bytes[..half], &more]).await.0, "upstream-malformed");
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_bomb_behind_good_records_is_interrupted() {
    let house = house_of_all("64MiB").await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    write!(encoder, "{{\"data\":[{},", list((0..400).map(record))).unwrap();
    encoder.flush().unwrap();
    let first = encoder.get_ref().len();
    // Beyond all that the good records have earned by their own size.
    write!(encoder, "{}{}]}}", " ".repeat(first * 1500 + (12 << 20)), record(7)).unwrap();
    let bytes = encoder.finish().unwrap();
    let (code, refusal) = interrupted(&house, "gzip", [&bytes[..first], &bytes[first..]]).await;
    assert_eq!((code.as_str(), &refusal["status"]), ("upstream-too-large", &json!(502)));
    house.assert_clean();
}
