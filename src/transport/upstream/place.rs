//! One request at one endpoint: its room, its connection, its answer, and what they say about the endpoint.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::health::{Admission, Trouble};
use super::link::{Failure, Link};
use super::{CallFault, Endpoint};

/// Room for one request at an endpoint.
pub struct Place {
    endpoint: Arc<Endpoint>,
    admission: Admission,
    /// No other endpoint was in service.
    alone: bool,
}

/// What became of a request.
pub enum Sent {
    Answered(Answer),
    /// It may have been seen.
    Failed(CallFault),
    /// Nothing of it was written.
    NotBegun(Box<Request<Full<Bytes>>>),
}

/// The head of an answer, and its body as it arrives.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: AnswerBody,
}

/// The body of an answer, its transfer coding undone. Dropped before its end, it ends the connection, unless
/// the rest is there already.
pub struct AnswerBody {
    incoming: Option<Incoming>,
    state: State,
    /// The head has said that something is wrong.
    error: bool,
}

enum State {
    Open {
        link: Box<Link>,
        place: Place,
    },
    /// Its end was read.
    Whole,
    Broken,
}

impl Place {
    /// None where there is no room until `until`.
    pub async fn take(
        endpoint: Arc<Endpoint>,
        admission: Admission,
        alone: bool,
        until: Instant,
    ) -> Option<Self> {
        endpoint.pool.enter(until).await.ok()?;
        Some(Place { endpoint, admission, alone })
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(
        self,
        request: Request<Full<Bytes>>,
        deadline: Instant,
        connect_timeout: Duration,
    ) -> Sent {
        let mut request = request;
        let idempotent = request.method().is_idempotent();
        loop {
            let now = Instant::now();
            let rested = self.endpoint.pool.take(now, self.endpoint.target.generation());
            let used = rested.is_some();
            let link = match rested {
                Some(link) => Some(link),
                None => self.connect(connect_timeout.min(deadline.saturating_duration_since(now))).await,
            };
            let Some(mut link) = link else {
                return match Instant::now() < deadline {
                    true => Sent::NotBegun(Box::new(request)),
                    false => Sent::Failed(CallFault::Timeout),
                };
            };
            match timeout_at(deadline, link.send(request)).await {
                Ok(Ok(response)) => return Sent::Answered(self.answered(response, link)),
                // It was closed while it rested.
                Ok(Err(Failure { unsent: Some(unsent), .. })) if used && idempotent => request = unsent,
                Ok(Err(Failure { unsent, error })) => {
                    self.failed(Trouble::Broken, &error);
                    return match unsent.filter(|_| idempotent) {
                        Some(unsent) => Sent::NotBegun(Box::new(unsent)),
                        None => Sent::Failed(CallFault::Unreachable),
                    };
                }
                Err(late) => {
                    self.failed(Trouble::Silent, &late);
                    return Sent::Failed(CallFault::Timeout);
                }
            }
        }
    }

    async fn connect(&self, time: Duration) -> Option<Box<Link>> {
        let generation = self.endpoint.target.generation();
        let wire = match self.endpoint.target.connect(time).await {
            Ok(wire) => wire,
            Err(error) => {
                self.failed(Trouble::Silent, &error);
                return None;
            }
        };
        Link::new(wire, generation)
            .await
            .inspect_err(|error| self.failed(Trouble::Broken, error))
            .ok()
            .map(Box::new)
    }

    fn answered(self, response: http::Response<Incoming>, link: Box<Link>) -> Answer {
        let (head, incoming) = response.into_parts();
        let error = head.status.is_server_error();
        if error {
            self.tell(Trouble::Broken);
        }
        let state = State::Open { link, place: self };
        let mut body = AnswerBody { incoming: Some(incoming), state, error };
        body.finish_at_end();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// The cause goes to the log: which endpoint fails and how is the operator's to know.
    fn failed(&self, trouble: Trouble, error: &dyn std::error::Error) {
        let mut cause = error;
        while let Some(below) = cause.source() {
            cause = below;
        }
        tracing::warn!(endpoint = %self.endpoint.url, %error, %cause, "a request to an upstream failed");
        self.tell(trouble);
    }

    fn tell(&self, trouble: Trouble) {
        self.endpoint.health.failed(self.admission, trouble, self.alone, Instant::now());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.endpoint.pool.leave();
    }
}

impl AnswerBody {
    /// The next bytes; `None` at the end. Trailers are dropped.
    ///
    /// # Errors
    /// Where it breaks off, or no bytes come by `deadline`.
    pub async fn next(&mut self, deadline: Instant) -> Result<Option<Bytes>, CallFault> {
        loop {
            // Mostly it is there already, and needs no timer.
            let frame = match poll_fn(|cx| Poll::Ready(self.poll_frame(cx))).await {
                Poll::Ready(frame) => Ok(frame),
                Poll::Pending => timeout_at(deadline, poll_fn(|cx| self.poll_frame(cx))).await,
            };
            match frame {
                Ok(Some(Ok(frame))) => {
                    self.finish_at_end();
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Ok(None) => return self.ended(),
                Ok(Some(Err(error))) => return self.broke(Trouble::Broken, &error, CallFault::Unreachable),
                Err(late) => return self.broke(Trouble::Silent, &late, CallFault::Timeout),
            }
        }
    }

    /// What it is announced to have yet, in bytes.
    pub fn announced(&self) -> u64 {
        self.incoming.as_ref().map_or(0, |incoming| incoming.size_hint().lower())
    }

    fn poll_frame(&mut self, cx: &mut Context) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match (&mut self.state, &mut self.incoming) {
            (State::Open { link, .. }, Some(incoming)) => link.poll_frame(cx, incoming),
            _ => Poll::Ready(None),
        }
    }

    fn ended(&mut self) -> Result<Option<Bytes>, CallFault> {
        match self.state {
            State::Open { .. } => {
                self.finish();
                Ok(None)
            }
            State::Whole => Ok(None),
            State::Broken => Err(CallFault::Unreachable),
        }
    }

    fn broke(
        &mut self,
        trouble: Trouble,
        error: &dyn std::error::Error,
        fault: CallFault,
    ) -> Result<Option<Bytes>, CallFault> {
        if let State::Open { place, .. } = std::mem::replace(&mut self.state, State::Broken) {
            place.failed(trouble, error);
        }
        Err(fault)
    }

    fn finish_at_end(&mut self) {
        if self.incoming.as_ref().is_some_and(Body::is_end_stream) {
            self.finish();
        }
    }

    /// Its end was read: the connection is free for the next request, if it stays as it is.
    fn finish(&mut self) {
        if let State::Open { mut link, place } = std::mem::replace(&mut self.state, State::Whole) {
            if !self.error {
                place.endpoint.health.succeeded(place.admission);
            }
            if link.is_ready() {
                place.endpoint.pool.put(link, Instant::now());
            }
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // hyper reads what is there of a body that nobody wants.
        self.incoming = None;
        if let State::Open { link, .. } = &mut self.state
            && link.is_ready()
        {
            self.finish();
        }
    }
}
