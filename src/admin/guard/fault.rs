//! Why somebody does not get what they ask for.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::ledger::StoreError;

use super::super::store::{AccountError, ReviewError, Role};

/// Said to who asks in plain words; what only the operator should know goes to the log.
#[derive(Debug)]
pub enum Fault {
    /// Not signed in, or no longer.
    SignedOut,
    /// The role does not have the right.
    NotYours(Role),
    /// It does not come from our pages.
    Foreign,
    /// For a name that is not ours.
    WrongHost,
    /// Not with this method.
    Method,
    /// The form or the filter is not understood.
    Form,
    /// It says what is wrong, without a value that came in.
    Wrong(String),
    TooLarge,
    /// Sign-ins that failed; seconds until the next one is taken.
    TooMany(u64),
    /// There is no such thing.
    Missing(&'static str),
    /// Something with that name or state is there already.
    Conflict(String),
    /// The entry about it could not be written, so it does not happen.
    Ledger(anyhow::Error),
    /// It is in force, or may be, and its entry could not be written.
    HalfDone(anyhow::Error),
    /// It could not be told to the other nodes, so it does not happen.
    Fleet(ReviewError),
    /// It was told to the other nodes, or not.
    Uncertain(ReviewError),
    /// Something broke.
    Inside(anyhow::Error),
}

/// What is left of a fault in a response, for [`super::dress`] to show.
#[derive(Clone)]
pub(super) struct Told {
    pub title: &'static str,
    pub detail: String,
    pub signed_out: bool,
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Fault::SignedOut => StatusCode::UNAUTHORIZED,
            Fault::NotYours(_) | Fault::Foreign => StatusCode::FORBIDDEN,
            Fault::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            Fault::Method => StatusCode::METHOD_NOT_ALLOWED,
            Fault::Form | Fault::Wrong(_) => StatusCode::BAD_REQUEST,
            Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Fault::Missing(_) => StatusCode::NOT_FOUND,
            Fault::Conflict(_) => StatusCode::CONFLICT,
            Fault::Ledger(_) | Fault::HalfDone(_) | Fault::Fleet(_) | Fault::Uncertain(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Fault::Inside(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn told(&self) -> (&'static str, String) {
        match self {
            Fault::SignedOut => ("Sign in", "Your session is over, or you are not signed in.".into()),
            Fault::NotYours(role) => (
                "Not with this role",
                format!("You are signed in as {}, which does not allow this. Ask a colleague who may.", role.as_str()),
            ),
            Fault::Foreign => (
                "Not from our pages",
                "The request did not come from a page of this review side, or the page was old. Load it again."
                    .into(),
            ),
            Fault::WrongHost => (
                "Not our name",
                "This review side is reached by the `url` of its [admin] table, or as localhost.".into(),
            ),
            Fault::Method => ("Not with this method", "What changes something is a POST.".into()),
            Fault::Form => ("Not understood", "A field of the form is missing or not what it should be.".into()),
            Fault::Wrong(what) => ("Not understood", what.clone()),
            Fault::TooLarge => ("Too large", "At most 2 MiB are taken here.".into()),
            Fault::TooMany(seconds) => {
                ("Too many attempts", format!("Sign-in is taken again in {} minutes.", seconds.div_ceil(60)))
            }
            Fault::Missing(what) => ("Not there", format!("There is no such {what}.")),
            Fault::Conflict(what) => ("Already so", what.clone()),
            Fault::Ledger(_) => (
                "The ledger cannot be written",
                "What you do here is an entry in the ledger first. It could not be written, so nothing was done or \
                 shown. The gateway's log says why."
                    .into(),
            ),
            Fault::HalfDone(_) => (
                "Not in the ledger yet",
                "It could not be written down as a whole. What keeps data in is in force all the same, as far as it \
                 got; the gateway's log says why. Try again."
                    .into(),
            ),
            Fault::Fleet(_) => (
                "The fleet's database cannot be used",
                "What you do here counts at all nodes, by their database. It could not be told there, so nothing was \
                 changed. The gateway's log says why."
                    .into(),
            ),
            Fault::Uncertain(_) => (
                "Not certain",
                "The connection to the fleet's database was lost in between: it was changed, or not. Look again in a \
                 minute. The gateway's log says more."
                    .into(),
            ),
            Fault::Inside(_) => {
                ("Something broke", "The gateway's log says what. Nothing was changed by this request.".into())
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match &self {
            Fault::Ledger(error) | Fault::HalfDone(error) => {
                tracing::error!(error = format!("{error:#}"), "the review side cannot write an entry")
            }
            Fault::Fleet(error) | Fault::Uncertain(error) => {
                tracing::error!(%error, "the review side cannot tell the other nodes")
            }
            Fault::Inside(error) => {
                tracing::error!(error = format!("{error:#}"), "the review side has a fault")
            }
            _ => {}
        }
        let (title, detail) = self.told();
        let mut response = self.status().into_response();
        if let Fault::TooMany(seconds) = &self {
            response.headers_mut().insert(http::header::RETRY_AFTER, (*seconds).into());
        }
        let signed_out = matches!(self, Fault::SignedOut);
        response.extensions_mut().insert(Told { title, detail, signed_out });
        response
    }
}

impl From<ReviewError> for Fault {
    fn from(error: ReviewError) -> Self {
        match error {
            ReviewError::Uncertain(_) => Fault::Uncertain(error),
            ReviewError::Fleet(_)
            | ReviewError::Contended
            | ReviewError::Unknown { .. }
            | ReviewError::Differs { .. }
            | ReviewError::NotJoined(_)
            | ReviewError::Lost => Fault::Fleet(error),
            ReviewError::Database { .. }
            | ReviewError::File { .. }
            | ReviewError::TooNew(_)
            | ReviewError::Aside { .. } => Fault::Inside(error.into()),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Inside(error.into())
    }
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        Fault::Inside(error)
    }
}

impl From<askama::Error> for Fault {
    fn from(error: askama::Error) -> Self {
        Fault::Inside(error.into())
    }
}

impl From<AccountError> for Fault {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Name | AccountError::Password | AccountError::Certificate => {
                Fault::Wrong(error.to_string())
            }
            AccountError::Exists(_) => Fault::Conflict(error.to_string()),
            AccountError::Missing(_) => Fault::Missing("account"),
            AccountError::Hash => Fault::Inside(error.into()),
            AccountError::Store(error) => error.into(),
        }
    }
}
