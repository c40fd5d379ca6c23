//! The bytes of a connection to an upstream, in the clear or over TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection to an upstream.
pub enum Wire {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// A TCP connection that can be asked whether it is silent.
pub struct Socket {
    tcp: TcpStream,
    ask: Ask,
}

/// Asks a socket, whoever holds it now, to look at what the kernel has before it is next read: the runtime
/// may not know yet of bytes or an end that are there.
#[derive(Clone, Default)]
pub struct Ask(Arc<AtomicBool>);

impl Ask {
    // Asked and answered by one task; the flag is atomic for the compiler only.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the socket has looked since it was asked.
    pub fn is_answered(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    fn answer(&self) -> bool {
        let asked = self.0.load(Ordering::Relaxed);
        if asked {
            self.0.store(false, Ordering::Relaxed);
        }
        asked
    }
}

impl Socket {
    pub fn new(tcp: TcpStream) -> (Self, Ask) {
        let ask = Ask::default();
        (Socket { tcp, ask: ask.clone() }, ask)
    }

    /// Whether there is an end.
    ///
    /// # Errors
    /// Where there are bytes: nobody asked for them.
    fn look(&self) -> io::Result<bool> {
        match recv(&self.tcp, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) => Ok(false),
            Ok((_, 0)) => Ok(true),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "bytes that nobody asked for")),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        if self.ask.answer() && self.look()? {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        pieces: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context,
        pieces: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Wire::Plain(socket) => socket.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn a_socket_that_is_asked_sees_what_the_runtime_does_not_know_yet() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut other, _) = listener.accept().unwrap();
        let (mut socket, ask) = Socket::new(tcp);
        let mut bytes = [0; 8];
        let mut read = |asked: bool| {
            if asked {
                ask.ask();
            }
            let mut buffer = ReadBuf::new(&mut bytes);
            let mut cx = Context::from_waker(Waker::noop());
            let read = Pin::new(&mut socket).poll_read(&mut cx, &mut buffer);
            assert!(ask.is_answered());
            read.map(|read| read.map(|()| buffer.filled().len()).map_err(|error| error.kind()))
        };
        assert_eq!((read(false), read(true)), (Poll::Pending, Poll::Pending));
        other.write_all(b"x").unwrap();
        // Nothing here waits, so that the runtime learns nothing.
        assert_eq!(read(false), Poll::Pending);
        assert_eq!(read(true), Poll::Ready(Err(io::ErrorKind::InvalidData)));
    }

    #[tokio::test]
    async fn a_socket_that_is_asked_sees_an_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut socket, ask) = Socket::new(tcp);
        drop(listener.accept().unwrap());
        ask.ask();
        let mut bytes = [0; 8];
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut socket).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
        assert!(matches!(read, Poll::Ready(Ok(()))) && buffer.filled().is_empty());
    }
}
