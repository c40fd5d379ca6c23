//! HTTP/2 frame by frame (RFC 9113): what no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::Client;

/// RFC 9113, section 6.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const NO_ERROR: u32 = 0;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// Above every time that a connection under attack is given here.
const SOON: Duration = Duration::from_secs(20);

/// A frame that came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection on which the preface is sent.
pub struct Wire {
    reader: ReadHalf<TlsStream<TcpStream>>,
    writer: WriteHalf<TlsStream<TcpStream>>,
    seen: Vec<Frame>,
}

/// How a connection ended.
#[derive(Debug)]
pub struct Ended {
    /// Frames that could be sent.
    pub sent: usize,
    pub frames: Vec<Frame>,
}

impl Ended {
    /// The error code of the last GOAWAY (RFC 9113, section 7).
    pub fn code(&self) -> Option<u32> {
        let last = self.frames.iter().rev().find(|frame| frame.kind == kind::GOAWAY)?;
        Some(u32::from_be_bytes(last.payload[4..8].try_into().unwrap()))
    }
}

impl Wire {
    pub async fn open(client: &Client) -> Wire {
        let stream = client.raw_with(b"h2").await.unwrap();
        let (reader, writer) = tokio::io::split(stream);
        let mut wire = Wire { reader, writer, seen: Vec::new() };
        assert!(wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await);
        assert!(wire.send(&frame(kind::SETTINGS, 0, 0, b"")).await);
        wire
    }

    /// False where the other side takes no more.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let write = async { self.writer.write_all(bytes).await.is_ok() && self.writer.flush().await.is_ok() };
        tokio::time::timeout(SOON, write).await.unwrap_or(false)
    }

    /// The next frame; none where the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = tokio::time::timeout(SOON, read_frame(&mut self.reader)).await.expect("in time")?;
        self.seen.push(frame.clone());
        Some(frame)
    }

    /// Whether all that was sent was taken, and the connection goes on.
    pub async fn goes_on(&mut self) -> bool {
        if !self.send(&frame(kind::PING, 0, 0, b"goes on?")).await {
            return false;
        }
        while let Some(frame) = self.next().await {
            if frame.kind == kind::PING && frame.flags == ACK {
                return true;
            }
        }
        false
    }

    /// Skips frames until one is of this kind.
    pub async fn wait_for(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection goes on");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Sends `count` frames or groups of frames while it reads, then waits for the other side to close.
    pub async fn flood(self, count: usize, mut make: impl FnMut(usize) -> Vec<u8>) -> Ended {
        const TOGETHER: usize = 64;
        let Wire { mut reader, mut writer, seen } = self;
        let reading = async {
            let mut frames = seen;
            while let Some(frame) = read_frame(&mut reader).await {
                frames.push(frame);
            }
            frames
        };
        let writing = async {
            let mut sent = 0;
            while sent < count {
                let group = TOGETHER.min(count - sent);
                let bytes: Vec<u8> = (sent..sent + group).flat_map(&mut make).collect();
                if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                    break;
                }
                sent += group;
                // The other side shall see what arrives, not one heap at the end.
                tokio::task::yield_now().await;
            }
            sent
        };
        let both = tokio::time::timeout(SOON, async { tokio::join!(reading, writing) });
        let (frames, sent) = both.await.expect("the connection ends");
        Ended { sent, frames }
    }

    /// Waits for the other side to close.
    pub async fn until_closed(self) -> Ended {
        self.flood(0, |_| Vec::new()).await
    }
}

async fn read_frame(reader: &mut ReadHalf<TlsStream<TcpStream>>) -> Option<Frame> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload).await.ok()?;
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// RFC 9113, section 4.1.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Fields as literals that are not indexed (RFC 7541, section 6.2.2).
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// A string literal without Huffman code (RFC 7541, section 5.2).
fn text(block: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push((length % 128) as u8 | 128);
            length /= 128;
        }
        block.push(length as u8);
    }
    block.extend_from_slice(text.as_bytes());
}

/// The fields of a GET.
pub fn get(path: &str) -> Vec<u8> {
    fields(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)])
}

/// The HEADERS frame of a whole GET.
pub fn get_frame(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &get(path))
}

/// The number of the client's `n`th stream (RFC 9113, section 5.1.1).
pub fn stream(n: usize) -> u32 {
    u32::try_from(2 * n + 1).unwrap()
}
