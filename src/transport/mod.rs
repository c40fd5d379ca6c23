//! Sockets and TLS: who is at the other end, and the bytes of HTTP.
//!
//! **Guarantees.** TLS 1.3 and 1.2 only, and none only where `Listener::bind` is given none; a client certificate that is shown was verified against the
//! client CA and its revocation lists in this handshake, or by the same files in one some seconds before: nothing is
//! resumed, no early data is taken, and that the client has the key is proven in each. On a connection that stays
//! open it is verified again by the files of the day. Every wait has an end: handshake, request head, idle connection, drain. A coded body is decoded
//! within fixed bounds of size, ratio and memory. An HTTP/1.1 request whose end two servers could see in
//! two places is marked [`Doubtful`], and so is all that follows it.
//!
//! **Trusts** rustls and hyper for the two protocols.
//!
//! **Must not** know what a contractor is, or of the ledger.
//!
//! **Called by** `app`, which hands it the service; `proxy` reads [`Peer`], and works
//! by [`Turn`].

mod decode;
mod doorway;
mod framing;
mod identity;
mod listener;
mod outbound;
mod remembered;
mod revocation;
mod signature;
mod syslog;
mod tls;
mod turn;
mod upstream;
mod validity;

pub use decode::{Coding, DecodeError, DecodeLimits, Decoder};
pub use doorway::Doorway;
pub use framing::Doubtful;
pub use identity::{ClientIdentity, NotTrusted, Peer};
pub use listener::{Capacity, Drain, Listener, Timeouts, bind};
pub use outbound::{HttpClient, http_client};
pub use signature::{BodyKey, cause};
pub use syslog::{Parting, SyslogMessage, SyslogServer, SyslogWay, machine};
pub use tls::{ClientFiles, ServerFiles, TlsError, client_config};
pub use turn::Turn;
pub use upstream::{
    Answer, AnswerBody, CallFault, Check, EndpointTerms, Endpoints, InvalidEndpoint, MAX_ENDPOINTS,
};
pub use validity::{Validity, validities};
