//! Events as messages of a JetStream stream, by NATS's client protocol
//! (<https://docs.nats.io/reference/reference-protocols/nats-protocol>): each is acknowledged by the server that has
//! stored it.

mod nkey;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::config::{NatsSignIn, NatsTerms};
use crate::transport::{ClientFiles, client_config};

use super::super::portion::Event;
use super::secret;
use nkey::Credentials;

/// A line of the server; its INFO is the longest.
const LINE: usize = 64 << 10;
/// An acknowledgement.
const PAYLOAD: usize = 64 << 10;
/// Messages that are on their way at once: their acknowledgements fit into the sockets.
const WINDOW: usize = 64;
/// After so long the server may have given the connection up: it asks every two minutes whether somebody is there.
const IDLE: Duration = Duration::from_secs(60);

pub struct NatsWay {
    terms: NatsTerms,
    tls: Option<TlsConnector>,
    /// Shown when it signs in.
    sign_in: SignIn,
    connection: Option<(Connection, Instant)>,
}

enum SignIn {
    Nobody,
    Token(Zeroizing<String>),
    User(String, Zeroizing<String>),
    Credentials(Box<Credentials>),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Connection {
    stream: BufStream<Box<dyn Stream>>,
    /// Acknowledgements come under this subject.
    inbox: String,
    /// Bytes of a message.
    most: usize,
}

/// What the server says of itself.
#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    max_payload: usize,
    #[serde(default)]
    headers: bool,
    #[serde(default)]
    tls_required: bool,
    /// To be signed.
    #[serde(default)]
    nonce: String,
}

/// What the client says of itself.
#[derive(Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    lang: &'static str,
    version: &'static str,
    name: &'static str,
    protocol: u8,
    headers: bool,
    no_responders: bool,
    tls_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// JetStream's acknowledgement.
#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    stream: String,
    error: Option<AckError>,
}

#[derive(Deserialize)]
struct AckError {
    #[serde(default)]
    description: String,
}

/// What comes from the server.
enum Said {
    Pong,
    /// Of the message with this number.
    Ack(usize),
    Other,
}

impl NatsWay {
    /// # Errors
    /// Where a secret or the authority's file cannot be used.
    pub fn new(terms: &NatsTerms) -> anyhow::Result<Self> {
        let tls = match &terms.ca {
            None => None,
            Some(ca) => {
                let files = ClientFiles { ca: ca.clone(), identity: None, server_name: None };
                Some(TlsConnector::from(Arc::new(client_config(&files)?)))
            }
        };
        let sign_in = match &terms.sign_in {
            NatsSignIn::Nobody => SignIn::Nobody,
            NatsSignIn::Token(token) => SignIn::Token(secret(token).context("its token")?),
            NatsSignIn::Credentials(place) => {
                let credentials = Credentials::parse(&secret(place).context("its credentials")?);
                SignIn::Credentials(Box::new(credentials.context("its credentials")?))
            }
            NatsSignIn::User { user, password } => {
                SignIn::User(user.clone(), secret(password).context("its password")?)
            }
        };
        Ok(NatsWay { terms: terms.clone(), tls, sign_in, connection: None })
    }

    /// Publishes the events, and waits until the stream has them all.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn send(&mut self, events: &[Event]) -> anyhow::Result<()> {
        // Whoever fails, or is given up, leaves a connection that nobody can know the state of.
        let known = self.connection.take().filter(|(_, used)| used.elapsed() < IDLE);
        let mut connection = match known {
            Some((connection, _)) => connection,
            None => self.connect().await?,
        };
        for window in events.chunks(WINDOW) {
            connection.publish(&self.terms.subject, window).await?;
        }
        self.connection = Some((connection, Instant::now()));
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let host = self.terms.host.as_str();
        let mut tcp = TcpStream::connect((host, self.terms.port)).await?;
        tcp.set_nodelay(true)?;
        let info = first_line(&mut tcp).await?;
        let info = info.strip_prefix("INFO ").context("it is not a NATS server")?;
        let info: Info = serde_json::from_str(info).ok().context("it is not a NATS server")?;
        ensure!(info.headers, "it is too old: it knows no headers");
        let stream: Box<dyn Stream> = match (&self.tls, self.terms.tls) {
            (Some(tls), true) => Box::new(tls.connect(ServerName::try_from(host.to_owned())?, tcp).await?),
            (_, false) if !info.tls_required => Box::new(tcp),
            (_, false) => bail!("it wants TLS: write tls:// and `ca`"),
            (None, true) => bail!("its authority is not known"),
        };
        let inbox = format!("_INBOX.{}", uuid::Uuid::now_v7().simple());
        let mut connection = Connection { stream: BufStream::new(stream), inbox, most: info.max_payload };
        connection.sign_in(&self.sign_in, &info.nonce, self.terms.tls).await?;
        Ok(connection)
    }
}

/// Byte by byte: what follows may be TLS.
async fn first_line(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            _ if line.len() == LINE => bail!("it is not a NATS server"),
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).ok().context("it is not a NATS server")
}

impl Connection {
    async fn sign_in(&mut self, sign_in: &SignIn, nonce: &str, tls_required: bool) -> anyhow::Result<()> {
        let mut connect = Connect {
            verbose: false,
            pedantic: false,
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            name: "fieldgate",
            protocol: 1,
            headers: true,
            no_responders: true,
            tls_required,
            auth_token: None,
            user: None,
            pass: None,
            jwt: None,
            nkey: None,
            sig: None,
        };
        match sign_in {
            SignIn::Nobody => {}
            SignIn::Token(token) => connect.auth_token = Some(token),
            SignIn::User(user, pass) => {
                (connect.user, connect.pass) = (Some(user.as_str()), Some(pass.as_str()));
            }
            SignIn::Credentials(credentials) => {
                ensure!(!nonce.is_empty(), "it asks for no signature: it does not know such credentials");
                connect.jwt = credentials.jwt.as_deref();
                connect.nkey = connect.jwt.is_none().then(|| credentials.public_key());
                connect.sig = Some(credentials.sign(nonce));
            }
        }
        let connect = Zeroizing::new(serde_json::to_string(&connect)?);
        let inbox = self.inbox.clone();
        for part in ["CONNECT ", &connect, "\r\nSUB ", &inbox, ".* 1\r\nPING\r\n"] {
            self.stream.write_all(part.as_bytes()).await?;
        }
        self.stream.flush().await?;
        while !matches!(self.hear().await?, Said::Pong) {}
        Ok(())
    }

    /// Publishes some events, and waits for the acknowledgement of each.
    async fn publish(&mut self, subject: &str, events: &[Event]) -> anyhow::Result<()> {
        for (number, event) in events.iter().enumerate() {
            let header = format!("NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", event.uid);
            let all = header.len() + event.json.len();
            let most = self.most;
            ensure!(all <= most, "entry {} has {all} bytes, and it takes {most}", event.entry);
            let inbox = &self.inbox;
            let head = format!("HPUB {subject} {inbox}.{number} {} {all}\r\n{header}", header.len());
            self.stream.write_all(head.as_bytes()).await?;
            self.stream.write_all(&event.json).await?;
            self.stream.write_all(b"\r\n").await?;
        }
        self.stream.flush().await?;
        let mut waiting = vec![true; events.len()];
        while waiting.contains(&true) {
            if let Said::Ack(number) = self.hear().await? {
                *waiting.get_mut(number).context("it acknowledges what was not sent")? = false;
            }
        }
        Ok(())
    }

    /// Takes what the server says next.
    async fn hear(&mut self) -> anyhow::Result<Said> {
        let line = self.line().await?;
        let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "PING" => {
                self.stream.write_all(b"PONG\r\n").await?;
                self.stream.flush().await?;
                Ok(Said::Other)
            }
            "PONG" => Ok(Said::Pong),
            "MSG" | "HMSG" => {
                let words: Vec<&str> = rest.split_ascii_whitespace().collect();
                let has_headers = verb.eq_ignore_ascii_case("HMSG");
                let (subject, length) = (words.first().copied().unwrap_or_default(), words.last());
                let length: usize = length.and_then(|word| word.parse().ok()).context("a broken message")?;
                let head = if has_headers { words.iter().rev().nth(1) } else { Some(&"0") };
                let head: usize = head.and_then(|word| word.parse().ok()).context("a broken message")?;
                ensure!(head <= length && length <= PAYLOAD, "an acknowledgement that is too long");
                let number =
                    subject.strip_prefix(self.inbox.as_str()).and_then(|rest| rest.strip_prefix('.'));
                let number = number.and_then(|number| number.parse().ok());
                let mut payload = vec![0; length + 2];
                self.stream.read_exact(&mut payload).await?;
                payload.truncate(length);
                let (head, body) = payload.split_at(head);
                acknowledged(head, body)?;
                Ok(number.map_or(Said::Other, Said::Ack))
            }
            "-ERR" => bail!("it says: {}", plain(rest)),
            // INFO when the cluster changes.
            _ => Ok(Said::Other),
        }
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = Vec::new();
        loop {
            match self.stream.read_u8().await? {
                b'\n' => break,
                b'\r' => {}
                _ if line.len() == LINE => bail!("it says a line that has no end"),
                byte => line.push(byte),
            }
        }
        String::from_utf8(line).ok().context("it says something that is not text")
    }
}

/// A stream has stored it, now or before.
fn acknowledged(head: &[u8], body: &[u8]) -> anyhow::Result<()> {
    // Without a stream, nobody answers, and the server says so.
    ensure!(!head.starts_with(b"NATS/1.0 503"), "no JetStream stream takes this subject");
    let ack: Ack = serde_json::from_slice(body).ok().context("an answer that is not JetStream's")?;
    match ack.error {
        Some(error) => bail!("JetStream says: {}", plain(&error.description)),
        None if ack.stream.is_empty() => bail!("an answer that is not JetStream's"),
        None => Ok(()),
    }
}

/// Words of the server, for the log.
fn plain(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_control()).take(200).collect()
}
