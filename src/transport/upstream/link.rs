//! One connection to an upstream. Whoever uses it moves it on: it has no task of its own.
//!
//! So a request wakes nobody but itself, and where it is given up, its connection ends with it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::coop;
use tokio::time::Instant;

use super::wire::{Ask, Wire};

/// Largest head of an answer, and largest trailer, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Bytes that are read at once: a large body comes in pieces that are small beside a part of a response.
const MAX_READ: usize = 64 << 10;

/// A connection, open or not.
pub struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// Gone when it has ended.
    connection: Option<Connection<TokioIo<Wire>, Full<Bytes>>>,
    ask: Ask,
    /// Of the terms that it was made on, or of earlier ones.
    pub generation: u64,
    pub made: Instant,
    /// When it was last put down.
    pub rested: Instant,
}

/// Why a request has no answer.
pub struct Failure {
    pub error: hyper::Error,
    /// The request, where nothing of it was written.
    pub unsent: Option<Request<Full<Bytes>>>,
}

impl Link {
    /// `generation` is that of the terms, read before the connection was made.
    ///
    /// # Errors
    /// Where hyper does not take the connection.
    pub async fn new((wire, ask): (Wire, Ask), generation: u64) -> hyper::Result<Self> {
        let mut builder = Builder::new();
        builder.max_header_size(MAX_HEAD).max_buf_size(MAX_READ);
        let (sender, connection) = builder.handshake(TokioIo::new(wire)).await?;
        let now = Instant::now();
        Ok(Link { sender, connection: Some(connection), ask, generation, made: now, rested: now })
    }

    /// Sends a request and waits for the head of its answer. Dropped before, it leaves the link unusable.
    ///
    /// # Errors
    /// Where there is no answer, or none in HTTP/1.1.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        let mut begun = false;
        poll_fn(|cx| {
            let news = std::mem::replace(&mut begun, true);
            together(connection, cx, news, |cx| answer.as_mut().poll(cx))
        })
        .await
        .map_err(|mut failed| Failure { unsent: failed.take_message(), error: failed.into_error() })
    }

    /// The next part of the body of its answer.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context,
        body: &mut Incoming,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        together(&mut self.connection, cx, true, |cx| Pin::new(&mut *body).poll_frame(cx))
    }

    /// Whether it has nothing in work and can take a request. What is there to be read is read.
    pub fn is_ready(&mut self) -> bool {
        if !self.sender.is_ready() {
            move_on(&mut self.connection, &mut quiet());
        }
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Whether it is as it was put down: open, and not a byte came since. Bytes that nobody asked for would
    /// be taken for the answer to the next request.
    pub fn is_silent(&mut self) -> bool {
        self.ask.ask();
        move_on(&mut self.connection, &mut quiet());
        self.ask.is_answered() && self.connection.is_some() && self.sender.is_ready()
    }
}

/// Asks for no waking.
fn quiet() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Moves a connection on, and asks `part` for what came of it.
///
/// They are polled in turn by one task, so what each has to tell the other needs no waking: only the socket
/// shall wake the task. Before it is left to wait, the connection is polled for it; without `news`, only then.
/// A budget that is spent would make either look as if it had to wait: it is looked at once, here.
fn together<T>(
    connection: &mut Option<Connection<TokioIo<Wire>, Full<Bytes>>>,
    cx: &mut Context,
    news: bool,
    mut part: impl FnMut(&mut Context) -> Poll<T>,
) -> Poll<T> {
    let turn = ready!(coop::poll_proceed(cx));
    let mut both = pin!(coop::unconstrained(poll_fn(|cx| {
        if news {
            if let Poll::Ready(done) = part(&mut quiet()) {
                return Poll::Ready(done);
            }
            move_on(connection, &mut quiet());
            if let Poll::Ready(done) = part(&mut quiet()) {
                return Poll::Ready(done);
            }
        }
        move_on(connection, cx);
        part(&mut quiet())
    })));
    let done = ready!(both.as_mut().poll(cx));
    turn.made_progress();
    Poll::Ready(done)
}

/// A connection that has ended is dropped: hyper then hands back a request that it has not begun.
fn move_on(connection: &mut Option<Connection<TokioIo<Wire>, Full<Bytes>>>, cx: &mut Context) {
    let ended = connection.as_mut().map(|connection| Pin::new(connection).poll(cx));
    // What went wrong is told to the request or to the body.
    if ended.is_some_and(|ended| ended.is_ready()) {
        *connection = None;
    }
}
