#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, GzBuilder};
use zstd_safe::{CCtx, CParameter};

use super::*;

const FREE: DecodeLimits = DecodeLimits { ratio: u64::MAX, size: None };
const STRICT: DecodeLimits = DecodeLimits { ratio: 100, size: None };

/// `br` without a checksum, the others with one.
fn code(coding: Coding, body: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Brotli => {
            brotli_with(body, &brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() })
        }
        Coding::Zstd => zstd_with(body, &[]),
    }
}

fn brotli_with(body: &[u8], params: &brotli::enc::BrotliEncoderParams) -> Vec<u8> {
    let mut coded = Vec::new();
    brotli::BrotliCompress(&mut &body[..], &mut coded, params).unwrap();
    coded
}

fn zstd_with(body: &[u8], parameters: &[CParameter]) -> Vec<u8> {
    let mut frame = CCtx::create();
    frame.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    for &parameter in parameters {
        frame.set_parameter(parameter).unwrap();
    }
    let mut coded = vec![0; zstd_safe::compress_bound(body.len())];
    let size = frame.compress2(&mut coded[..], body).unwrap();
    coded.truncate(size);
    coded
}

fn stack(codings: &[Coding], body: &[u8]) -> Vec<u8> {
    codings.iter().fold(body.to_vec(), |body, &coding| code(coding, &body))
}

/// Each coding alone, and each ordered pair.
fn stacks() -> Vec<Vec<Coding>> {
    let pairs = Coding::ALL.iter().flat_map(|&first| Coding::ALL.map(|second| vec![first, second]));
    Coding::ALL.iter().map(|&coding| vec![coding]).chain(pairs).collect()
}

/// What was handed on, and how it ended.
fn decode(
    codings: &[Coding],
    coded: &[u8],
    step: usize,
    limits: DecodeLimits,
) -> (Vec<u8>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new(codings, limits).unwrap();
    let mut body = Vec::new();
    for data in coded.chunks(step) {
        let pushed = decoder.push(data, &mut |piece| {
            assert!(!piece.is_empty() && piece.len() <= PIECE);
            body.extend_from_slice(piece);
            Ok(())
        });
        if pushed.is_err() {
            return (body, pushed);
        }
    }
    (body, decoder.finish())
}

fn fault(codings: &[Coding], coded: &[u8], step: usize) -> DecodeError {
    decode(codings, coded, step, FREE).1.unwrap_err()
}

/// Not all alike, not all different.
fn json(rows: u32) -> Vec<u8> {
    let row = |n: u32| format!("{{\"id\":{n},\"mail\":\"{:x}@example.org\"}}", n.wrapping_mul(2_654_435_761));
    format!("[{}]", (0..rows).map(row).collect::<Vec<_>>().join(",")).into_bytes()
}

#[test]
fn every_coding_and_every_pair_of_them_is_undone_whatever_the_pieces() {
    for body in [Vec::new(), json(1), json(3_000), vec![b' '; 3 * PIECE]] {
        for codings in stacks() {
            let coded = stack(&codings, &body);
            for step in [1, 7, 4096, usize::MAX] {
                let (decoded, end) = decode(&codings, &coded, step, FREE);
                assert_eq!(end, Ok(()), "{codings:?} by {step}");
                assert!(decoded == body, "{codings:?} by {step}");
            }
        }
    }
}

#[test]
fn body_without_a_coding_is_handed_on_in_pieces() {
    let body = json(3_000);
    assert!(decode(&[], &body, usize::MAX, FREE) == (body, Ok(())));
}

#[test]
fn body_that_is_cut_off_anywhere_is_refused() {
    for codings in stacks() {
        let coded = stack(&codings, &json(3));
        for end in 0..coded.len() {
            for step in [1, usize::MAX] {
                let fault = fault(&codings, &coded[..end], step);
                assert!(matches!(fault, DecodeError::Truncated(_)), "{codings:?} at {end}: {fault}");
            }
        }
    }
}

#[test]
fn byte_after_the_end_is_refused_in_every_layer() {
    for coding in Coding::ALL {
        for rest in [0, b'\n', 0xff] {
            let coded = [code(coding, &json(3)), vec![rest]].concat();
            for step in 1..=coded.len() {
                assert_eq!(fault(&[coding], &coded, step), DecodeError::Trailing(coding), "by {step}");
            }
            for outer in Coding::ALL {
                let stacked = code(outer, &coded);
                assert_eq!(fault(&[coding, outer], &stacked, 7), DecodeError::Trailing(coding));
            }
        }
    }
}

#[test]
fn second_member_or_frame_is_refused() {
    for coding in Coding::ALL {
        for second in [json(3), Vec::new()] {
            let coded = [code(coding, &json(3)), code(coding, &second)].concat();
            for step in [1, 16, usize::MAX] {
                assert_eq!(fault(&[coding], &coded, step), DecodeError::Trailing(coding));
            }
        }
    }
}

#[test]
fn skippable_frame_of_zstd_is_refused_before_and_after_the_frame() {
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 0, 0];
    let frame = code(Coding::Zstd, &json(3));
    for step in [1, usize::MAX] {
        let before = [&skippable[..], &frame].concat();
        assert_eq!(fault(&[Coding::Zstd], &before, step), DecodeError::Malformed(Coding::Zstd));
        assert_eq!(fault(&[Coding::Zstd], &skippable, step), DecodeError::Malformed(Coding::Zstd));
        let after = [&frame[..], &skippable].concat();
        assert_eq!(fault(&[Coding::Zstd], &after, step), DecodeError::Trailing(Coding::Zstd));
    }
}

#[test]
fn no_flipped_bit_passes_a_checksum() {
    let body = json(20);
    for coding in Coding::ALL {
        let coded = code(coding, &body);
        for bit in 0..coded.len() * 8 {
            let mut flipped = coded.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (decoded, end) = decode(&[coding], &flipped, usize::MAX, STRICT);
            assert!(end.is_err() || decoded == body || coding == Coding::Brotli, "{coding:?} {bit}");
        }
    }
}

#[test]
fn bomb_of_any_coding_is_refused_after_the_first_mebibyte() {
    let bombs = Coding::ALL.map(|coding| (coding, code(coding, &vec![0; 10 << 20])));
    for codings in stacks() {
        let (_, inner) = bombs.iter().find(|(coding, _)| *coding == codings[0]).unwrap();
        let bomb = stack(&codings[1..], inner);
        for step in [1, usize::MAX] {
            let (decoded, end) = decode(&codings, &bomb, step, STRICT);
            assert_eq!(end, Err(DecodeError::Ratio(100)), "{codings:?}");
            assert!(decoded.len() as u64 <= GRACE.max(100 * bomb.len() as u64), "{codings:?}");
        }
    }
}

#[test]
fn two_codings_are_refused_for_what_they_make_together() {
    let coded = stack(&[Coding::Gzip; 2], &vec![0; 4 << 20]);
    let lax = DecodeLimits { ratio: 2_000, size: None };
    let (decoded, end) = decode(&[Coding::Gzip; 2], &coded, 16, lax);
    assert_eq!((decoded.len() as u64 <= GRACE, end), (true, Err(DecodeError::Ratio(2_000))));
    assert_eq!(decode(&[Coding::Gzip], &code(Coding::Gzip, &vec![0; 4 << 20]), 16, lax).1, Ok(()));
}

#[test]
fn small_body_may_expand_as_it_likes() {
    for codings in stacks() {
        let coded = stack(&codings, &vec![0; GRACE as usize]);
        assert_eq!(decode(&codings, &coded, 7, STRICT).1, Ok(()));
    }
}

#[test]
fn zstd_block_of_one_repeated_byte_goes_through_in_pieces() {
    // A window of 1 MiB, then blocks of 128 KiB in four bytes each (RFC 8878, section 3.1.1.2).
    let header = [&ZSTD_MAGIC[..], &[0, (20 - 10) << 3]].concat();
    let bomb = [header, [0x02, 0, 0x10, b'0'].repeat(1000)].concat();
    let (decoded, end) = decode(&[Coding::Zstd], &bomb, usize::MAX, STRICT);
    assert_eq!((decoded.len() as u64, end), (GRACE, Err(DecodeError::Ratio(100))));
}

fn gzip_named(name: Vec<u8>, body: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().filename(name).write(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn inner_bomb_is_refused_though_the_outer_coding_makes_up_for_it() {
    let inner = code(Coding::Gzip, &vec![0; 4 << 20]);
    let coded = gzip_named(vec![b'n'; 1 << 20], &inner);
    assert_eq!(decode(&[Coding::Gzip; 2], &coded, 4096, STRICT).1, Err(DecodeError::Ratio(100)));
}

#[test]
fn outer_bomb_is_refused_though_nothing_comes_of_it() {
    let inner = gzip_named(vec![b'n'; 4 << 20], b"{}");
    let coded = code(Coding::Gzip, &inner);
    assert_eq!(decode(&[Coding::Gzip; 2], &coded, 4096, STRICT), (Vec::new(), Err(DecodeError::Ratio(100))));
}

#[test]
fn body_is_refused_at_the_first_byte_over_its_size() {
    let body = json(3_000);
    let size = body.len() as u64;
    for codings in stacks().into_iter().chain([vec![]]) {
        let coded = stack(&codings, &body);
        for step in [7, usize::MAX] {
            let exact = DecodeLimits { size: Some(size), ..FREE };
            assert_eq!(decode(&codings, &coded, step, exact).1, Ok(()));
            let (decoded, end) =
                decode(&codings, &coded, step, DecodeLimits { size: Some(size - 1), ..FREE });
            assert_eq!(end, Err(DecodeError::TooLarge(size - 1)));
            assert!((decoded.len() as u64) < size);
        }
    }
}

#[test]
fn wrong_label_is_refused() {
    for label in Coding::ALL {
        for step in [1, usize::MAX] {
            assert!(matches!(fault(&[label], &json(100), step), DecodeError::Malformed(_)), "{label:?}");
            for coding in Coding::ALL.into_iter().filter(|&coding| coding != label) {
                let fault = fault(&[label], &code(coding, &json(100)), step);
                assert_eq!(fault, DecodeError::Malformed(label), "{coding:?} labelled {label:?}");
            }
        }
    }
}

#[test]
fn bare_deflate_is_refused() {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&json(100)).unwrap();
    let coded = encoder.finish().unwrap();
    assert_eq!(fault(&[Coding::Deflate], &coded, usize::MAX), DecodeError::Malformed(Coding::Deflate));
}

#[test]
fn zstd_window_of_more_than_8_mib_is_refused() {
    let body = vec![0; 17 << 20];
    let coded = |log| zstd_with(&body, &[CParameter::WindowLog(log), CParameter::ContentSizeFlag(false)]);
    for step in [1, usize::MAX] {
        assert_eq!(decode(&[Coding::Zstd], &coded(23), step, FREE).1, Ok(()));
        assert_eq!(fault(&[Coding::Zstd], &coded(24), step), DecodeError::Malformed(Coding::Zstd));
    }
}

#[test]
fn zstd_window_of_more_than_8_mib_is_refused_though_the_body_is_small_and_arrives_whole() {
    // A frame of five bytes, of which it tells, with a window of 2^log bytes (RFC 8878, section 3.1.1.1).
    let frame =
        |log: u8| [&ZSTD_MAGIC[..], &[0x80, (log - 10) << 3, 5, 0, 0, 0, 0x29, 0, 0], b"hello"].concat();
    for step in [1, usize::MAX] {
        assert_eq!(decode(&[Coding::Zstd], &frame(23), step, FREE), (b"hello".to_vec(), Ok(())));
        assert_eq!(fault(&[Coding::Zstd], &frame(24), step), DecodeError::Malformed(Coding::Zstd));
    }
}

#[test]
fn zstd_frame_with_a_dictionary_is_refused() {
    let frame = [&ZSTD_MAGIC[..], &[0x21, 7, 5, 0x29, 0, 0], b"hello"].concat();
    assert_eq!(fault(&[Coding::Zstd], &frame, usize::MAX), DecodeError::Malformed(Coding::Zstd));
}

#[test]
fn large_window_of_brotli_is_refused() {
    let params = |large| brotli::enc::BrotliEncoderParams {
        quality: 5,
        lgwin: 24,
        large_window: large,
        ..Default::default()
    };
    let coded = brotli_with(&json(100), &params(false));
    assert_eq!(decode(&[Coding::Brotli], &coded, 1, FREE).1, Ok(()));
    let coded = brotli_with(&json(100), &params(true));
    for step in [1, usize::MAX] {
        assert_eq!(fault(&[Coding::Brotli], &coded, step), DecodeError::Malformed(Coding::Brotli));
    }
}

#[derive(Debug, PartialEq)]
enum Fault {
    Decode(DecodeError),
    Sink,
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Fault::Decode(error)
    }
}

#[test]
fn error_of_the_sink_passes_through_and_ends_the_decoding() {
    for codings in stacks() {
        let coded = stack(&codings, &json(3_000));
        let mut decoder = Decoder::new(&codings, FREE).unwrap();
        let mut calls = 0;
        let mut sink = |_: &[u8]| {
            calls += 1;
            Err(Fault::Sink)
        };
        assert_eq!(decoder.push(&coded, &mut sink), Err(Fault::Sink));
        assert_eq!(decoder.push(&coded, &mut sink), Err(Fault::Decode(DecodeError::Stopped)));
        assert_eq!((calls, decoder.finish()), (1, Err(DecodeError::Stopped)));
    }
}

#[test]
fn codings_are_read_from_all_header_lines_in_order() {
    let read = |lines: &[&str]| Coding::applied(lines);
    assert_eq!(read(&[]), Ok(vec![]));
    assert_eq!(read(&["identity"]), Ok(vec![]));
    assert_eq!(read(&["X-GZIP ,\t br,"]), Ok(vec![Coding::Gzip, Coding::Brotli]));
    assert_eq!(read(&["Zstd", "deflate"]), Ok(vec![Coding::Zstd, Coding::Deflate]));
    assert_eq!(read(&["gzip", "compress"]), Err(DecodeError::Unsupported));
    assert_eq!(read(&["gzip;q=1"]), Err(DecodeError::Unsupported));
    assert_eq!(read(&["gzip,gzip", "gzip"]), Err(DecodeError::TooMany));
    assert_eq!(Coding::applied([b"\xff"]), Err(DecodeError::Unsupported));
    assert_eq!(Decoder::new(&[Coding::Gzip; 3], FREE).err(), Some(DecodeError::TooMany));
}

#[test]
fn decoder_may_move_between_threads() {
    fn moves<T: Send>() {}
    moves::<Decoder>();
}
