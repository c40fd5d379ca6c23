//! Long work by turns, so that what is short need not wait for all of it.
//!
//! A worker of the runtime runs its tasks one after the other, and looks at its sockets in between. Where many of
//! them have long work to do, each gives way behind a piece of it, and only as many as have a turn are in work at all:
//! the others wait for their turn and not in front of everybody else.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// How often a worker that has turns in work offers its core to other threads. If it did with each turn, one that
/// computes all the time beside it would get nearly all of the core.
const OFFER: Duration = Duration::from_micros(500);

/// A place among those who wait for a turn, and the turn while it is held.
pub struct Turn<'a> {
    turns: &'a Semaphore,
    held: Option<SemaphorePermit<'a>>,
    waited: Duration,
    offers_core: bool,
}

impl<'a> Turn<'a> {
    /// A turn out of `turns`, not held yet.
    pub fn of(turns: &'a Semaphore) -> Self {
        Turn { turns, held: None, waited: Duration::ZERO, offers_core: false }
    }

    /// One that, when it is passed on, offers the core to other threads as well, if it was not offered a moment ago:
    /// for work without end in sight, with a ledger that waits beside it.
    pub fn offering_core(turns: &'a Semaphore) -> Self {
        Turn { offers_core: true, ..Turn::of(turns) }
    }

    /// Waits for it, where it is not held.
    pub async fn take(&mut self) {
        if self.held.is_none() {
            let asked = Instant::now();
            // They are never closed.
            self.held = self.turns.acquire().await.ok();
            self.waited += asked.elapsed();
        }
    }

    /// Works in the turn only. While the work itself has to wait, others have it.
    pub async fn work<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            self.take().await;
            if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
                return done;
            }
            self.held = None;
            let mut asked = false;
            // Whatever the work waits for wakes this task.
            poll_fn(|_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending })
                .await;
        }
    }

    /// Gives it back behind everybody else: while the turn is handed on from one to the next, the runtime would not
    /// look for long whether a socket has news.
    pub async fn pass_on(&mut self) {
        if let Some(over) = self.held.take() {
            let began = Instant::now();
            if self.offers_core {
                offer_core();
            }
            tokio::task::yield_now().await;
            drop(over);
            self.waited += began.elapsed();
        }
    }

    /// How long others were waited for, since this was asked last.
    pub fn waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}

/// Lets another thread go first that waits for this core, as the ledger's may: a scheduler would leave it to this one,
/// which always has work, for some milliseconds.
fn offer_core() {
    thread_local! {
        static OFFERED: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let now = Instant::now();
    if OFFERED.get().is_none_or(|last| now - last >= OFFER) {
        OFFERED.set(Some(now));
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_waits_gives_the_turn_back_and_goes_on_in_the_next() {
        let turns = Semaphore::new(1);
        let mut turn = Turn::of(&turns);
        let mut polled = Vec::new();
        let work = poll_fn(|cx| {
            polled.push(turns.available_permits());
            cx.waker().wake_by_ref();
            if polled.len() == 3 { Poll::Ready(()) } else { Poll::Pending }
        });
        turn.work(work).await;
        assert_eq!(polled, [0, 0, 0]);
        assert!(turn.held.is_some());
        turn.pass_on().await;
        assert_eq!((turn.held.is_some(), turns.available_permits()), (false, 1));
        let waiting = turn.work(std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::ZERO, waiting).await.is_err());
        assert_eq!(turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn one_that_has_its_turn_passes_it_on_in_the_order_of_asking() {
        let (turns, order) = (Semaphore::new(1), Cell::new(0));
        let piece = |name: u32| {
            let (turns, order) = (&turns, &order);
            async move {
                let mut turn = Turn::of(turns);
                for _ in 0..2 {
                    turn.take().await;
                    order.set(order.get() * 10 + name);
                    turn.pass_on().await;
                }
            }
        };
        tokio::join!(piece(1), piece(2), piece(3));
        assert_eq!(order.get(), 123_123);
    }
}
