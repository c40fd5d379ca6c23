//! One entry of the ledger.

use axum::Router;

use super::super::guard::Entrance;

pub fn routes() -> Router<Entrance> {
    Router::new()
}
