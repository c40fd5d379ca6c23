//! Entries as a file, as they are read: memory does not grow with their number. A file that is whole says so by the
//! end of its body; whatever goes wrong, a panic too, breaks the connection off instead.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{Semaphore, mpsc};
use utoipa::ToSchema;

use crate::ledger::{Exporter, Form, Order, Query, Search};

use super::super::super::guard::{Act, Fault, blocking, rights};
use super::super::super::store::now;
use super::super::super::words;
use super::{Filter, described};

/// Bytes that are read ahead.
const CHUNK: usize = 64 << 10;
const AHEAD: usize = 4;
/// Exports at once: each has a thread for as long as somebody reads it.
const MOST: usize = 4;
static SLOTS: Semaphore = Semaphore::const_new(MOST);
/// How long somebody may take for the next piece.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a reason.
const MAX_TEXT: usize = 2000;

/// What to export.
#[derive(Deserialize, ToSchema)]
pub struct Export {
    /// `csv`, `jsonl` or `ocsf`.
    form: String,
    /// What for.
    #[serde(default)]
    reason: String,
    #[serde(flatten)]
    filter: Filter,
}

pub async fn export(act: Act<rights::Export, Export>) -> Result<Response, Fault> {
    let Act { house, who, form: Export { form, reason, filter }, .. } = act;
    let (form, kind, end) = match form.as_str() {
        "csv" => (Form::Csv, "text/csv; charset=utf-8", "csv"),
        "jsonl" => (Form::JsonLines, "application/jsonl", "jsonl"),
        "ocsf" => (Form::Ocsf, "application/jsonl", "ocsf.jsonl"),
        _ => return Err(Fault::Wrong("An export is csv, jsonl or ocsf.".into())),
    };
    if reason.len() > MAX_TEXT {
        return Err(Fault::Wrong(format!("A reason has at most {MAX_TEXT} bytes.")));
    }
    let mut query = filter.query(now()).map_err(Fault::Wrong)?;
    query.before = None;
    let slot = SLOTS.try_acquire().map_err(|_| {
        Fault::Conflict(format!("{MOST} exports are on their way. Ask again when one of them is through."))
    })?;
    let mut event = described(&house, &filter, &query).await?;
    event["form"] = json!(end);
    event["reason"] = json!(reason);
    house.note(&who, "export", event).await?;
    let search = blocking(move || house.search()).await?;
    let (tell, pieces) = mpsc::channel(AHEAD);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _slot = slot;
        let mut chunks = Chunks { tell, runtime, held: Vec::with_capacity(CHUNK) };
        match write(&search, &query, form, &mut chunks) {
            Ok(()) => _ = chunks.send(Piece::End),
            Err(error) if chunks.tell.is_closed() => {
                tracing::info!(error = format!("{error:#}"), "nobody reads an export on");
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "an export broke off"),
        }
    });
    let name = format!("attachment; filename=\"fieldgate-{}.{end}\"", words::day(now()));
    Ok(([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, name)], body(pieces)).into_response())
}

/// What stands in the channel.
enum Piece {
    Chunk(Bytes),
    /// The file is whole.
    End,
}

/// A channel that closes before the end is a body that breaks off, so that nobody takes a half for the whole.
fn body(pieces: mpsc::Receiver<Piece>) -> Body {
    Body::from_stream(stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Piece::Chunk(chunk)) => Some((Ok(chunk), Some(pieces))),
            Some(Piece::End) => None,
            None => Some((Err(io::Error::other("the export broke off")), None)),
        }
    }))
}

fn write(search: &Search, query: &Query, form: Form, out: &mut Chunks) -> anyhow::Result<()> {
    let mut exporter = Exporter::new(form, out)?;
    search.each(query, Order::OldestFirst, |position, leaf| {
        exporter.entry(position, Some(leaf))?;
        Ok::<_, anyhow::Error>(ControlFlow::Continue(()))
    })?;
    exporter.finish()?.flush()?;
    Ok(())
}

/// Hands on what is written, in pieces. Whoever stops reading ends the export.
struct Chunks {
    tell: mpsc::Sender<Piece>,
    runtime: Handle,
    held: Vec<u8>,
}

impl Chunks {
    fn send(&self, piece: Piece) -> io::Result<()> {
        let sent = self.runtime.block_on(self.tell.send_timeout(piece, PATIENCE));
        sent.map_err(|error| match error {
            SendTimeoutError::Timeout(_) => io::ErrorKind::TimedOut.into(),
            SendTimeoutError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.held, Vec::with_capacity(CHUNK));
        self.send(Piece::Chunk(chunk.into()))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_file_is_whole_only_where_its_writer_says_so() {
        for is_whole in [true, false] {
            let (tell, pieces) = mpsc::channel(AHEAD);
            tell.send(Piece::Chunk(Bytes::from_static(b"a line\n"))).await.ok();
            if is_whole {
                tell.send(Piece::End).await.ok();
            }
            // As a thread that panics leaves it.
            drop(tell);
            let collected = body(pieces).collect().await;
            assert_eq!(collected.is_ok(), is_whole);
        }
    }
}
