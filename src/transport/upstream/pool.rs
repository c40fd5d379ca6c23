//! The connections to one endpoint: a bounded number of them, those at rest kept for the next request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::EndpointTerms;
use super::link::Link;

/// A connection that is older is not used again, so that one that is never at rest follows a name to its new
/// addresses.
const LIFETIME: Duration = Duration::from_secs(600);

/// A connection that rested for less is not looked after: a request is about to take it.
const WARM: Duration = Duration::from_secs(1);

pub struct Pool {
    /// The one that was put down last is on top. Held for a push or a pop, never while anything waits.
    #[allow(clippy::vec_box, reason = "they come and go one by one, and stay where they are")]
    idle: Mutex<Vec<Box<Link>>>,
    room: Semaphore,
    waiting: AtomicUsize,
    max_connections: usize,
    max_idle: usize,
    idle_timeout: Duration,
}

/// There is no room, and none came free in time.
pub struct Full;

impl Pool {
    pub fn new(terms: &EndpointTerms) -> Self {
        Pool {
            idle: Mutex::default(),
            room: Semaphore::new(terms.max_connections),
            waiting: AtomicUsize::new(0),
            max_connections: terms.max_connections,
            max_idle: terms.max_idle.min(terms.max_connections),
            idle_timeout: terms.idle_timeout,
        }
    }

    /// Requests that have room.
    pub fn load(&self) -> usize {
        self.max_connections - self.room.available_permits()
    }

    pub fn has_room(&self) -> bool {
        self.room.available_permits() > 0
    }

    /// Takes room for a request and its connection, to be given back by [`Pool::leave`]. As many may wait for
    /// it as there can be connections.
    ///
    /// # Errors
    /// Where there is none until `until`, or too many wait.
    pub async fn enter(&self, until: Instant) -> Result<(), Full> {
        if let Ok(room) = self.room.try_acquire() {
            room.forget();
            return Ok(());
        }
        let _turn = Turn::take(&self.waiting, self.max_connections).ok_or(Full)?;
        match timeout_at(until, self.room.acquire()).await {
            Ok(Ok(room)) => {
                room.forget();
                Ok(())
            }
            _ => Err(Full),
        }
    }

    pub fn leave(&self) {
        self.room.add_permits(1);
    }

    /// A connection that can take a request now, on the terms of this number.
    pub fn take(&self, now: Instant, generation: u64) -> Option<Box<Link>> {
        loop {
            let mut link = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let rest = now.saturating_duration_since(link.rested);
            if link.generation == generation && rest < self.idle_timeout && link.is_silent() {
                return Some(link);
            }
        }
    }

    /// Keeps a connection whose answer was read to its end.
    pub fn put(&self, mut link: Box<Link>, now: Instant) {
        if now.saturating_duration_since(link.made) > LIFETIME {
            return;
        }
        link.rested = now;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.max_idle {
            idle.push(link);
        }
    }

    /// Closes what rested too long, what the other side has closed, and what is on earlier terms than these.
    pub fn sweep(&self, now: Instant, generation: u64) {
        let rest = |link: &Link| now.saturating_duration_since(link.rested);
        let mut cold = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let warm = idle.iter().position(|link| rest(link) < WARM).unwrap_or(idle.len());
            let warm = idle.split_off(warm);
            std::mem::replace(&mut *idle, warm)
        };
        cold.retain_mut(|link| {
            link.generation == generation && rest(link) < self.idle_timeout && link.is_silent()
        });
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Requests may have made connections meanwhile.
        let most = self.max_idle.min(self.max_connections - self.load());
        cold.truncate(most.saturating_sub(idle.len()));
        idle.splice(..0, cold);
    }
}

/// A place in the queue.
struct Turn<'p>(&'p AtomicUsize);

impl<'p> Turn<'p> {
    fn take(waiting: &'p AtomicUsize, places: usize) -> Option<Self> {
        let turn = Turn(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < places).then_some(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
