//! What the listener shows and demands in a handshake, read anew when its files change; and whether a client
//! that was let in would be let in again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use tokio_rustls::TlsAcceptor;

use super::remembered::REMEMBERED;
use super::tls::{ServerFiles, Terms, TlsError, terms};

/// How long a certificate is taken after its handshake without another look. With [`REMEMBERED`] it bounds how long a
/// revocation list that ran out, or an authority's certificate that did, goes unnoticed: half a minute.
const RECHECK: Duration = Duration::from_secs(30 - REMEMBERED.as_secs());

/// Certificate, key, authorities and revocation lists of a listener.
pub struct Doorway {
    files: ServerFiles,
    terms: ArcSwap<Numbered>,
    began: Instant,
}

/// Terms by their number, and the second in which they were in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u64);

/// Terms, and how many there were before.
struct Numbered {
    number: u32,
    terms: Terms,
}

/// A client certificate that was verified in the handshake, with what it takes to do that again.
#[derive(Debug)]
pub struct Admission {
    doorway: Arc<Doorway>,
    /// The client's own certificate first.
    chain: Vec<CertificateDer<'static>>,
    /// By which terms it was verified last, and in which second.
    verified: AtomicU64,
}

impl Doorway {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one cannot be read, is exposed, or does not fit.
    pub fn open(files: ServerFiles) -> Result<Arc<Self>, TlsError> {
        let terms = terms(&files, None).map_err(|(fault, _)| fault)?;
        let terms = ArcSwap::from_pointee(Numbered { number: 0, terms });
        Ok(Arc::new(Doorway { files, terms, began: Instant::now() }))
    }

    pub fn files(&self) -> &ServerFiles {
        &self.files
    }

    /// Reads the files again: handshakes from now on go by them, and so does the next request on each
    /// connection that is open.
    ///
    /// # Errors
    /// As [`Doorway::open`]; in place of what cannot be read, what was read before stays in force.
    pub fn renew(&self) -> Result<(), TlsError> {
        let before = self.terms.load();
        let (terms, fault) = match terms(&self.files, Some(&before.terms)) {
            Ok(terms) => (Some(terms), None),
            Err((fault, terms)) => (terms.map(|terms| *terms), Some(fault)),
        };
        if let Some(terms) = terms {
            let number = before.number.wrapping_add(1);
            self.terms.store(Arc::new(Numbered { number, terms }));
        }
        fault.map_or(Ok(()), Err)
    }

    /// For one handshake: the next one may go by other terms.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.terms.load().terms.config))
    }

    /// Which terms are in force, and when this was asked. Before a handshake, it never says newer ones than those
    /// that it went by, nor a later time.
    pub(super) fn moment(&self) -> Moment {
        Moment(packed(self.terms.load().number, self.seconds()))
    }

    fn seconds(&self) -> u32 {
        self.began.elapsed().as_secs() as u32
    }
}

impl Admission {
    /// `chain` was verified in a handshake that began at that moment.
    pub(super) fn new(doorway: Arc<Doorway>, chain: &[CertificateDer], moment: Moment) -> Self {
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Admission { doorway, chain, verified: AtomicU64::new(moment.0) }
    }

    /// Whether the certificate would be taken in a handshake now. Asked at each request; what was found out
    /// holds for some seconds, or until the files change.
    pub fn holds(&self) -> bool {
        let current = self.doorway.terms.load();
        let now = self.doorway.seconds();
        let verified = self.verified.load(Ordering::Relaxed);
        let fresh = (verified as u32).saturating_add(RECHECK.as_secs() as u32) > now;
        if (verified >> 32) as u32 == current.number && fresh {
            return true;
        }
        let holds = current.terms.verifier.as_deref().is_some_and(|verifier| self.verify(verifier));
        if holds {
            self.verified.store(packed(current.number, now), Ordering::Relaxed);
        }
        holds
    }

    fn verify(&self, verifier: &dyn ClientCertVerifier) -> bool {
        let Some((own, above)) = self.chain.split_first() else { return false };
        verifier.verify_client_cert(own, above, UnixTime::now()).is_ok()
    }
}

fn packed(number: u32, second: u32) -> u64 {
    u64::from(number) << 32 | u64::from(second)
}

impl std::fmt::Debug for Doorway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorway").field("files", &self.files).finish_non_exhaustive()
    }
}
