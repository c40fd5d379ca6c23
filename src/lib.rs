pub mod config;
pub mod diagnostic;
pub mod filter;
pub mod ledger;
pub mod model;
pub mod proxy;
pub mod rules;
pub mod transport;
