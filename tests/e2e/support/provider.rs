//! An identity provider (OpenID Connect Core 1.0, section 3.1) that lets everybody in, and can be made to lie.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fieldgate::transport::{Doorway, ServerFiles};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{House, Issuer, b64};

pub const CLIENT: &str = "fieldgate";
/// What the gateway shows at the token endpoint.
pub const SECRET: &str = "s3cret/with+signs";

/// One thing that is wrong with what the provider says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    State,
    Nonce,
    NoNonce,
    Audience,
    /// For two clients, and the other one asked.
    Party,
    Issuer,
    Signature,
    Unsigned,
    /// Signed with what both know.
    Shared,
    Expired,
    Early,
    /// The token endpoint refuses.
    Refused,
    /// Says in its discovery document that it is somebody else.
    Discovery,
}

/// The provider, under the company's certificate.
pub struct IdentityProvider {
    pub origin: String,
    state: Arc<State>,
}

struct State {
    origin: String,
    issuer: Issuer,
    stranger: Issuer,
    /// Claims of who signs in.
    person: Mutex<Value>,
    twist: Mutex<Option<Twist>>,
    /// Codes that were given and not redeemed.
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
    /// What was wrong with what the gateway asked.
    faults: Mutex<Vec<String>>,
    redeemed: Mutex<usize>,
}

impl IdentityProvider {
    /// Starts it with the certificates of a house.
    pub async fn start(house: &House) -> IdentityProvider {
        let file = |name: &str| house.path("certs").join(name);
        let (certificate, key) = (file("gateway.pem"), file("gateway.key"));
        let doorway =
            Doorway::open(ServerFiles { certificate, key, client_ca: None, crl: Vec::new() }).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://localhost:{}", socket.local_addr().unwrap().port());
        let state = Arc::new(State {
            origin: origin.clone(),
            issuer: Issuer::new("one"),
            stranger: Issuer::new("one"),
            person: Mutex::new(json!({})),
            twist: Mutex::default(),
            codes: Mutex::default(),
            faults: Mutex::default(),
            redeemed: Mutex::default(),
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let Ok(stream) = doorway.acceptor().accept(stream).await else { continue };
                let state = Arc::clone(&serving);
                let service = service_fn(move |request| {
                    let state = Arc::clone(&state);
                    async move { Ok::<_, std::convert::Infallible>(state.answer(request).await) }
                });
                tokio::spawn(async move {
                    let connections = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = connections.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        IdentityProvider { origin, state }
    }

    /// What the configuration says of it.
    pub fn table(&self) -> String {
        format!(
            "[admin.oidc]\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\nca = \"certs/company-ca.pem\"\n\
             client_secret = {{ file = \"secrets/oidc\" }}\nreviewer = [\"privacy-team\"]\n\
             operator = [\"on-call\"]\nauditor = [\"audit\"]\n",
            self.origin
        )
    }

    /// Who signs in from now on.
    pub fn person(&self, claims: Value) {
        *self.state.person.lock().unwrap() = claims;
    }

    pub fn twist(&self, twist: impl Into<Option<Twist>>) {
        *self.state.twist.lock().unwrap() = twist.into();
    }

    /// What the gateway did wrong as a client.
    pub fn faults(&self) -> Vec<String> {
        self.state.faults.lock().unwrap().clone()
    }

    /// Codes that were exchanged for tokens.
    pub fn redeemed(&self) -> usize {
        *self.state.redeemed.lock().unwrap()
    }
}

impl State {
    fn has(&self, twist: Twist) -> bool {
        *self.twist.lock().unwrap() == Some(twist)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/.well-known/openid-configuration") => document(&self.discovery()),
            (&Method::GET, "/keys") => document(&json!({ "keys": [self.issuer.jwk()] })),
            (&Method::GET, "/authorize") => self.authorize(pairs(head.uri.query().unwrap_or_default())),
            (&Method::POST, "/token") => {
                let proof = head.headers.get("authorization").and_then(|value| value.to_str().ok());
                self.token(proof, &pairs(&String::from_utf8_lossy(&body)))
            }
            // A browser asks for an icon.
            _ => plain(StatusCode::NOT_FOUND),
        }
    }

    fn discovery(&self) -> Value {
        let origin = &self.origin;
        let issuer = if self.has(Twist::Discovery) { "https://elsewhere.example" } else { origin };
        json!({
            "issuer": issuer, "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"), "jwks_uri": format!("{origin}/keys"),
            "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
        })
    }

    fn fault(&self, what: String) -> Response<Full<Bytes>> {
        self.faults.lock().unwrap().push(what);
        plain(StatusCode::BAD_REQUEST)
    }

    fn authorize(&self, asked: HashMap<String, String>) -> Response<Full<Bytes>> {
        let value = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let fits = value("response_type") == "code"
            && value("client_id") == CLIENT
            && value("scope").split(' ').any(|scope| scope == "openid")
            && value("code_challenge_method") == "S256"
            && value("code_challenge").len() == 43
            && value("state").len() >= 22
            && value("nonce").len() >= 22;
        if !fits {
            return self.fault(format!("the authorisation request: {asked:?}"));
        }
        let state = if self.has(Twist::State) { "another" } else { value("state") };
        let code = Issuer::new("code").jwk()["x"].as_str().unwrap().to_owned();
        let to = format!("{}?code={code}&state={state}", value("redirect_uri"));
        self.codes.lock().unwrap().insert(code, asked);
        let mut response = plain(StatusCode::FOUND);
        response.headers_mut().insert("location", to.parse().unwrap());
        response
    }

    fn token(&self, proof: Option<&str>, form: &HashMap<String, String>) -> Response<Full<Bytes>> {
        let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if proof != Some(&basic()) {
            return self.fault("the token request does not prove the client".into());
        }
        let Some(asked) = self.codes.lock().unwrap().remove(value("code")) else {
            return self.fault("a code that was not given, or for the second time".into());
        };
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, value("code_verifier").as_bytes());
        let fits = value("grant_type") == "authorization_code"
            && value("redirect_uri") == asked["redirect_uri"]
            && (43..=128).contains(&value("code_verifier").len())
            && b64(hash.as_ref()) == asked["code_challenge"];
        if !fits {
            return self.fault(format!("the token request: {form:?}"));
        }
        *self.redeemed.lock().unwrap() += 1;
        if self.has(Twist::Refused) {
            return plain(StatusCode::BAD_REQUEST);
        }
        let token = self.sign(&self.claims(&asked["nonce"]));
        document(&json!({ "access_token": "none", "token_type": "Bearer", "id_token": token }))
    }

    fn claims(&self, nonce: &str) -> Value {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({
            "iss": self.origin, "aud": CLIENT, "sub": "248289761001", "nonce": nonce, "iat": now, "exp": now + 300,
        });
        for (name, value) in self.person.lock().unwrap().as_object().unwrap() {
            claims[name] = value.clone();
        }
        match *self.twist.lock().unwrap() {
            Some(Twist::Nonce) => claims["nonce"] = json!("another"),
            Some(Twist::NoNonce) => claims["nonce"] = Value::Null,
            Some(Twist::Audience) => claims["aud"] = json!("another"),
            Some(Twist::Party) => {
                claims["aud"] = json!([CLIENT, "another"]);
                claims["azp"] = json!("another");
            }
            Some(Twist::Issuer) => claims["iss"] = json!("https://elsewhere.example"),
            Some(Twist::Expired) => claims["exp"] = json!(now - 600),
            Some(Twist::Early) => claims["nbf"] = json!(now + 600),
            _ => {}
        }
        claims
    }

    fn sign(&self, claims: &Value) -> String {
        let header = |algorithm: &str| json!({ "alg": algorithm, "kid": "one" });
        let text = claims.to_string();
        if self.has(Twist::Unsigned) {
            let message = [header("none").to_string(), text].map(|part| b64(part.as_bytes()));
            return format!("{}.{}.", message[0], message[1]);
        }
        if self.has(Twist::Shared) {
            let message = [header("HS256").to_string(), text].map(|part| b64(part.as_bytes())).join(".");
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
            return format!("{message}.{}", b64(aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref()));
        }
        let issuer = if self.has(Twist::Signature) { &self.stranger } else { &self.issuer };
        issuer.sign(&header("ES256"), &text)
    }
}

/// RFC 6749, section 2.3.1.
fn basic() -> String {
    let secret = percent_encoding::utf8_percent_encode(SECRET, percent_encoding::NON_ALPHANUMERIC);
    format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{secret}")))
}

/// What a query or a form says.
fn pairs(text: &str) -> HashMap<String, String> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn document(value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(value.to_string()));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
