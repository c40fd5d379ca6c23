//! Fieldgate: the contractor data-sharing gateway.
//!
//! A TLS-terminating reverse proxy between a company's internal customer APIs and its outside
//! contractors. Each contractor sees only the fields that its task needs; every disclosure is in a
//! ledger before its first byte leaves. The package is this library and a thin program around
//! [`cli::run`].
//!
//! # Rooms
//!
//! Imports go down only; a test walks the source and says so. Each room begins with what it
//! guarantees, what it trusts, what it must not do, and who calls it.
//!
//! | room | holds |
//! | --- | --- |
//! | [`model`], [`diagnostic`], [`secrets`] | nouns; errors that point into files; files that only their owner reads |
//! | [`sandbox`] | what the process can still do once it serves |
//! | [`telemetry`] | what the gateway measures of itself, its log, traces of requests |
//! | [`token`] | signed tokens, and the keys of their issuers |
//! | [`filter`] | JSON text and compiled paths in, reduced JSON text out |
//! | [`ledger`] | entries, the one writer, journal and archive, the Merkle tree and its heads, index and search, verification, retention |
//! | [`rules`] | rule files: what is written, what is meant, the compiled plan; each contractor's interface as OpenAPI |
//! | [`transport`] | sockets, TLS, client certificates, drain; endpoints of upstreams |
//! | [`signals`] | events about requests and shapes of upstreams' answers in, what a reviewer should look at out |
//! | [`proxy`] | the life of a request |
//! | [`feed`] | entries of the ledger sent on: to a file, syslog, an HTTP endpoint, NATS JetStream |
//! | [`admin`] | the review side: sign-in, pages and their interface for programs, alerts, reviews, counts of the ledger; health and figures |
//! | [`processing`] | the record of processing activities |
//! | [`customer`] | what the company's own people are told of one customer |
//! | [`witness`] | heads to witnesses and cosignatures back; the witness as a server |
//! | [`config`], [`authority`], [`app`], [`demo`], [`cli`] | the gateway file, certificates, the wiring, the demonstration, the commands |
//!
//! # The life of a request
//!
//! `TcpStream → Peer → Caller → Permit → UpstreamRequest → UpstreamResponse → Disclosure → Recorded → Response`
//!
//! 1. [`transport`] finishes the handshake. A client certificate that is shown was verified in it, or in one some
//!    seconds before; that the client has its key is proven in each, for no session is resumed. What is known of the
//!    other end is a [`transport::Peer`].
//! 2. `hygiene` refuses what two servers could understand in two ways, and what is for another host.
//!    `authenticate` turns the peer and an API key or token into a `Caller`: one contractor, one credential,
//!    and the plan that this request is decided by to its end.
//! 3. `authorize` finds task and route, checks agreement, method, query and limits, and gives a
//!    `Permit`.
//! 4. A ledger that is known to be sick ends the request here, before the upstream is called. In a fleet, the request
//!    is then taken from what all nodes may let in.
//! 5. `forward` builds the upstream request from allow-lists and gives the answer as it arrives, its
//!    codings undone, bounded in size and time. [`transport`] picks an endpoint and a connection, which the
//!    request moves on by itself.
//! 6. `reduce` runs the [`filter`] over it and gives a `Disclosure`: the whole answer, or where it is a
//!    large list of records its first part. On a legal grant, a record leaves only where the grant names its
//!    customer ([`model::Admission`]).
//! 7. `record` writes the entry, waits until it is durable, and gives a `Recorded`, which holds the
//!    [`ledger::Receipt`].
//! 8. `respond` builds the response from a `Recorded`, or from a [`proxy::Refusal`], and from nothing
//!    else. The parts that follow are recorded one by one and come out as recorded parts only.
//!
//! Each value can only be made by its stage, and a `Refusal` has no field that could hold an upstream
//! byte. So 'nothing leaves unfiltered or unlogged' is checked by the compiler.
//!
//! # The life of a rule file
//!
//! Text → [`rules::compile`] reads it key by key, all that is wrong reported at once → the paths of each
//! route compiled into one automaton → [`rules::Plan`] with its digest → the ledger's entry 'rules' →
//! served. `fieldgate check` is the same code.
//!
//! # Threats
//!
//! [`threats`]: assets, actors, threats, controls, and the tests that prove them.

pub mod admin;
pub mod app;
pub mod authority;
pub mod cli;
pub mod config;
pub mod customer;
pub mod demo;
pub mod diagnostic;
pub mod feed;
pub mod filter;
pub mod ledger;
pub mod model;
pub mod processing;
pub mod proxy;
pub mod rules;
pub mod sandbox;
pub mod secrets;
pub mod signals;
pub mod telemetry;
#[doc = include_str!("threats.md")]
pub mod threats {}
pub mod token;
pub mod transport;
pub mod witness;
