//! Requests byte by byte over HTTP/1.1, frame by frame over HTTP/2: what no client library would send,
//! and what becomes of the connection.
//!
//! An outcome is written as its answers one after the other, then what became of the connection:
//! `200, open`, `400 bad-request, closed`, `431 empty, closed`, `reset 1, open`, `goaway 1, closed`.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::Client;

/// Far above every limit that the tests set.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client got.
#[derive(Debug)]
pub struct Heard {
    pub outcome: String,
    /// Every byte of every answer.
    pub bytes: Vec<u8>,
    pub disclosures: usize,
    /// Refusals of a contractor that is known.
    pub recorded: usize,
}

/// One character a byte, so that a test can write any of them.
pub fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// Sends bytes and reads the answers. Then `probe` is sent on the same connection; `known` tells its answer.
pub async fn over_http1(client: &Client, sent: &[u8], end: bool, probe: &[u8], known: &str) -> Heard {
    let mut stream = client.raw().await.unwrap();
    let mut answers = Answers::default();
    // A gateway that closes while it is written to has decided already.
    let _ = stream.write_all(sent).await;
    let _ = stream.flush().await;
    if end {
        let _ = stream.shutdown().await;
    }
    let mut buffer = Vec::new();
    let mut bare = sent.starts_with(b"HEAD ");
    let mut probed = end;
    let fate = loop {
        match response(&mut stream, &mut buffer, bare).await {
            Err(Gone::Closed) => break "closed",
            Err(Gone::Silent) => break "silent",
            Ok(response) if probed && !end && response.text.contains(known) => {
                answers.disclosures += 1;
                break "open";
            }
            Ok(response) => {
                let interim = response.status < 200;
                answers.add(response, bare);
                if !probed && !interim {
                    probed = true;
                    let _ = stream.write_all(probe).await;
                    let _ = stream.flush().await;
                }
                bare = bare && interim;
            }
        }
    };
    answers.end(fate)
}

struct Response {
    status: u16,
    text: String,
    bytes: Vec<u8>,
}

enum Gone {
    Closed,
    Silent,
}

/// The next response of a connection; the rest stays in `buffer`.
async fn response(
    stream: &mut TlsStream<TcpStream>,
    buffer: &mut Vec<u8>,
    bare: bool,
) -> Result<Response, Gone> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let whole = end + 4 + if bare { 0 } else { length.unwrap_or(0) };
            if buffer.len() >= whole {
                let bytes: Vec<u8> = buffer.drain(..whole).collect();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let text = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
                return Ok(Response { status, text, bytes });
            }
        }
        match tokio::time::timeout(PATIENCE, stream.read_buf(buffer)).await {
            Ok(Ok(0) | Err(_)) => return Err(Gone::Closed),
            Ok(Ok(_)) => {}
            Err(_) => return Err(Gone::Silent),
        }
    }
}

#[derive(Default)]
struct Answers {
    words: Vec<String>,
    bytes: Vec<u8>,
    disclosures: usize,
    recorded: usize,
}

impl Answers {
    fn add(&mut self, response: Response, bare: bool) {
        let problem: Option<serde_json::Value> = serde_json::from_str(&response.text).ok();
        let code = problem.as_ref().and_then(|problem| problem["type"].as_str());
        self.words.push(match code {
            Some(code) => format!("{} {}", response.status, code.rsplit(':').next().unwrap()),
            None if response.status >= 300 && !bare => format!("{} empty", response.status),
            None => response.status.to_string(),
        });
        self.recorded += usize::from(code.is_some() && response.status != 401);
        self.disclosures += usize::from((200..300).contains(&response.status));
        self.bytes.extend(response.bytes);
    }

    fn end(mut self, fate: &str) -> Heard {
        self.words.push(fate.to_owned());
        let Answers { words, bytes, disclosures, recorded } = self;
        Heard { outcome: words.join(", "), bytes, disclosures, recorded }
    }
}

/// RFC 9113, section 6.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const GOAWAY: u8 = 7;
}

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The stream of the request, and the one of the probe.
const FIRST: u32 = 1;
const PROBE: u32 = 9;

/// RFC 9113, section 4.1.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as literals that are not indexed, without Huffman code (RFC 7541, section 6.2.2).
pub fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [latin1(name), latin1(value)] {
            string(&mut block, &text);
        }
    }
    block
}

/// RFC 7541, sections 5.1 and 5.2.
fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(rest as u8);
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(text);
}

/// Sends frames for stream 1 and reads what becomes of it, then sees whether the connection still serves.
pub async fn over_http2(client: &Client, frames: &[u8], probe: &[u8]) -> Heard {
    let mut stream = client.raw_with(b"h2").await.unwrap();
    let settings = frame(kind::SETTINGS, 0, 0, b"");
    let _ = stream.write_all(&[PREFACE, &settings, frames].concat()).await;
    let _ = stream.flush().await;
    let mut answers = Answers::default();
    let (mut answer, mut probed) = (None::<Response>, false);
    let fate = loop {
        let (kind, flags, id, payload) = match next_frame(&mut stream).await {
            Ok(frame) => frame,
            Err(Gone::Closed) => break "closed",
            Err(Gone::Silent) => break "silent",
        };
        match (kind, id) {
            (kind::GOAWAY, _) => answers.words.push(format!("goaway {}", payload[7])),
            (kind::RST_STREAM, FIRST) if !probed => answers.words.push(format!("reset {}", payload[3])),
            (kind::HEADERS, FIRST | PROBE) => {
                answer = Some(Response { status: status(&payload), text: String::new(), bytes: payload });
            }
            (kind::DATA, FIRST | PROBE) => {
                let answer = answer.as_mut().unwrap();
                answer.text.push_str(&String::from_utf8_lossy(&payload));
                answer.bytes.extend(payload);
            }
            _ => continue,
        }
        let ended = matches!(kind, kind::HEADERS | kind::DATA) && flags & END_STREAM != 0;
        match (ended, id) {
            (true, PROBE) => {
                answers.disclosures += usize::from(answer.unwrap().status == 200);
                break "open";
            }
            (true, FIRST) => answers.add(answer.take().unwrap(), false),
            _ => {}
        }
        if id == FIRST && !probed && (ended || kind == kind::RST_STREAM) {
            probed = true;
            let _ = stream.write_all(&frame(kind::HEADERS, END_STREAM | END_HEADERS, PROBE, probe)).await;
            let _ = stream.flush().await;
        }
    };
    answers.end(fate)
}

async fn next_frame(stream: &mut TlsStream<TcpStream>) -> Result<(u8, u8, u32, Vec<u8>), Gone> {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    };
    let read = tokio::time::timeout(PATIENCE, read).await;
    read.map_err(|_| Gone::Silent)?.ok_or(Gone::Closed)
}

/// The status, which is the first field of an answer: from the static table (RFC 7541, appendix A), or
/// three digits in Huffman code (appendix B).
fn status(block: &[u8]) -> u16 {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    if block[0] & 0x80 != 0 {
        return STATIC[usize::from(block[0]) - 0x88];
    }
    assert!(block[0] & 0x0f == 8 && block[1] & 0x80 != 0, "{block:?}");
    let coded = &block[2..2 + usize::from(block[1] & 0x7f)];
    let bits: Vec<u16> =
        coded.iter().flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1))).collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |number, bit| number * 2 + bit);
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let short = number(&bits[at..at + 5]);
        let digit = if short < 3 { short } else { number(&bits[at..at + 6]) - 22 };
        at += if short < 3 { 5 } else { 6 };
        status = status * 10 + digit;
    }
    status
}
