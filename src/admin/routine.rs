//! Work beside the pages that follows the ledger, on a thread of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// Of threads that do not serve.
const NICENESS: i32 = 10;

/// The thread; it ends when this is dropped.
pub struct Routine {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Says whether it is time to end, in the middle of long work.
pub struct Stop(Receiver<()>);

impl Stop {
    pub fn is_asked(&self) -> bool {
        // Nothing is ever sent: the other end goes away.
        !matches!(self.0.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty))
    }
}

impl Routine {
    /// Looks again and again. `tell` says the first of several failures in a row.
    ///
    /// # Errors
    /// Where there is no thread.
    pub fn begin(
        name: &str,
        mut look: impl FnMut(&Stop) -> anyhow::Result<()> + Send + 'static,
        tell: fn(&str),
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            // Linux takes a thread's number for a process's here.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
            let (stop, mut told) = (Stop(stopped), false);
            loop {
                let pause = match look(&stop) {
                    Ok(()) => {
                        told = false;
                        LOOK
                    }
                    Err(error) => {
                        if !told {
                            tell(&format!("{error:#}"));
                        }
                        told = true;
                        PAUSE
                    }
                };
                if !matches!(stop.0.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        })?;
        Ok(Routine { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Routine {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
impl Stop {
    /// One that nobody asks for.
    pub fn never() -> (Sender<()>, Self) {
        let (keep, stopped) = channel();
        (keep, Stop(stopped))
    }
}
