//! What a request may be, before it is asked who sends it: the README's table of that name. What only the
//! bytes show, `transport` has found already.

use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::model::Host;
use crate::transport::Doubtful;

use super::Refusal;

/// Fields of a head; as many as hyper takes over HTTP/1.1.
const MAX_FIELDS: usize = 100;

/// The listener speaks TLS only.
const PORT: u16 = 443;

/// A request that is refused for its form.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfit {
    pub refusal: Refusal,
    /// Where it ends or whom it is for is in doubt: nothing more is read from an HTTP/1.1 connection.
    pub close: bool,
}

/// # Errors
/// Where two servers could understand the request in two ways, or it is for somebody else; `hosts` are
/// the gateway's own names, any name where there are none.
pub fn check(head: &Parts, hosts: &[Host]) -> Result<(), Unfit> {
    if let Some(Doubtful(why)) = head.extensions.get() {
        return Err(unclear(why));
    }
    if head.headers.len() > MAX_FIELDS {
        return Err(refused(Refusal::HeaderFieldsTooLarge));
    }
    if head.method == Method::CONNECT || !head.uri.path().starts_with('/') {
        return Err(unclear("The request target is not a path."));
    }
    // Over HTTP/2, hyper lets equal ones pass.
    if head.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(unclear("The length of the body is said twice."));
    }
    check_host(head, hosts)?;
    let expected = head.headers.get_all(EXPECT).iter();
    if expected.into_iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(refused(Refusal::ExpectationFailed));
    }
    Ok(())
}

/// The target's authority and `Host` name one host (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
fn check_host(head: &Parts, hosts: &[Host]) -> Result<(), Unfit> {
    let named = one_host(&head.headers)?;
    let target = match head.uri.authority() {
        Some(authority) => Some(read(authority.as_str())?),
        None => None,
    };
    let host = match (target, named) {
        (Some(target), Some(named)) if !target.is_same(&named, PORT) => {
            return Err(unclear("The target and Host name two hosts."));
        }
        // Only HTTP/2 does without `Host`.
        (Some(_), None) if head.version < Version::HTTP_2 => return Err(unclear("There is no Host.")),
        (None, None) if head.version > Version::HTTP_10 => return Err(unclear("There is no Host.")),
        (target, named) => target.or(named),
    };
    let secure = head.uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTPS);
    let known = |host: &Host| hosts.iter().any(|own| own.name() == host.name());
    if !secure || !hosts.is_empty() && !host.as_ref().is_some_and(known) {
        return Err(refused(Refusal::MisdirectedRequest));
    }
    Ok(())
}

fn one_host(headers: &HeaderMap) -> Result<Option<Host>, Unfit> {
    let mut values = headers.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => read(HeaderValue::to_str(value).unwrap_or_default()).map(Some),
        (Some(_), Some(_)) => Err(unclear("There are two hosts.")),
    }
}

fn read(text: &str) -> Result<Host, Unfit> {
    Host::parse(text).ok_or_else(|| unclear("The host is not a name or an address, and perhaps a port."))
}

fn unclear(why: &'static str) -> Unfit {
    Unfit { refusal: Refusal::BadRequest(why), close: true }
}

fn refused(refusal: Refusal) -> Unfit {
    Unfit { refusal, close: false }
}
