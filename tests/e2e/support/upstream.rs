//! An upstream over a raw socket: it can say what no HTTP library would.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

/// What the upstream does with a request to one path.
#[derive(Clone)]
pub enum Answer {
    /// These bytes, then the connection closes.
    Raw(Vec<u8>),
    /// Status line, headers, and a body with its length; the connection stays.
    Http { status: String, headers: Vec<(String, String)>, body: Vec<u8> },
    /// These bytes; the connection stays.
    Bytes(Vec<u8>),
    /// Nothing, and the connection closes.
    HangUp,
    /// Nothing, ever.
    Silence,
    /// Waits until it is told to go on, then answers.
    Held(Arc<Notify>, Box<Answer>),
    /// These bytes, so many times, then the rest.
    Begun { bytes: Arc<[u8]>, times: usize, then: Box<Answer> },
}

impl Answer {
    pub fn json(body: impl Into<Vec<u8>>) -> Answer {
        Answer::Http {
            status: "200 OK".into(),
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: body.into(),
        }
    }

    pub fn status(status: &str, body: &str) -> Answer {
        Answer::Http { status: status.into(), headers: Vec::new(), body: body.into() }
    }

    pub fn begun(bytes: impl Into<Vec<u8>>, then: Answer) -> Answer {
        Answer::repeated(bytes, 1, then)
    }

    pub fn repeated(bytes: impl Into<Vec<u8>>, times: usize, then: Answer) -> Answer {
        Answer::Begun { bytes: bytes.into().into(), times, then: Box::new(then) }
    }

    pub fn held(go: &Arc<Notify>, then: Answer) -> Answer {
        Answer::Held(Arc::clone(go), Box::new(then))
    }

    pub fn with_header(self, name: &str, value: &str) -> Answer {
        match self {
            Answer::Http { status, mut headers, body } => {
                headers.push((name.into(), value.into()));
                Answer::Http { status, headers, body }
            }
            other => other,
        }
    }
}

#[derive(Clone)]
pub struct StubUpstream {
    pub address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    /// Heads and bodies of the requests that came, as text.
    requests: Arc<Mutex<Vec<String>>>,
    arrived: Arc<Notify>,
    /// A connection was closed while an answer was under way.
    hung_up: Arc<Notify>,
    connections: Arc<Connections>,
    /// Whether it listens; each word ends all connections.
    listens: watch::Sender<bool>,
}

#[derive(Default)]
struct Connections {
    accepted: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
    /// Answers that were given to their end.
    answered: AtomicUsize,
    /// Certificates of clients that were shown in a handshake.
    certificates: Mutex<Vec<Vec<u8>>>,
}

impl StubUpstream {
    pub async fn start() -> StubUpstream {
        StubUpstream::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), None).await
    }

    pub async fn start_tls(tls: ServerConfig) -> StubUpstream {
        StubUpstream::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Some(tls)).await
    }

    pub async fn start_at(address: SocketAddr, tls: Option<ServerConfig>) -> StubUpstream {
        let socket = TcpListener::bind(address).await.unwrap();
        let upstream = StubUpstream {
            address: socket.local_addr().unwrap(),
            answers: Arc::default(),
            requests: Arc::default(),
            arrived: Arc::default(),
            hung_up: Arc::default(),
            connections: Arc::default(),
            listens: watch::Sender::new(true),
        };
        let tls = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        tokio::spawn(upstream.clone().serve(socket, tls));
        upstream
    }

    async fn serve(self, socket: TcpListener, tls: Option<TlsAcceptor>) {
        let mut listens = self.listens.subscribe();
        loop {
            let stream = tokio::select! {
                accepted = socket.accept() => accepted.unwrap().0,
                _ = listens.wait_for(|listens| !listens) => return,
            };
            // What is written is sent, and not kept until the other side has confirmed what was before.
            stream.set_nodelay(true).unwrap();
            let (serving, tls) = (self.clone(), tls.clone());
            let mut word = self.listens.subscribe();
            tokio::spawn(async move {
                let connections = Arc::clone(&serving.connections);
                connections.accepted.fetch_add(1, Ordering::SeqCst);
                let open = connections.open.fetch_add(1, Ordering::SeqCst) + 1;
                connections.most.fetch_max(open, Ordering::SeqCst);
                tokio::select! {
                    _ = serving.greet(stream, tls) => {}
                    _ = word.changed() => {}
                }
                connections.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    /// Closes all connections, and takes new ones only if it goes on to listen.
    pub async fn close(&self, listens: bool) {
        self.listens.send_replace(listens);
        while self.open() > 0 || (!listens && TcpStream::connect(self.address).await.is_ok()) {
            tokio::task::yield_now().await;
        }
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.connections.accepted.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.connections.open.load(Ordering::SeqCst)
    }

    /// Connections that were open at once.
    pub fn most(&self) -> usize {
        self.connections.most.load(Ordering::SeqCst)
    }

    pub fn answered(&self) -> usize {
        self.connections.answered.load(Ordering::SeqCst)
    }

    pub fn certificates(&self) -> Vec<Vec<u8>> {
        self.connections.certificates.lock().unwrap().clone()
    }

    /// `target` is path and query, as the upstream sees them.
    pub fn on(&self, target: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(target.to_owned(), answer);
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits for the next request to arrive.
    pub fn arrival(&self) -> impl Future<Output = ()> + use<> {
        let arrived = Arc::clone(&self.arrived);
        async move { arrived.notified().await }
    }

    /// Waits until a connection is closed before its answer has ended.
    pub fn hang_up(&self) -> impl Future<Output = ()> + use<> {
        let hung_up = Arc::clone(&self.hung_up);
        async move { hung_up.notified().await }
    }

    async fn greet(&self, stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<()> {
        let Some(tls) = tls else { return self.converse(stream).await };
        let stream = tls.accept(stream).await.ok()?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = shown.iter().map(|certificate| certificate.to_vec());
        self.connections.certificates.lock().unwrap().extend(shown);
        self.converse(stream).await
    }

    async fn converse(&self, mut stream: impl Stream) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let (request, target) = read_request(&mut stream, &mut buffer).await?;
            self.requests.lock().unwrap().push(request);
            self.arrived.notify_one();
            let answer = self.answers.lock().unwrap().get(&target).cloned();
            let answer = answer.unwrap_or_else(|| Answer::status("404 Not Found", "{\"error\":\"PLANTED\"}"));
            match give(&mut stream, answer).await {
                Ok(true) => {
                    self.connections.answered.fetch_add(1, Ordering::SeqCst);
                }
                Ok(false) => return None,
                Err(_) => {
                    self.hung_up.notify_one();
                    return None;
                }
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Whether the connection stays; an error where the other side does not wait for the end of the answer.
async fn give(stream: &mut impl Stream, mut answer: Answer) -> std::io::Result<bool> {
    loop {
        match answer {
            Answer::Held(go, then) => {
                tokio::select! {
                    () = go.notified() => {}
                    gone = closed(stream) => return Err(gone),
                }
                answer = *then;
            }
            Answer::Begun { bytes, times, then } => {
                for _ in 0..times {
                    stream.write_all(&bytes).await?;
                }
                answer = *then;
            }
            Answer::Raw(bytes) => {
                stream.write_all(&bytes).await?;
                stream.shutdown().await?;
                return Ok(false);
            }
            Answer::Http { status, headers, body } => {
                let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                stream.write_all(&[head.as_bytes(), &body].concat()).await?;
                return Ok(true);
            }
            Answer::Bytes(bytes) => {
                stream.write_all(&bytes).await?;
                return Ok(true);
            }
            Answer::HangUp => return Ok(false),
            Answer::Silence => return Err(closed(stream).await),
        }
    }
}

/// Waits until the other side closes; it has nothing to say while it waits for an answer.
async fn closed(stream: &mut impl Stream) -> std::io::Error {
    while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
    std::io::ErrorKind::ConnectionAborted.into()
}

/// One request with its body, and its target; the rest stays in `buffer`.
async fn read_request(stream: &mut impl Stream, buffer: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
            });
            let whole = end + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                let request = String::from_utf8_lossy(&buffer[..whole]).into_owned();
                buffer.drain(..whole);
                let target = head.split(' ').nth(1)?.to_owned();
                return Some((request, target));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
