//! Where HTTP/1.1 messages begin and end (RFC 9112), read once more beside hyper.
//!
//! hyper forgives what two servers can read in two ways: a bare LF, a length that is said twice, codings
//! before `chunked`, extensions of chunks, a fragment in the target. Most of it leaves no trace in the head
//! that it hands on. So a second, stricter reader looks at each byte on its way to hyper. What it doubts in
//! a head, the handler learns from [`Doubtful`], for this request and all that follow on the connection;
//! what it doubts in a body ends the body.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Digits of a chunk's size; 64 bits.
const MAX_DIGITS: usize = 16;

/// Among a request's extensions: the request can be read in two ways, here is how. Nothing of it may be
/// served, and nothing that follows it on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubtful(pub &'static str);

/// A connection whose requests are read along.
pub struct ReadAlong<S> {
    stream: S,
    reader: Reader,
    broken: Option<&'static str>,
}

/// The number of the first doubtful request of a connection, counted from 0; each one behind it is
/// one as well.
type First = Arc<OnceLock<(u64, Doubtful)>>;

/// What was doubted on one connection.
pub struct Doubts {
    first: First,
    handed_on: AtomicU64,
}

impl<S> ReadAlong<S> {
    /// `max_line` in bytes: the longest line of a head.
    pub fn new(stream: S, max_line: usize) -> (Self, Doubts) {
        let first = First::default();
        let reader = Reader::new(max_line, Arc::clone(&first));
        (ReadAlong { stream, reader, broken: None }, Doubts { first, handed_on: AtomicU64::new(0) })
    }
}

impl Doubts {
    /// Marks the next request of the connection where it is doubtful. Called once for each, in order.
    pub fn mark<B>(&self, mut request: Request<B>) -> Request<B> {
        let number = self.handed_on.fetch_add(1, Ordering::Relaxed);
        if let Some((_, doubt)) = self.first.get().filter(|(first, _)| number >= *first) {
            request.extensions_mut().insert(*doubt);
        }
        request
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAlong<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        buffer: &mut ReadBuf,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.broken.is_none() {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            if let Err(Broken { at, why }) = self.reader.read(&buffer.filled()[before..]) {
                buffer.set_filled(before + at);
                self.broken = Some(why);
            }
        }
        match self.broken {
            // What came before the fault is handed on first: a request that is whole is served.
            Some(why) if buffer.filled().len() == before => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAlong<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        bytes: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A body that is not what its head says, from the byte `at` on.
struct Broken {
    at: usize,
    why: &'static str,
}

/// What is being read.
#[derive(Clone, Copy)]
enum Place {
    /// Before a request line; true behind an empty line.
    Between(bool),
    Fields(Body),
    /// Bytes that are left of a body with a length.
    Length(u64),
    ChunkSize,
    /// Bytes that are left of a chunk.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Nothing on this connection is served any more.
    Doubted,
}

/// What the fields so far say of the body.
#[derive(Clone, Copy, Default)]
struct Body {
    length: Option<u64>,
    chunked: bool,
}

struct Reader {
    place: Place,
    /// The begin of a line whose end has not come.
    line: Vec<u8>,
    max_line: usize,
    /// Requests whose head has ended.
    heads: u64,
    first: First,
}

impl Reader {
    fn new(max_line: usize, first: First) -> Self {
        Reader { place: Place::Between(false), line: Vec::new(), max_line, heads: 0, first }
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// Where they do not go on with a body as they must.
    fn read(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.place {
                Place::Doubted => rest.len(),
                Place::Length(left) => self.skip(left, rest, Place::Length, Place::Between(false)),
                Place::Chunk(left) => self.skip(left, rest, Place::Chunk, Place::ChunkEnd),
                _ => self.read_line(rest).map_err(|broken| Broken { at: at + broken.at, ..broken })?,
            };
        }
        Ok(())
    }

    /// How many bytes were read.
    fn skip(&mut self, left: u64, bytes: &[u8], within: fn(u64) -> Place, then: Place) -> usize {
        let read = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - read as u64;
        self.place = if left == 0 { then } else { within(left) };
        read
    }

    /// Reads to the end of a line, or of what is there; how many bytes these were.
    fn read_line(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let end = memchr::memchr(b'\n', bytes);
        let taken = &bytes[..end.unwrap_or(bytes.len())];
        if self.line.len() + taken.len() > self.max_line {
            return self.doubt("A line is too long.", 0).map(|()| taken.len());
        }
        let kept;
        let line = if self.line.is_empty() && end.is_some() {
            taken
        } else {
            self.line.extend_from_slice(taken);
            if end.is_none() {
                return Ok(taken.len());
            }
            kept = std::mem::take(&mut self.line);
            &kept
        };
        let next = match line.strip_suffix(b"\r") {
            Some(line) => self.after(line),
            None => Err("A line ends in a bare LF."),
        };
        match next {
            Ok(place) => self.place = place,
            Err(why) => self.doubt(why, taken.len())?,
        }
        Ok(taken.len() + 1)
    }

    /// # Errors
    /// Within a body: it is cut off before the byte `at`.
    fn doubt(&mut self, why: &'static str, at: usize) -> Result<(), Broken> {
        if matches!(self.place, Place::ChunkSize | Place::ChunkEnd | Place::Trailers) {
            return Err(Broken { at, why });
        }
        // Only the first doubt counts, and there is no second one.
        let _ = self.first.set((self.heads, Doubtful(why)));
        (self.place, self.line) = (Place::Doubted, Vec::new());
        Ok(())
    }

    /// What comes after a line, which is here without its end.
    fn after(&mut self, line: &[u8]) -> Result<Place, &'static str> {
        match self.place {
            Place::Between(false) if line.is_empty() => Ok(Place::Between(true)),
            Place::Between(_) if line.is_empty() => Err("There are empty lines before the request."),
            Place::Between(_) if has_fragment(line) => Err("The request target has a fragment."),
            Place::Between(_) => Ok(Place::Fields(Body::default())),
            Place::Fields(body) if line.is_empty() => {
                self.heads += 1;
                Ok(body.place())
            }
            Place::Fields(body) => body.with(line).map(Place::Fields),
            Place::ChunkSize => match chunk_size(line) {
                Some(0) => Ok(Place::Trailers),
                Some(size) => Ok(Place::Chunk(size)),
                None => Err("A chunk begins with more than its size."),
            },
            Place::ChunkEnd if line.is_empty() => Ok(Place::ChunkSize),
            Place::ChunkEnd => Err("A chunk is longer than its size."),
            Place::Trailers if line.is_empty() => Ok(Place::Between(false)),
            // They are dropped.
            Place::Trailers => Ok(Place::Trailers),
            Place::Length(_) | Place::Chunk(_) | Place::Doubted => Ok(self.place),
        }
    }
}

impl Body {
    fn place(self) -> Place {
        match self.length {
            _ if self.chunked => Place::ChunkSize,
            None | Some(0) => Place::Between(false),
            Some(length) => Place::Length(length),
        }
    }

    /// Takes one more field in (RFC 9112, section 6).
    fn with(mut self, line: &[u8]) -> Result<Body, &'static str> {
        // hyper refuses a line without a colon, and a name with a space.
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii());
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        let is_coding = name.eq_ignore_ascii_case(b"transfer-encoding");
        if (is_length || is_coding) && (self.length.is_some() || self.chunked) {
            return Err("The length of the body is said twice.");
        }
        if is_length {
            let digits = value.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            self.length = Some(length.filter(|_| digits).ok_or("The Content-Length is not a number.")?);
        }
        if is_coding && !value.eq_ignore_ascii_case(b"chunked") {
            return Err("The Transfer-Encoding is not chunked.");
        }
        self.chunked |= is_coding;
        Ok(self)
    }
}

/// Which hyper leaves out of the target. A method may have a `#`.
fn has_fragment(request_line: &[u8]) -> bool {
    request_line.splitn(2, |byte| *byte == b' ').nth(1).is_some_and(|rest| rest.contains(&b'#'))
}

/// A size without extensions: nobody needs them, and readers disagree on where they end.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let fits = (1..=MAX_DIGITS).contains(&line.len()) && line.iter().all(u8::is_ascii_hexdigit);
    fits.then(|| u64::from_str_radix(std::str::from_utf8(line).ok()?, 16).ok()).flatten()
}

#[cfg(test)]
mod tests;
