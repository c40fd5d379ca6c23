//! One witness, as the gateway calls it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::InvalidUri;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use rustls::ClientConfig;

use crate::ledger::{Head, NoteError, Signature, StoreError, Verifier, Witnessed, cosignature, known_size};
use crate::transport::{HttpClient, http_client};

/// Far more than the signatures of one witness, in bytes.
const MAX_ANSWER: usize = 64 << 10;
/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// A witness that heads are submitted to.
pub struct Client {
    http: HttpClient,
    target: Uri,
    key: Verifier,
}

/// Why a head was not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("there is no connection ({0})")]
    Unreachable(String),
    #[error("there is no answer in time")]
    Timeout,
    #[error("it does not know this ledger: give it the key that `fieldgate ledger key` prints")]
    Unknown,
    #[error("it does not take the ledger's signature: give it the key that `fieldgate ledger key` prints")]
    Refused,
    #[error("it answers with status {0}")]
    Status(StatusCode),
    #[error("its answer is not that of a witness")]
    Malformed,
    #[error("its cosignature does not count ({0}): is `key` the one that it prints?")]
    Cosignature(NoteError),
    /// It has cosigned more entries than there are.
    #[error("it has seen {0} entries, more than there are")]
    Ahead(u64),
    /// What it has cosigned is not how the ledger began.
    #[error("it has seen another history of this ledger")]
    Forked,
    #[error(transparent)]
    Ledger(#[from] StoreError),
}

enum Reply {
    Cosigned(Signature),
    /// It has cosigned so many entries, and needs the proof from there.
    Knows(u64),
}

impl Client {
    /// `url` has no slash at its end.
    ///
    /// # Errors
    /// Where `url` is not one.
    pub fn new(url: &str, tls: Option<ClientConfig>, key: Verifier) -> Result<Self, InvalidUri> {
        let target = format!("{url}/add-checkpoint").parse()?;
        Ok(Self { http: http_client(tls, CONNECT), target, key })
    }

    pub fn key(&self) -> &Verifier {
        &self.key
    }

    /// Submits a head to the witness, which has probably cosigned `known` entries before.
    ///
    /// # Errors
    /// Every [`Fault`] but [`Fault::Timeout`]: how long to wait is for the caller to say.
    pub async fn submit(&self, ledger: &Arc<Witnessed>, head: &Head, known: u64) -> Result<Signature, Fault> {
        let known = match self.post(ledger, head, known.min(head.size)).await? {
            Reply::Cosigned(cosignature) => return Ok(cosignature),
            Reply::Knows(size) if size > head.size => return Err(Fault::Ahead(size)),
            Reply::Knows(size) => size,
        };
        match self.post(ledger, head, known).await? {
            Reply::Cosigned(cosignature) => Ok(cosignature),
            Reply::Knows(size) if size > head.size => Err(Fault::Ahead(size)),
            // It must not say another size each time.
            Reply::Knows(_) => Err(Fault::Malformed),
        }
    }

    async fn post(&self, ledger: &Arc<Witnessed>, head: &Head, old: u64) -> Result<Reply, Fault> {
        let (ledger, of) = (Arc::clone(ledger), head.clone());
        // The proof is read from the disk.
        let body = tokio::task::spawn_blocking(move || ledger.request(&of, old)).await;
        let body = body.map_err(|_| Fault::Unreachable("the gateway stops".to_owned()))??;
        let mut request = Request::new(Full::from(body.to_string()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.target.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let (status, answer) = self.call(request).await?;
        match status {
            StatusCode::OK => {
                cosignature(&head.note, &answer, &self.key).map(Reply::Cosigned).map_err(Fault::Cosignature)
            }
            StatusCode::CONFLICT => known_size(&answer).map(Reply::Knows).ok_or(Fault::Malformed),
            StatusCode::UNPROCESSABLE_ENTITY => Err(Fault::Forked),
            StatusCode::NOT_FOUND => Err(Fault::Unknown),
            StatusCode::FORBIDDEN => Err(Fault::Refused),
            other => Err(Fault::Status(other)),
        }
    }

    async fn call(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Fault> {
        let unreachable = |error: &(dyn std::error::Error + 'static)| {
            let mut cause = error;
            while let Some(below) = cause.source() {
                cause = below;
            }
            Fault::Unreachable(cause.to_string())
        };
        let response = self.http.request(request).await.map_err(|error| unreachable(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| Fault::Malformed)?;
        Ok((head.status, body.to_bytes()))
    }
}
