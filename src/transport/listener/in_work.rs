//! What happens on one connection, so that one on which nothing moves is found.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};

/// Bytes a second that a client must take of each response, on the mean: whoever takes less holds memory.
const LEAST_RATE: u64 = 1 << 10;
/// Bytes of a response that the client takes in one step, at most.
const STEP: u64 = 16 << 10;

#[derive(Default)]
pub struct InWork {
    /// Requests without an answer yet.
    handling: AtomicUsize,
    /// Requests that have come.
    begun: AtomicU64,
    /// Responses with pieces left, that wait for the client.
    sending: AtomicUsize,
    /// Responses with pieces left, that wait for us.
    waiting: AtomicUsize,
    /// Answers, and pieces of them that the client took.
    steps: AtomicU64,
    flooded: AtomicBool,
}

/// What was seen at the last look.
#[derive(Default)]
pub struct Seen {
    begun: u64,
    sending: usize,
    steps: u64,
}

impl InWork {
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// The client has sent too much that was not asked for.
    pub fn flood(&self) {
        self.flooded.store(true, Ordering::Relaxed);
    }

    pub fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    pub fn is_sending(&self) -> bool {
        self.sending.load(Ordering::Relaxed) > 0
    }

    /// Whether enough has moved since it was last asked, `time` ago: the client takes what waits for it, and
    /// where nothing does, there is a request in work or has been one.
    pub fn moved(&self, seen: &mut Seen, time: Duration) -> bool {
        let now = Seen {
            begun: self.begun.load(Ordering::Relaxed),
            sending: self.sending.load(Ordering::Relaxed),
            steps: self.steps(),
        };
        let before = std::mem::replace(seen, now);
        let steps = seen.steps - before.steps;
        // Of those that have waited all the time.
        let waited = before.sending.min(seen.sending) as u64;
        if waited > 0 {
            let least = (time.as_secs() * LEAST_RATE / STEP).max(1);
            return steps >= waited * least;
        }
        let ours = self.handling.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed);
        ours > 0 || steps > 0 || seen.begun != before.begun
    }
}

/// A request without an answer.
pub struct Handling(Arc<InWork>);

impl Handling {
    pub fn new(in_work: &Arc<InWork>) -> Self {
        in_work.handling.fetch_add(1, Ordering::Relaxed);
        in_work.begun.fetch_add(1, Ordering::Relaxed);
        Handling(Arc::clone(in_work))
    }

    /// It has one.
    pub fn answered<B>(self, body: B) -> Watched<B> {
        self.0.step();
        self.0.sending.fetch_add(1, Ordering::Relaxed);
        Watched { body, in_work: Arc::clone(&self.0), waits: false }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.handling.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response body whose progress shows that the client reads.
pub struct Watched<B> {
    body: B,
    in_work: Arc<InWork>,
    /// There is no next piece yet.
    waits: bool,
}

impl<B> Watched<B> {
    fn place(&self) -> &AtomicUsize {
        if self.waits { &self.in_work.waiting } else { &self.in_work.sending }
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.place().fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_pending() != self.waits {
            self.place().fetch_sub(1, Ordering::Relaxed);
            self.waits = frame.is_pending();
            self.place().fetch_add(1, Ordering::Relaxed);
        }
        if frame.is_ready() {
            self.in_work.step();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_connection_rests_when_nothing_comes_and_nothing_is_in_work() {
        let (in_work, mut seen) = (Arc::new(InWork::default()), Seen::default());
        assert!(!in_work.moved(&mut seen, MINUTE));
        let request = Handling::new(&in_work);
        assert!(in_work.moved(&mut seen, MINUTE) && in_work.moved(&mut seen, MINUTE));
        drop(request.answered(Full::<Bytes>::default()));
        assert!(in_work.moved(&mut seen, MINUTE) && !in_work.moved(&mut seen, MINUTE));
    }

    #[test]
    fn each_response_must_be_taken_at_the_least_rate_whatever_else_is_asked_for() {
        let (in_work, mut seen) = (Arc::new(InWork::default()), Seen::default());
        let slow = Handling::new(&in_work).answered(Full::<Bytes>::default());
        let _slower = Handling::new(&in_work).answered(Full::<Bytes>::default());
        assert!(in_work.moved(&mut seen, MINUTE), "they have just begun");
        drop(Handling::new(&in_work));
        assert!(!in_work.moved(&mut seen, MINUTE));
        for _ in 0..2 * 3 {
            in_work.step();
        }
        assert!(in_work.moved(&mut seen, MINUTE));
        for _ in 0..2 * 3 - 1 {
            in_work.step();
        }
        assert!(!in_work.moved(&mut seen, MINUTE));
        drop(slow);
    }
}
