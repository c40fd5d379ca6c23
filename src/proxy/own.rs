//! The gateway's own resources: what it answers itself, to contractors that it knows, with no customer's data.
//!
//! None of them is a disclosure: no entry is written, and no task's limit counts them.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::request::Parts;

use crate::ledger::Ledger;

use super::Refusal;
use super::authenticate::Caller;
use super::authorize::check_agreement;
use super::receipt::{Receipt, Receipts};
use super::refusal::Missing;

/// Where they all are.
const FOLDER: &str = "/.well-known/fieldgate/";

/// What is answered. Only this folder's stages make one, and none of them calls an upstream.
pub enum Own {
    Receipt(Receipt),
    /// The contractor's interface, as it was made with the rules.
    Interface(Interface),
}

/// An OpenAPI document. Only this file makes one.
pub struct Interface(Bytes);

impl Interface {
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// Gives them.
pub struct OwnResources {
    receipts: Receipts,
}

impl OwnResources {
    pub fn new(ledger: Arc<Ledger>) -> Self {
        OwnResources { receipts: Receipts::new(ledger) }
    }

    /// None where the request is for something else.
    ///
    /// # Errors
    /// Where there is none for this contractor, or not now.
    pub async fn answer(&self, caller: &Caller, head: &Parts) -> Option<Result<Own, Refusal>> {
        let rest = head.uri.path().strip_prefix(FOLDER)?;
        let receipt = rest.strip_prefix("receipts/");
        if receipt.is_none() && rest != "openapi.json" {
            return None;
        }
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Some(Err(Refusal::MethodNotAllowed("GET, HEAD".to_owned())));
        }
        if head.uri.query().is_some() {
            return Some(Err(Refusal::ParameterNotPermitted));
        }
        Some(match receipt {
            Some(name) => self.receipts.find(caller, name).await.map(Own::Receipt),
            None => interface(caller).map(Own::Interface),
        })
    }
}

/// For whom no agreement is in force, there is no interface.
fn interface(caller: &Caller) -> Result<Interface, Refusal> {
    let contractor = caller.contractor();
    check_agreement(contractor)?;
    // A plan without interfaces is never in force.
    match contractor.interface.is_empty() {
        true => Err(Refusal::NotFound(Missing::Route)),
        false => Ok(Interface(contractor.interface.clone())),
    }
}
