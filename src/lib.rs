pub mod diagnostic;
pub mod filter;
pub mod ledger;
pub mod model;
pub mod rules;
