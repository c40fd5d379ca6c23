//! The gateway as its users meet it: the real program, real TLS, real certificates, a real ledger, and
//! an upstream that says whatever the test wants.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod abuse;
mod accounts;
mod activation;
mod admin;
mod bodies;
mod browser;
mod changes;
mod codings;
mod conformance;
mod consent;
mod crash;
mod crowd;
mod database;
mod demonstration;
mod desk;
mod disclosure;
mod drift;
mod endpoints;
mod feeds;
mod fleet;
mod gathered;
mod hygiene;
mod identity;
mod leaks;
mod leases;
mod ledger;
mod legal;
mod limits;
mod lines;
mod liveness;
mod openapi;
mod refusals;
mod retention;
mod review;
mod review_pages;
mod sandbox;
mod signals;
mod streaming;
mod suggest;
mod telemetry;
mod text;
mod tokens;
mod upstreams;
mod verify;
mod witness;
