//! rustls configurations, from the files that `fieldgate.toml` names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig};
use zeroize::Zeroize;

use crate::secrets::{self, SecretError};

use super::remembered::Remembering;
use super::revocation;

/// The files of a listener.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Without it there are no client certificates, only API keys.
    pub client_ca: Option<PathBuf>,
    /// Certificate revocation lists; where there are any, each issuer needs one.
    pub crl: Vec<PathBuf>,
}

/// The files of an upstream that is called over TLS.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    pub ca: PathBuf,
    /// Certificate chain and key that the gateway shows.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in the upstream's certificate, where it is not the one in the URL.
    pub server_name: Option<String>,
}

/// Why TLS cannot be set up. Names files, never their content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: {source}", path.display())]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
    #[error("{} holds no revocation list", .0.display())]
    NoList(PathBuf),
    #[error("{} holds a revocation list that cannot be read", .0.display())]
    List(PathBuf),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{}: {source}", path.display())]
    Refused { path: PathBuf, source: rustls::Error },
    #[error("{}: {source}", path.display())]
    Verifier { path: PathBuf, source: rustls::server::VerifierBuilderError },
}

fn provider() -> Arc<CryptoProvider> {
    // X25519MLKEM768 comes first in its list of key exchanges (feature prefer-post-quantum).
    Arc::new(aws_lc_rs::default_provider())
}

/// For the listener: of TLS 1.3's suites the one first whose hash processors compute themselves. A handshake is
/// many hashes, and 128 bits are what each of the suites is at least worth (RFC 8446, appendix B.4).
fn listener_provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    let first = CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != first);
    Arc::new(provider)
}

/// What a handshake goes by.
pub(super) struct Terms {
    pub config: Arc<ServerConfig>,
    /// There where client certificates are asked for.
    pub verifier: Option<Arc<dyn ClientCertVerifier>>,
    identity: Arc<SingleCertAndKey>,
}

/// What the listener speaks: TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1.
///
/// A client certificate is asked for where there is a client CA; who has none may still come with an
/// API key. Where there are terms `before`, a part that cannot be read is taken from them: a certificate that
/// does not fit its key must not keep a revocation list out.
///
/// # Errors
/// Where a file cannot be read, is exposed, or does not fit; with the terms that are left, if there are any.
pub(super) fn terms(
    listen: &ServerFiles,
    before: Option<&Terms>,
) -> Result<Terms, (TlsError, Option<Box<Terms>>)> {
    let (mut verifier, mut shown) = (Ok(None), identity(&listen.certificate, &listen.key));
    if let Some(ca) = &listen.client_ca {
        verifier = client_verifier(ca, &listen.crl).map(Some);
    }
    let mut fault = None;
    if let Some(before) = before {
        verifier = verifier.or_else(|error| {
            fault.get_or_insert(error);
            Ok(before.verifier.clone())
        });
        shown = shown.or_else(|error| {
            fault.get_or_insert(error);
            Ok(Arc::clone(&before.identity))
        });
    }
    let alone = |error| (error, None);
    let (verifier, identity) = (verifier.map_err(alone)?, shown.map_err(alone)?);
    let config = config(listen, verifier.clone(), Arc::clone(&identity)).map_err(alone)?;
    let terms = Terms { config: Arc::new(config), verifier, identity };
    match fault {
        None => Ok(terms),
        Some(fault) => Err((fault, Some(Box::new(terms)))),
    }
}

fn config(
    listen: &ServerFiles,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    identity: Arc<SingleCertAndKey>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(listener_provider())
        .with_safe_default_protocol_versions()
        .map_err(|source| refused(&listen.certificate, source))?;
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(Remembering::new(verifier))),
    };
    let mut config = builder.with_cert_resolver(identity);
    config.ignore_client_order = true;
    // A resumed session would bring back the client's certificate without looking at it again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Takes certificates of the authorities in `ca` that no list has revoked. Where there are lists, each issuer
/// needs one.
fn client_verifier(ca: &Path, lists: &[PathBuf]) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider())
        .with_crls(revocation::newest(lists)?)
        // rustls accepts a list past its next update unless it is told not to.
        .enforce_revocation_expiration()
        .allow_unauthenticated();
    builder.build().map_err(|source| TlsError::Verifier { path: ca.to_owned(), source })
}

/// How an upstream is called: its certificate must come from the named authority.
///
/// # Errors
/// Where a file cannot be read, is exposed, or does not fit.
pub fn client_config(tls: &ClientFiles) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|source| refused(&tls.ca, source))?
        .with_root_certificates(roots(&tls.ca)?);
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => Ok(builder.with_client_cert_resolver(identity(certificate, key)?)),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| refused(path, source))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::Empty(path.to_owned()));
    }
    Ok(certificates)
}

/// A certificate chain and its key, which must fit each other. Made here and not by rustls, which would leave
/// the text of the key in memory.
fn identity(certificate: &Path, key: &Path) -> Result<Arc<SingleCertAndKey>, TlsError> {
    let chain = certificates(certificate)?;
    let pem = secrets::read(key)?;
    let mut der = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|source| TlsError::Pem { path: key.to_owned(), source })?;
    let signing = aws_lc_rs::sign::any_supported_type(&der);
    der.zeroize();
    let certified = CertifiedKey::new(chain, signing.map_err(|source| refused(key, source))?);
    match certified.keys_match() {
        // A key that does not tell its public half is tried by the handshake.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(source) => return Err(refused(certificate, source)),
    }
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

fn refused(path: &Path, source: rustls::Error) -> TlsError {
    TlsError::Refused { path: path.to_owned(), source }
}
