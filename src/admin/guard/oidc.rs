//! Sign-in with the company's identity provider: OpenID Connect Core 1.0, section 3.1 (authorization code), with
//! PKCE (RFC 7636).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use axum::extract::{Query, Request, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::config::{Oidc, Secret};
use crate::secrets;
use crate::transport::{ClientFiles, HttpClient, client_config, http_client};

use super::super::assets;
use super::super::store::Role;
use super::sign_in::{admit_foreign, way};
use super::{Entrance, Fault, cookie};

/// For one call of the provider.
const PATIENCE: Duration = Duration::from_secs(5);
/// For somebody to sign in there.
const LASTS: Duration = Duration::from_secs(600);
/// Sign-ins that have begun.
const MOST: usize = 1000;
/// Bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;
/// Characters of a name.
const MAX_NAME: usize = 200;
/// Seconds that its clock may differ.
const LEEWAY: u64 = 60;
/// Binds a sign-in to the browser that began it. It comes back from the provider's page, so it cannot be strict.
const COOKIE: &str = "fieldgate-sign-in";
/// What may stand in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Signatures by a key that only the provider has; no secret that we share, and none at all.
const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
];

/// The provider, and the sign-ins that have begun there.
pub struct Provider {
    terms: Oidc,
    /// Where the provider sends browsers back.
    redirect: String,
    client: HttpClient,
    begun: Mutex<HashMap<String, Begun>>,
}

struct Begun {
    since: Instant,
    browser: String,
    nonce: String,
    verifier: String,
    back: String,
}

/// What the provider says of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Provider {
    /// # Errors
    /// Where the authority's file cannot be used, or the address that browsers come back to is not known.
    pub fn new(terms: &Oidc, url: Option<&str>) -> anyhow::Result<Self> {
        let files = ClientFiles { ca: terms.ca.clone(), identity: None, server_name: None };
        let client = http_client(Some(client_config(&files)?), PATIENCE);
        let url = url.context("[admin] url is missing")?;
        let redirect = format!("{url}/sign-in/callback");
        Ok(Provider { terms: terms.clone(), redirect, client, begun: Mutex::default() })
    }

    async fn discover(&self) -> anyhow::Result<Discovered> {
        let url = format!("{}/.well-known/openid-configuration", self.terms.issuer);
        let found: Discovered = serde_json::from_slice(&self.get(&url).await?).context(url)?;
        ensure!(found.issuer.trim_end_matches('/') == self.terms.issuer, "the provider names another issuer");
        Ok(found)
    }

    async fn get(&self, url: &str) -> anyhow::Result<Bytes> {
        let request = http::Request::get(url).header(ACCEPT, "application/json");
        self.call(request.body(Full::default())?).await.with_context(|| url.to_owned())
    }

    async fn call(&self, request: http::Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        let call = async {
            let answer = self.client.request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            let body =
                body.map_err(|_| anyhow::anyhow!("the answer breaks off, or is over 1 MiB"))?.to_bytes();
            ensure!(status == StatusCode::OK, "it answers with status {}", status.as_u16());
            Ok(body)
        };
        tokio::time::timeout(PATIENCE, call).await.context("it does not answer")?
    }

    /// Exchanges a code; what the provider vouches for.
    async fn redeem(&self, code: &str, begun: &Begun) -> anyhow::Result<(String, Option<Role>)> {
        let found = self.discover().await?;
        let pair = |name: &str, value: &str| format!("{name}={}", utf8_percent_encode(value, QUERY));
        let mut form = vec![
            pair("grant_type", "authorization_code"),
            pair("code", code),
            pair("redirect_uri", &self.redirect),
            pair("code_verifier", &begun.verifier),
        ];
        let mut request = http::Request::post(&found.token_endpoint)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match &self.terms.client_secret {
            // RFC 6749, section 2.3.1.
            Some(secret) => {
                let secret = read_secret(secret)?;
                let secret = utf8_percent_encode(&secret, QUERY);
                let basic =
                    Zeroizing::new(format!("{}:{secret}", utf8_percent_encode(&self.terms.client_id, QUERY)));
                let line = Zeroizing::new(format!("Basic {}", STANDARD.encode(basic.as_bytes())));
                let mut value = HeaderValue::from_str(&line)?;
                value.set_sensitive(true);
                request = request.header(AUTHORIZATION, value);
            }
            None => form.push(pair("client_id", &self.terms.client_id)),
        }
        let answer =
            self.call(request.body(Full::from(form.join("&")))?).await.context("the token endpoint")?;
        let tokens: Tokens = serde_json::from_slice(&answer).context("the token endpoint's answer")?;
        let keys: JwkSet =
            serde_json::from_slice(&self.get(&found.jwks_uri).await?).context("the key set")?;
        let claims = self.verify(&tokens.id_token, &keys, &found.issuer, &begun.nonce)?;
        // An address that nobody has proved could be a colleague's; other names need not be unique (section 5.7).
        let email = claims["email"].as_str().filter(|_| claims["email_verified"] != Value::Bool(false));
        let name = email.or(claims["sub"].as_str()).context("the ID token names nobody")?;
        let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        Ok((format!("oidc:{name}"), self.role(&claims)))
    }

    /// OpenID Connect Core 1.0, section 3.1.3.7.
    fn verify(&self, token: &str, keys: &JwkSet, issuer: &str, nonce: &str) -> anyhow::Result<Value> {
        let header = decode_header(token)?;
        ensure!(ALGORITHMS.contains(&header.alg), "the ID token is signed by an algorithm that is not taken");
        let key = match &header.kid {
            Some(id) => keys.find(id),
            None => match keys.keys.as_slice() {
                [key] => Some(key),
                _ => None,
            },
        };
        let key = DecodingKey::from_jwk(key.context("the ID token's key is not in the key set")?)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[&self.terms.client_id]);
        let claims: Value = decode::<Value>(token, &key, &validation)?.claims;
        ensure!(claims["nonce"].as_str() == Some(nonce), "the ID token is for another sign-in");
        let parties = claims["aud"].as_array().map_or(1, Vec::len);
        let party = claims["azp"].as_str();
        if party.is_some_and(|party| party != self.terms.client_id) || (parties > 1 && party.is_none()) {
            bail!("the ID token is for another client");
        }
        Ok(claims)
    }

    /// The role that the claim gives: where several, the one that may do more.
    fn role(&self, claims: &Value) -> Option<Role> {
        let said = match &claims[self.terms.claim.as_str()] {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            Value::String(name) => vec![name.as_str()],
            _ => Vec::new(),
        };
        let roles = [
            (&self.terms.reviewer, Role::Reviewer),
            (&self.terms.operator, Role::Operator),
            (&self.terms.auditor, Role::Auditor),
        ];
        let given = |names: &Vec<String>| names.iter().any(|name| said.contains(&name.as_str()));
        roles.into_iter().find(|(names, _)| given(names)).map(|(_, role)| role)
    }

    fn keep(&self, state: String, begun: Begun) -> anyhow::Result<()> {
        let mut all = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, begun| begun.since.elapsed() < LASTS);
        // The oldest is forgotten, so that strangers do not shut it.
        if all.len() >= MOST {
            let oldest = all.iter().min_by_key(|(_, begun)| begun.since).map(|(state, _)| state.clone());
            oldest.map(|state| all.remove(&state));
        }
        all.insert(state, begun);
        Ok(())
    }

    /// Once.
    fn take(&self, state: &str) -> Option<Begun> {
        let mut all = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(state).filter(|begun| begun.since.elapsed() < LASTS)
    }
}

fn read_secret(secret: &Secret) -> anyhow::Result<Zeroizing<String>> {
    let text = match secret {
        Secret::Environment(name) => {
            std::env::var(name).ok().with_context(|| format!("{name} is not set"))?
        }
        Secret::File(path) => {
            let bytes = secrets::read(path)?;
            str::from_utf8(&bytes).ok().with_context(|| format!("{} is not text", path.display()))?.to_owned()
        }
    };
    Ok(Zeroizing::new(Zeroizing::new(text).trim_end().to_owned()))
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[derive(Deserialize)]
pub(super) struct Way {
    #[serde(default)]
    back: String,
}

/// Sends the browser to the provider.
pub(super) async fn begin(
    State(entrance): State<Entrance>,
    Query(Way { back }): Query<Way>,
    request: Request,
) -> Result<Response, Fault> {
    if !entrance.is_ours(request.headers()) {
        return Err(Fault::WrongHost);
    }
    let provider = entrance.0.provider.as_ref().ok_or(Fault::Missing("page"))?;
    let found = provider.discover().await.context("the identity provider")?;
    let (state, browser, nonce, verifier) = (random()?, random()?, random()?, random()?);
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let pair = |(name, value): (&str, &str)| format!("{name}={}", utf8_percent_encode(value, QUERY));
    let query = [
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("client_id", provider.terms.client_id.as_str()),
        ("redirect_uri", provider.redirect.as_str()),
        ("state", state.as_str()),
        ("nonce", nonce.as_str()),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let query: Vec<String> = query.into_iter().map(pair).collect();
    let joint = if found.authorization_endpoint.contains('?') { '&' } else { '?' };
    let to = format!("{}{joint}{}", found.authorization_endpoint, query.join("&"));
    let line = sign_in_cookie(&browser, LASTS)?;
    provider.keep(state, Begun { since: Instant::now(), browser, nonce, verifier, back: way(&back) })?;
    Ok((HeaderMap::from_iter([(SET_COOKIE, line)]), Redirect::to(&to)).into_response())
}

fn sign_in_cookie(value: &str, lasts: Duration) -> anyhow::Result<HeaderValue> {
    let lasts = lasts.as_secs();
    let line = format!("{COOKIE}={value}; Path=/sign-in; HttpOnly; SameSite=Lax; Max-Age={lasts}");
    Ok(HeaderValue::from_str(&line)?)
}

#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
}

/// Takes the browser back.
pub(super) async fn finish(
    State(entrance): State<Entrance>,
    Query(Answer { code, state }): Query<Answer>,
    request: Request,
) -> Result<Response, Fault> {
    if !entrance.is_ours(request.headers()) {
        return Err(Fault::WrongHost);
    }
    let provider = entrance.0.provider.as_ref().ok_or(Fault::Missing("page"))?;
    let begun = provider.take(&state);
    let shown = cookie(request.headers(), COOKIE);
    let Some(begun) = begun.filter(|begun| !code.is_empty() && shown.as_deref() == Some(&begun.browser))
    else {
        return Err(Fault::Wrong("The sign-in was not begun here, or it took too long. Begin again.".into()));
    };
    let (name, role) = match provider.redeem(&code, &begun).await {
        Ok(vouched) => vouched,
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "the identity provider's answer is not taken");
            return Err(Fault::Wrong(
                "The identity provider's answer is not taken. The gateway's log says why.".into(),
            ));
        }
    };
    let Some(role) = role else {
        tracing::warn!("somebody signed in with the identity provider who has no role here");
        return Err(Fault::Wrong(
            "You have no role here: ask who keeps the groups of the identity provider.".into(),
        ));
    };
    let mut headers = admit_foreign(&entrance, name, role).await?;
    headers.append(SET_COOKIE, sign_in_cookie("", Duration::ZERO)?);
    // A redirect would still count as the provider's, and a strict cookie would not come with it.
    let to = begun.back.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let icon = &assets::links().icon;
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Signed in</title>\
         <link rel=\"icon\" href=\"{icon}\" type=\"image/svg+xml\"><meta http-equiv=\"refresh\" content=\"0;url={to}\"><p>Signed in. <a href=\"{to}\">Go on</a></p></html>"
    );
    Ok((headers, Html(page)).into_response())
}
