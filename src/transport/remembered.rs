//! Certificates that were verified a moment ago. A contractor opens many connections with one certificate; to see that
//! its authority signed it is a seventh of what a handshake costs, and it stays true from one to the next.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

/// So long a chain is taken as it was found. In every handshake the client still proves that it has the key.
pub(super) const REMEMBERED: Duration = Duration::from_secs(10);
/// Chains that are remembered at most. Each needs a certificate of the listener's authorities; who has one can put
/// others behind it, and the worst of that is that nobody else's is remembered.
const MOST: usize = 1024;

/// A verifier that looks at a chain once in a while. Other files need another one.
pub(super) struct Remembering {
    verifier: Arc<dyn ClientCertVerifier>,
    /// By the hashes of chains.
    verified: Mutex<HashMap<[u8; 32], Verified>>,
}

struct Verified {
    at: Instant,
    /// The same in seconds since 1970-01-01T00:00:00Z, and when the first of its certificates is too old.
    from: u64,
    end: u64,
}

impl Verified {
    fn holds(&self, at: Instant, second: u64) -> bool {
        // Where the clock was set back, nothing is known of the time before.
        at.saturating_duration_since(self.at) < REMEMBERED && (self.from..self.end).contains(&second)
    }
}

impl Remembering {
    pub fn new(verifier: Arc<dyn ClientCertVerifier>) -> Self {
        Remembering { verifier, verified: Mutex::default() }
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<[u8; 32], Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
        at: Instant,
    ) -> Result<ClientCertVerified, Error> {
        let (chain, second) = (hash(own, above), now.as_secs());
        if self.verified().get(&chain).is_some_and(|known| known.holds(at, second)) {
            return Ok(ClientCertVerified::assertion());
        }
        let verified = self.verifier.verify_client_cert(own, above, now)?;
        if let Some(end) = end(own, above) {
            self.remember(chain, Verified { at, from: second, end });
        }
        Ok(verified)
    }

    fn remember(&self, chain: [u8; 32], new: Verified) {
        let mut verified = self.verified();
        if verified.len() >= MOST {
            verified.retain(|_, known| known.holds(new.at, new.from));
        }
        if verified.len() < MOST {
            verified.insert(chain, new);
        }
    }
}

impl ClientCertVerifier for Remembering {
    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(own, above, now, Instant::now())
    }

    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for Remembering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembering").finish_non_exhaustive()
    }
}

/// Of all that was shown, each certificate with its length.
fn hash(own: &CertificateDer, above: &[CertificateDer]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for certificate in std::iter::once(own).chain(above) {
        context.update(&(certificate.len() as u64).to_be_bytes());
        context.update(certificate);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The first second in which one of the certificates is too old; `None` where one cannot be read.
fn end(own: &CertificateDer, above: &[CertificateDer]) -> Option<u64> {
    let ends = std::iter::once(own).chain(above).map(|certificate| {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        // The last second counts (RFC 5280, section 4.1.2.5).
        u64::try_from(certificate.validity().not_after.timestamp() + 1).ok()
    });
    ends.collect::<Option<Vec<_>>>()?.into_iter().min()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use rustls::CertificateError;

    use super::*;

    /// The end of the certificates here, and a moment long before.
    const END: u64 = 1_798_761_600;
    const NOW: u64 = END - 1000;

    /// Counts how often it is asked.
    #[derive(Debug, Default)]
    struct Asked {
        times: AtomicUsize,
        refuses: AtomicBool,
    }

    impl ClientCertVerifier for Asked {
        fn verify_client_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: UnixTime,
        ) -> Result<ClientCertVerified, Error> {
            self.times.fetch_add(1, Ordering::Relaxed);
            match self.refuses.load(Ordering::Relaxed) {
                true => Err(CertificateError::Revoked.into()),
                false => Ok(ClientCertVerified::assertion()),
            }
        }

        fn root_hint_subjects(&self) -> &[DistinguishedName] {
            &[]
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(CertificateError::BadSignature.into())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(CertificateError::BadSignature.into())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            Vec::new()
        }
    }

    struct Desk {
        asked: Arc<Asked>,
        remembering: Remembering,
        began: Instant,
    }

    impl Desk {
        fn new() -> Self {
            let asked: Arc<Asked> = Arc::default();
            let remembering = Remembering::new(Arc::clone(&asked) as Arc<dyn ClientCertVerifier>);
            Desk { asked, remembering, began: Instant::now() }
        }

        /// By a clock on the wall that says `second` while the machine has run for `after` seconds.
        fn take_at(&self, chain: &[CertificateDer<'static>], second: u64, after: u64) -> bool {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(second));
            let at = self.began + Duration::from_secs(after);
            self.remembering.verify(&chain[0], &chain[1..], now, at).is_ok()
        }

        fn take(&self, chain: &[CertificateDer<'static>], second: u64) -> bool {
            self.take_at(chain, second, 0)
        }

        fn asked(&self) -> usize {
            self.asked.times.load(Ordering::Relaxed)
        }
    }

    fn certificate(name: &str) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_chain_is_looked_at_once_in_a_while() {
        let (desk, chain) = (Desk::new(), [certificate("one"), certificate("above")]);
        for after in 0..10 {
            assert!(desk.take_at(&chain, NOW + after, after));
            assert_eq!(desk.asked(), 1);
        }
        assert!(desk.take_at(&chain, NOW + 10, 10));
        assert_eq!(desk.asked(), 2);
        // The clock on the wall is set back, a little and far.
        assert!(desk.take_at(&chain, NOW + 10, 20));
        assert_eq!(desk.asked(), 3);
        assert!(desk.take_at(&chain, NOW, 20));
        assert_eq!(desk.asked(), 4);
    }

    #[test]
    fn another_chain_is_another_one() {
        let (desk, [one, two]) = (Desk::new(), [certificate("one"), certificate("two")]);
        let pair = [one.clone(), two.clone()];
        let turned = [two.clone(), one.clone()];
        let joined = [CertificateDer::from([&one[..], &two[..]].concat())];
        let chains: [&[_]; 5] = [&pair, &turned, &pair[..1], &turned[..1], &joined];
        for (before, chain) in chains.into_iter().enumerate() {
            assert!(desk.take(chain, NOW));
            assert_eq!(desk.asked(), before + 1);
        }
    }

    #[test]
    fn no_chain_is_taken_past_the_end_of_one_of_its_certificates() {
        let (desk, chain) = (Desk::new(), [certificate("one")]);
        assert!(desk.take(&chain, END - 2));
        assert!(desk.take(&chain, END));
        assert_eq!(desk.asked(), 1);
        desk.asked.refuses.store(true, Ordering::Relaxed);
        assert!(!desk.take(&chain, END + 1));
    }

    #[test]
    fn what_is_refused_or_cannot_be_read_is_not_remembered() {
        let (desk, chain) = (Desk::new(), [certificate("one")]);
        desk.asked.refuses.store(true, Ordering::Relaxed);
        assert!(!desk.take(&chain, NOW) && !desk.take(&chain, NOW));
        assert_eq!(desk.asked(), 2);
        desk.asked.refuses.store(false, Ordering::Relaxed);
        let unreadable = [certificate("one"), CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])];
        assert!(desk.take(&unreadable, NOW) && desk.take(&unreadable, NOW));
        assert_eq!(desk.asked(), 4);
    }

    #[test]
    fn memory_is_bounded() {
        let desk = Desk::new();
        let remembered = || desk.remembering.verified().len();
        for number in 0..20 * MOST as u64 {
            let mut chain = [0; 32];
            chain[..8].copy_from_slice(&number.to_be_bytes());
            let at = desk.began + Duration::from_millis(10 * number);
            desk.remembering.remember(chain, Verified { at, from: NOW, end: END });
            assert!(remembered() <= MOST);
        }
        assert!(remembered() > MOST / 2);
    }
}
