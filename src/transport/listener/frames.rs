//! Counts what a client sends on an HTTP/2 connection beside its requests. PING, SETTINGS, PRIORITY,
//! WINDOW_UPDATE, RST_STREAM and unknown frames have no bound in the protocol: each costs the client nine
//! bytes, and us work. A client has so many of them, more as time goes by, and more for each answer that it
//! takes. Who sends more gets GOAWAY with ENHANCE_YOUR_CALM (RFC 9113, section 10.5).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::in_work::InWork;

/// Frames that a client may send at once, and in a second: those of nghttp2's own limit.
const AT_ONCE: u64 = 1000;
const PER_SECOND: u64 = 33;
/// What a reset counts: the request that it takes back was begun, and cost more than any other frame.
const PER_RESET: u64 = 5;
/// For each answer and each piece of one that a client takes: it may open two windows for each frame of it,
/// and ask how far away we are.
const PER_STEP: u64 = 8;

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const HEAD: usize = 9;

/// RFC 9113, section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

/// The stream of an HTTP/2 connection.
pub struct Counted<S> {
    stream: S,
    inbound: Frames,
    outbound: Frames,
    budget: Budget,
    last_stream: u32,
}

/// Where in a run of frames the bytes are.
#[derive(Default)]
struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that have passed.
    begun: usize,
    /// Bytes to go to the next head.
    skip: usize,
}

/// What the head of a frame says (RFC 9113, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    length: usize,
    kind: u8,
    stream: u32,
}

struct Budget {
    in_work: Arc<InWork>,
    left: u64,
    filled: Instant,
    steps: u64,
}

impl<S> Counted<S> {
    pub fn new(stream: S, in_work: Arc<InWork>) -> Self {
        let budget = Budget { in_work, left: AT_ONCE, filled: Instant::now(), steps: 0 };
        let inbound = Frames { skip: PREFACE, ..Frames::default() };
        Counted { stream, inbound, outbound: Frames::default(), budget, last_stream: 0 }
    }

    /// False where a client has sent too much.
    fn count(&mut self, bytes: &[u8]) -> bool {
        let mut counted = 0;
        let last_stream = &mut self.last_stream;
        self.inbound.pass(bytes, |head| match head.kind {
            HEADERS => *last_stream = head.stream.max(*last_stream),
            // Flow control bounds bytes, and the codec the frames of one field block.
            CONTINUATION => {}
            DATA if head.length > 0 => {}
            RST_STREAM => counted += PER_RESET,
            _ => counted += 1,
        });
        self.budget.take(counted)
    }
}

impl Frames {
    fn pass(&mut self, mut bytes: &[u8], mut each: impl FnMut(Head)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let taken = (HEAD - self.begun).min(bytes.len());
            self.head[self.begun..self.begun + taken].copy_from_slice(&bytes[..taken]);
            self.begun += taken;
            bytes = &bytes[taken..];
            if self.begun == HEAD {
                let [a, b, c, kind, _, s @ ..] = self.head;
                let head = Head {
                    length: u32::from_be_bytes([0, a, b, c]) as usize,
                    kind,
                    stream: u32::from_be_bytes(s) & (u32::MAX >> 1),
                };
                each(head);
                (self.begun, self.skip) = (0, head.length);
            }
        }
    }

    fn between(&self) -> bool {
        self.begun == 0 && self.skip == 0
    }
}

impl Budget {
    fn take(&mut self, count: u64) -> bool {
        if count > self.left {
            self.fill();
        }
        let enough = count <= self.left;
        self.left = self.left.saturating_sub(count);
        enough
    }

    fn fill(&mut self) {
        let steps = self.in_work.steps();
        let seconds = self.filled.elapsed().as_secs();
        let earned = seconds.saturating_mul(PER_SECOND).saturating_add((steps - self.steps) * PER_STEP);
        // A part of a second counts later.
        self.filled += std::time::Duration::from_secs(seconds);
        self.steps = steps;
        self.left = self.left.saturating_add(earned).min(AT_ONCE);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Counted<S> {
    /// Says why, as far as that goes at once, and ends the stream.
    fn part(&mut self, context: &mut Context) -> io::Error {
        self.budget.in_work.flood();
        const ENHANCE_YOUR_CALM: u8 = 0x0b;
        const GOAWAY: u8 = 7;
        // In the middle of a frame that the client does not take, nothing can be said.
        if self.outbound.between() {
            let mut goaway = [0; HEAD + 8];
            (goaway[2], goaway[3], goaway[16]) = (8, GOAWAY, ENHANCE_YOUR_CALM);
            goaway[HEAD..HEAD + 4].copy_from_slice(&self.last_stream.to_be_bytes());
            let _ = Pin::new(&mut self.stream).poll_write(context, &goaway);
            let _ = Pin::new(&mut self.stream).poll_flush(context);
        }
        io::ErrorKind::ConnectionAborted.into()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        buffer: &mut ReadBuf,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if !self.count(&buffer.filled()[before..]) {
            return Poll::Ready(Err(self.part(context)));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.outbound.pass(&bytes[..count], |_| {});
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        slices: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(mut count)) = written {
            for slice in slices {
                let part = slice.len().min(count);
                self.outbound.pass(&slice[..part], |_| {});
                count -= part;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, payload.len() as u8, kind, 0, 0, 0, 0, stream];
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn heads_are_found_however_the_bytes_are_cut() {
        let bytes = [frame(DATA, 1, b"abc"), frame(4, 0, b""), frame(HEADERS, 3, &[7; 200])].concat();
        let expected = [(3, DATA, 1), (0, 4, 0), (200, HEADERS, 3)];
        for size in 1..=bytes.len() {
            let (mut frames, mut heads) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.pass(piece, |head| heads.push((head.length, head.kind, head.stream)));
            }
            assert_eq!(heads, expected, "pieces of {size}");
            assert!(frames.between());
        }
    }

    #[test]
    fn frames_beside_requests_are_bounded_and_answers_make_room_for_more() {
        let in_work = Arc::new(InWork::default());
        let mut counted = Counted::new((), Arc::clone(&in_work));
        assert!(counted.count(&[0; PREFACE]));
        assert!((0..AT_ONCE).all(|_| counted.count(&frame(6, 0, b"12345678"))));
        assert!((0..2 * AT_ONCE).all(|_| counted.count(&frame(DATA, 1, b"x"))), "bytes of a body are free");
        in_work.step();
        assert!((0..PER_STEP).all(|_| counted.count(&frame(DATA, 1, b""))));
        assert!(!counted.count(&frame(6, 0, b"12345678")));
    }

    #[test]
    fn no_client_saves_up_more_than_it_may_send_at_once() {
        let in_work = Arc::new(InWork::default());
        let mut counted = Counted::new((), Arc::clone(&in_work));
        counted.count(&[0; PREFACE]);
        for _ in 0..10 * AT_ONCE {
            in_work.step();
        }
        let sent = (0..3 * AT_ONCE).take_while(|_| counted.count(&frame(3, 1, &[0; 4]))).count() as u64;
        // What it had, and what it could save.
        assert_eq!(sent, 2 * AT_ONCE / PER_RESET);
    }
}
