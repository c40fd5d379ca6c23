//! The parts of a response after the first: each is reduced, recorded, and only then handed on, while the
//! one before is on its way to the client. A fault ends the response so that the client can tell.

use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Refusal;
use super::authorize::Permit;
use super::record::{RecordedPart, Recorder};
use super::reduce::{Leased, Rest};

/// Recorded parts that may wait for the client. With the one that is reduced, it bounds the memory of a
/// response.
const WAITING: usize = 1;

/// What is still to come of a response.
#[derive(Debug)]
pub struct Parts {
    receiver: mpsc::Receiver<Result<RecordedPart, Interrupted>>,
    /// The last part has come.
    whole: bool,
}

/// A response ends and is not whole. HTTP/1.1 shows it by a missing last chunk, HTTP/2 by a reset.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response ends here and is not whole")
    }
}

impl std::error::Error for Interrupted {}

impl Parts {
    /// The bytes of the next recorded part.
    pub fn poll_next(&mut self, context: &mut Context) -> Poll<Option<Result<Bytes, Interrupted>>> {
        self.receiver.poll_recv(context).map(|part| match part {
            Some(part) => Some(part.map(|part| {
                self.whole = part.is_last();
                part.into_bytes()
            })),
            // Whoever made the parts may have ended without a word.
            None => (!self.whole).then_some(Err(Interrupted)),
        })
    }
}

/// Goes on with a response whose first part is recorded. When nobody takes its parts any more, it ends.
pub fn follow(recorder: Recorder, permit: Permit, rest: Rest, reduction: Leased) -> Parts {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let work = run(&recorder, &permit, rest, reduction, &sender);
        let ended = tokio::select! {
            ended = work => ended,
            () = sender.closed() => return,
        };
        if let Err((refusal, parts)) = ended {
            tracing::warn!(request = %recorder.id, code = refusal.code(), cause = refusal.cause(), parts, "a response was interrupted");
            recorder.interrupted(&permit, &refusal, parts).await;
            // Whoever has gone need not be told.
            let _ = sender.send(Err(Interrupted)).await;
        }
    });
    Parts { receiver, whole: false }
}

/// The refusal that ends the response, and the parts that were handed on before.
async fn run(
    recorder: &Recorder,
    permit: &Permit,
    rest: Rest,
    reduction: Leased,
    sender: &mpsc::Sender<Result<RecordedPart, Interrupted>>,
) -> Result<(), (Refusal, u64)> {
    let (mut rest, mut reduction) = (rest, reduction);
    loop {
        let parts = rest.parts();
        let interrupted = |refusal| (refusal, parts);
        let mut disclosure = rest.next(permit.route(), reduction).await.map_err(interrupted)?;
        let recorded = recorder.part(permit, &mut disclosure).await.map_err(interrupted)?;
        if sender.send(Ok(recorded)).await.is_err() {
            return Ok(());
        }
        match disclosure.into_rest() {
            Some(next) => (rest, reduction) = next,
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_response_whose_maker_vanishes_is_interrupted_and_not_whole() {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut parts = Parts { receiver, whole: false };
        drop(sender);
        let next = std::future::poll_fn(|context| parts.poll_next(context)).await;
        assert!(matches!(next, Some(Err(Interrupted))));
    }
}
