//! Somebody at the review side, without a browser: what they send is exactly what a test says, and each response is
//! checked for the headers that all of them have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use bytes::Bytes;
use fieldgate::transport::{ClientFiles, client_config};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::House;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A browser's cookies, and nothing else that a browser does by itself.
pub struct Visitor {
    pooled: Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>,
    address: SocketAddr,
    scheme: &'static str,
    /// The name that requests are for.
    pub host: String,
    jar: Mutex<BTreeMap<String, String>>,
    /// Sent with each request.
    headers: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Visitor {
    /// At the review side of a house; with a certificate where there is TLS.
    pub fn new(house: &House, scheme: &'static str, identity: Option<&str>) -> Visitor {
        let file = |name: String| house.path("certs").join(name);
        let identity = identity.map(|name| (file(format!("{name}.pem")), file(format!("{name}.key"))));
        let files = ClientFiles { ca: file("company-ca.pem".into()), identity, server_name: None };
        let connector =
            hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(client_config(&files).unwrap());
        let address = house.admin();
        Visitor {
            pooled: Pooled::builder(TokioExecutor::new())
                .build(connector.https_or_http().enable_http1().build()),
            address,
            scheme,
            host: format!("localhost:{}", address.port()),
            jar: Mutex::default(),
            headers: Vec::new(),
        }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Visitor {
        self.headers.push((name, value.into()));
        self
    }

    pub fn named(mut self, host: &str) -> Visitor {
        host.clone_into(&mut self.host);
        self
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.send(Method::GET, target, &[], "").await
    }

    /// Sends a form, as a page of ours would: with the session's form token.
    pub async fn post(&self, target: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.form_token().await;
        self.post_bare(target, &[fields, &[("form_token", &token)]].concat(), &[]).await
    }

    /// Sends a form, and nothing that the test does not say.
    pub async fn post_bare(&self, target: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<_> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let form = ("content-type", "application/x-www-form-urlencoded");
        self.send(Method::POST, target, &[&[form], headers].concat(), &pairs.join("&")).await
    }

    pub async fn post_json(&self, target: &str, body: &Value) -> Reply {
        self.send(Method::POST, target, &[("content-type", "application/json")], &body.to_string()).await
    }

    /// What our own pages put into their forms; nothing where nobody is signed in.
    pub async fn form_token(&self) -> String {
        let page = self.get("/you").await.body;
        let token =
            page.split_once("name=\"form-token\" content=\"").and_then(|(_, rest)| rest.split_once('"'));
        token.map(|(token, _)| token.to_owned()).unwrap_or_default()
    }

    pub async fn sign_in(&self, name: &str, password: &str) -> Reply {
        self.post_bare("/sign-in", &[("name", name), ("password", password)], &[]).await
    }

    pub async fn send(&self, method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let url = format!("{}://localhost:{}{target}", self.scheme, self.address.port());
        let mut request = Request::builder().method(method).uri(url);
        let jar = self.jar.lock().unwrap().clone();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let mut has_host = false;
        for (name, value) in own.chain(headers.iter().copied()) {
            has_host |= name == "host";
            request = request.header(name, value);
        }
        if !has_host {
            request = request.header("host", &self.host);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let (head, body) = self.pooled.request(request).await.unwrap().into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let reply = Reply { status: head.status, headers: head.headers, body };
        reply.check(target);
        self.keep(&reply);
        reply
    }

    fn keep(&self, reply: &Reply) {
        for line in reply.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let mut jar = self.jar.lock().unwrap();
            if line.contains("Max-Age=0") {
                jar.remove(name)
            } else {
                jar.insert(name.into(), value.into())
            };
        }
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What holds for each response, whatever it is about.
    fn check(&self, target: &str) {
        for (name, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(self.header(name), value, "{name} of {target}: {self:?}");
        }
        let is_file = target.starts_with("/assets/") && self.status.is_success();
        assert_eq!(self.header("cache-control") == "no-store", !is_file, "{target}: {self:?}");
        assert!(!self.body.contains(super::PLANTED), "{target}: {self:?}");
    }
}
