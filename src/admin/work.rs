//! Work that somebody asks for and that takes longer than a page: the ledger is verified, what could be pruned is
//! worked out. One of a kind at a time, on a thread that has the processor after those that serve.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use super::store::now;

/// Of threads that do not serve.
const NICENESS: i32 = 10;

/// Work of one kind, and what came of it last.
pub struct Work<T>(Arc<Mutex<Standing<T>>>);

/// How far it is.
#[derive(Clone, Serialize, ToSchema)]
pub struct Standing<T> {
    pub running: Option<Running>,
    pub last: Option<Done<T>>,
}

/// Work that goes on.
#[derive(Clone, Serialize, ToSchema)]
pub struct Running {
    pub by: String,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub since: i64,
    pub done: u64,
    /// 0 as long as that is not known.
    pub all: u64,
}

/// Work that ended.
#[derive(Clone, Serialize, ToSchema)]
pub struct Done<T> {
    pub by: String,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    /// How long it took, in microseconds.
    pub took: i64,
    pub outcome: Outcome<T>,
}

/// What came of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome<T> {
    Found(T),
    /// It broke off; why.
    Failed(String),
}

/// There is no thread for it, or the work goes on already.
pub struct NotBegun;

impl<T> Default for Work<T> {
    fn default() -> Self {
        Work(Arc::new(Mutex::new(Standing { running: None, last: None })))
    }
}

impl Running {
    /// In per cent.
    pub fn share(&self) -> u64 {
        (self.done * 100).checked_div(self.all).unwrap_or(0).min(100)
    }
}

impl<T: Clone + Send + 'static> Work<T> {
    pub fn standing(&self) -> Standing<T> {
        lock(&self.0).clone()
    }

    /// What came of it the last time, also before a restart.
    pub fn remember(&self, done: Done<T>) {
        lock(&self.0).last = Some(done);
    }

    /// Begins, where it does not go on already. `then` is told what came of it, on the same thread.
    ///
    /// # Errors
    /// Where it goes on already.
    pub fn begin(
        &self,
        by: &str,
        work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> anyhow::Result<T> + Send + 'static,
        then: impl FnOnce(&Done<T>) + Send + 'static,
    ) -> Result<(), NotBegun> {
        let since = now();
        {
            let mut standing = lock(&self.0);
            if standing.running.is_some() {
                return Err(NotBegun);
            }
            standing.running = Some(Running { by: by.to_owned(), since, done: 0, all: 0 });
        }
        let (shared, by) = (Arc::clone(&self.0), by.to_owned());
        let run = move || {
            // Linux takes a thread's number for a process's here; what it starts is as nice.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
            let mut progress = |done, all| {
                if let Some(running) = &mut lock(&shared).running {
                    (running.done, running.all) = (done, all);
                }
            };
            let work = std::panic::AssertUnwindSafe(|| work(&mut progress));
            let outcome = match std::panic::catch_unwind(work) {
                Ok(Ok(found)) => Outcome::Found(found),
                Ok(Err(error)) => Outcome::Failed(format!("{error:#}")),
                Err(_) => Outcome::Failed("it broke off; the gateway's log says where".to_owned()),
            };
            let done = Done { by, at: now(), took: now() - since, outcome };
            then(&done);
            let mut standing = lock(&shared);
            (standing.running, standing.last) = (None, Some(done));
        };
        let begun = std::thread::Builder::new().name("review".into()).spawn(run);
        if begun.is_err() {
            lock(&self.0).running = None;
            return Err(NotBegun);
        }
        Ok(())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn one_at_a_time_and_a_panic_is_an_outcome() {
        let work = Work::<u32>::default();
        let (go, wait) = mpsc::channel::<()>();
        let (told, hear) = mpsc::channel();
        let tell = told.clone();
        let first = move |progress: &mut dyn FnMut(u64, u64)| {
            progress(1, 4);
            let _ = wait.recv();
            Ok(7)
        };
        assert!(work.begin("anna", first, move |done| _ = tell.send(done.outcome.clone())).is_ok());
        assert!(work.begin("bert", |_| Ok(8), |_| {}).is_err());
        go.send(()).unwrap();
        assert_eq!(hear.recv().unwrap(), Outcome::Found(7));
        while work.standing().running.is_some() {
            std::thread::yield_now();
        }
        assert!(
            work.begin("bert", |_| panic!("of a test"), move |done| _ = told.send(done.outcome.clone()))
                .is_ok()
        );
        assert!(matches!(hear.recv().unwrap(), Outcome::Failed(why) if why.contains("broke off")));
    }
}
