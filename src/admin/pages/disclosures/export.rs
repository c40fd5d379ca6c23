//! Entries as a file, as they are read: memory does not grow with their number.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::ledger::{Exporter, Form, Order, Query, Search};

use super::super::super::guard::{Act, Fault, blocking, rights};
use super::super::super::store::now;
use super::super::super::words;
use super::Filter;

/// Bytes that are read ahead.
const CHUNK: usize = 64 << 10;
const AHEAD: usize = 4;
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
    let mut event = filter.described(&house.plan());
    event["form"] = json!(end);
    event["reason"] = json!(reason);
    house.note(&who, "export", event).await?;
    let opened = Arc::clone(&house);
    let search = blocking(move || opened.search()).await?;
    let (tell, chunks) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write(&search, &query, form, &tell) {
            // The body ends without its end, so that nobody takes a half for the whole.
            let _ = tell.blocking_send(Err(std::io::Error::other("the export broke off")));
            tracing::error!(error = format!("{error:#}"), "an export broke off");
        }
    });
    let body = Body::from_stream(stream::unfold(chunks, |mut chunks| async move {
        let chunk: std::io::Result<Bytes> = chunks.recv().await?;
        Some((chunk, chunks))
    }));
    let name = format!("attachment; filename=\"fieldgate-{}.{end}\"", words::day(now()));
    Ok(([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, name)], body).into_response())
}

fn write(
    search: &Search,
    query: &Query,
    form: Form,
    tell: &mpsc::Sender<std::io::Result<Bytes>>,
) -> anyhow::Result<()> {
    let out = Chunks { tell, held: Vec::with_capacity(CHUNK) };
    let mut exporter = Exporter::new(form, out)?;
    search.each(query, Order::OldestFirst, |position, leaf| {
        exporter.entry(position, Some(leaf))?;
        Ok::<_, anyhow::Error>(ControlFlow::Continue(()))
    })?;
    exporter.finish()?.flush()?;
    Ok(())
}

/// Hands on what is written, in pieces. Whoever stops reading ends the export.
struct Chunks<'c> {
    tell: &'c mpsc::Sender<std::io::Result<Bytes>>,
    held: Vec<u8>,
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.held, Vec::with_capacity(CHUNK));
        let sent = self.tell.blocking_send(Ok(chunk.into()));
        sent.map_err(|_| std::io::Error::new(std::io::ErrorKind::BrokenPipe, "nobody reads on"))
    }
}
