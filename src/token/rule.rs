//! What a rule says of tokens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonwebtoken::Algorithm;

/// The tokens that one credential stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRule {
    /// `iss`, character by character.
    pub issuer: String,
    /// One of `aud`.
    pub audience: String,
    /// `sub`.
    pub subject: String,
    pub source: Source,
    /// Between two fetches from a server.
    pub refresh: Duration,
    pub algorithms: Algorithms,
    /// Only tokens that say they are access tokens (RFC 9068, section 4: `typ` is `at+jwt`).
    pub typed: bool,
    /// Only tokens that are bound to the client's certificate (RFC 8705, section 3).
    pub bound: bool,
}

/// Where an issuer's keys come from (RFC 7517, section 5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    File(PathBuf),
    Https {
        url: String,
        /// The authority that signed the server's certificate.
        ca: PathBuf,
    },
}

impl Source {
    /// The same with paths that are below `home` where they are not absolute.
    pub fn below(&self, home: &Path) -> Self {
        match self {
            Source::File(path) => Source::File(home.join(path)),
            Source::Https { url, ca } => Source::Https { url: url.clone(), ca: home.join(ca) },
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::Https { url, .. } => url.fmt(f),
        }
    }
}

/// Algorithms that a signature may have (RFC 7518, section 3.1; RFC 8037): asymmetric ones only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Algorithms(pub(super) Vec<Algorithm>);

impl Algorithms {
    pub const WORDS: &'static [&'static str] =
        &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

    pub fn all() -> Self {
        Algorithms(Self::WORDS.iter().filter_map(|word| Self::one(word)).collect())
    }

    /// Those of these words that are known.
    pub fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        Algorithms(words.into_iter().filter_map(Self::one).collect())
    }

    /// Whether the word is one of [`Algorithms::WORDS`].
    pub fn knows(word: &str) -> bool {
        Self::WORDS.contains(&word)
    }

    pub(super) fn one(word: &str) -> Option<Algorithm> {
        if Self::knows(word) { word.parse().ok() } else { None }
    }
}
