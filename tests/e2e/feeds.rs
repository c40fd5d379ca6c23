//! Entries sent on: what every receiver gets, whatever happens to it and to the gateway.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fieldgate::ledger::Log;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::retention::house_of_the_first_version;
use crate::support::{Answer, CONFIG, House, PLANTED, RULES, Visitor, order};

/// Far more than any of these tests should need.
const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "0123456789abcdef";
/// The seed of a NATS user, and its key.
const SEED: &str = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y";
const NKEY: &str = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK";

/// How a receiver behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    /// It takes what comes, and says nothing about it.
    Swallows,
    /// It says that it does not take it.
    Refuses,
    /// It takes the connection, and reads nothing.
    Hangs,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A receiver over TCP: HTTP, or syslog.
struct Receiver {
    address: SocketAddr,
    is_http: bool,
    tls: Option<TlsAcceptor>,
    mood: watch::Sender<Mood>,
    /// All that came, as it came.
    text: Arc<Mutex<String>>,
    /// What was taken.
    events: Arc<Mutex<Vec<Value>>>,
    task: Option<JoinHandle<()>>,
}

impl Receiver {
    async fn start(is_http: bool) -> Receiver {
        Receiver::start_over(is_http, None).await
    }

    /// With TLS, where there is an acceptor.
    async fn start_over(is_http: bool, tls: Option<TlsAcceptor>) -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut receiver = Receiver {
            address: listener.local_addr().unwrap(),
            is_http,
            tls,
            mood: watch::channel(Mood::Takes).0,
            text: Arc::default(),
            events: Arc::default(),
            task: None,
        };
        receiver.listen(listener);
        receiver
    }

    fn listen(&mut self, listener: TcpListener) {
        let (is_http, tls, mood) = (self.is_http, self.tls.clone(), self.mood.subscribe());
        let (text, events) = (Arc::clone(&self.text), Arc::clone(&self.events));
        self.task = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (mood, text, events) = (mood.clone(), Arc::clone(&text), Arc::clone(&events));
                let tls = tls.clone();
                connections.spawn(async move {
                    if *mood.borrow() == Mood::Hangs {
                        std::future::pending::<()>().await;
                    }
                    let stream: Box<dyn Stream> = match &tls {
                        None => Box::new(stream),
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                    };
                    let _ = match is_http {
                        true => take_requests(stream, mood, &text, &events).await,
                        false => take_messages(stream, &text, &events).await,
                    };
                });
            }
        }));
    }

    /// Ends, with all connections.
    async fn go_away(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.listen(listener);
    }

    fn is(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// The numbers of the entries that came.
    fn numbers(&self) -> Vec<u64> {
        numbers(&self.events.lock().unwrap())
    }
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["metadata"]["sequence"].as_u64().unwrap()).collect()
}

async fn take_requests(
    mut stream: Box<dyn Stream>,
    mood: watch::Receiver<Mood>,
    text: &Mutex<String>,
    events: &Mutex<Vec<Value>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("{name} in {head}")).to_owned()
        };
        let length: usize = header("content-length").parse().unwrap();
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        let body: Vec<u8> = bytes.drain(..end + length).skip(end).collect();
        assert_eq!(header("content-type"), "application/x-ndjson");
        assert_eq!(header("authorization"), "bearer letmein");
        assert_eq!(header("fieldgate-signature"), signature(&header("fieldgate-timestamp"), &body));
        let body = String::from_utf8(body).unwrap();
        text.lock().unwrap().extend([head.as_str(), body.as_str()]);
        let mood = *mood.borrow();
        if mood != Mood::Refuses {
            let lines = body.lines().map(|line| serde_json::from_str(line).unwrap());
            events.lock().unwrap().extend(lines);
        }
        let answer = match mood {
            Mood::Takes => "HTTP/1.1 204 No Content\r\n\r\n",
            Mood::Refuses => "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            Mood::Swallows | Mood::Hangs => return Ok(()),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// As OpenSSL makes it.
fn signature(seconds: &str, body: &[u8]) -> String {
    use std::io::Write;
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-hmac", KEY]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[seconds.as_bytes(), b".", body].concat()).unwrap();
    drop(stdin);
    let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    format!("sha256={}", text.trim().rsplit(' ').next().unwrap())
}

async fn take_messages(
    mut stream: Box<dyn Stream>,
    text: &Mutex<String>,
    events: &Mutex<Vec<Value>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let mut rest = std::str::from_utf8(&bytes).unwrap();
    text.lock().unwrap().push_str(rest);
    while !rest.is_empty() {
        let (length, behind) = rest.split_once(' ').unwrap();
        let Some((message, behind)) = behind.split_at_checked(length.parse().unwrap()) else { break };
        let (head, event) = message.split_once('\u{feff}').unwrap();
        let event: Value = serde_json::from_str(event).unwrap();
        assert!(
            head.starts_with('<') && head.contains(&format!("entry=\"{}\"", event["metadata"]["sequence"])),
            "{head}"
        );
        events.lock().unwrap().push(event);
        rest = behind;
    }
    Ok(())
}

/// A house with feeds; it is not open yet.
async fn house(feeds: &str) -> House {
    let config = CONFIG.replace("[ledger]", "[admin]\naddress = \"127.0.0.1:0\"\n[ledger]");
    let house = House::closed(&(config + feeds), &[("parcelco", RULES)]).await;
    for (name, content) in [
        ("siem.key", KEY),
        ("siem.token", "letmein\n"),
        ("nats.password", "opensesame\n"),
        ("nats.seed", SEED),
        ("user.creds", include_str!("nats/user.creds")),
    ] {
        fieldgate::secrets::write(&house.path("secrets").join(name), content.as_bytes()).unwrap();
    }
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house
}

fn http(address: SocketAddr) -> String {
    format!(
        "[[feed]]\nname = \"siem\"\nkind = \"http\"\nurl = \"http://{address}/events\"\nkey = {{ file = \"secrets/siem.key\" }}\n\
         bearer = {{ file = \"secrets/siem.token\" }}\nbatch = 16\ntimeout = \"1s\"\n"
    )
}

async fn disclose(house: &House, times: usize) {
    let client = house.parcelco();
    for _ in 0..times {
        let response = client.try_send(http::Method::GET, "/orders/1", "").await.unwrap();
        assert_eq!(response.status, 200);
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All entries that there are now came, each at least once, and for the first time in their order.
fn are_whole(house: &House, came: &[u64]) -> bool {
    came.iter().copied().collect::<BTreeSet<u64>>() == (0..house.entries().len() as u64).collect()
}

fn assert_in_order(came: &[u64]) {
    let mut next = 0;
    for number in came {
        assert!(*number <= next, "{number} came before {next}: {came:?}");
        next = next.max(number + 1);
    }
}

fn assert_nothing_personal(text: &str) {
    for value in
        [PLANTED, "Anna Jansen", "Keizersgracht", "Amsterdam", "1015 CJ", "c-1\"", "\"5678\"", "/orders/1"]
    {
        assert!(!text.contains(value), "{value}");
    }
}

/// A figure of a feed.
async fn figure(house: &House, name: &str, feed: &str) -> f64 {
    let url = format!("http://{}/metrics", house.admin());
    let output = tokio::process::Command::new("curl").args(["-sS", &url]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let begin = format!("fieldgate_feed_{name}{{feed=\"{feed}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&begin));
    value.unwrap_or_else(|| panic!("{begin} in {text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_comes_at_least_once_and_in_order_whoever_is_killed() {
    for is_http in [true, false] {
        let mut receiver = Receiver::start(is_http).await;
        let syslog = format!(
            "[[feed]]\nname = \"siem\"\nkind = \"syslog\"\naddress = \"tcp://{}\"\nbatch = 16\ntimeout = \"1s\"\n",
            receiver.address
        );
        let mut house = house(&if is_http { http(receiver.address) } else { syslog }).await;
        house.open();
        disclose(&house, 30).await;
        until("the first entries come", || receiver.numbers().len() >= 20).await;
        receiver.go_away().await;
        disclose(&house, 30).await;
        house.logged("entries cannot be delivered").await;
        receiver.come_back().await;
        until("it goes on", || are_whole(&house, &receiver.numbers())).await;
        if is_http {
            receiver.is(Mood::Swallows);
            disclose(&house, 5).await;
            until("it comes twice", || {
                let came = receiver.numbers();
                came.len() > came.iter().collect::<BTreeSet<_>>().len()
            })
            .await;
            receiver.is(Mood::Refuses);
            disclose(&house, 5).await;
            house.logged("it answers with status 503").await;
            let password = house.account("anna", "reviewer");
            let visitor = Visitor::new(&house, "http", None);
            visitor.sign_in("anna", &password).await;
            let page = visitor.get("/ledger").await.body;
            let row = page.lines().find(|line| line.contains("<code>siem</code>")).unwrap();
            assert!(row.contains("fails</span> it answers with status 503"), "{row}");
            let state: Value = serde_json::from_str(&visitor.get("/api/v1/ledger").await.body).unwrap();
            let feed = &state["feeds"][0];
            assert_eq!((&feed["name"], &feed["kind"]), (&Value::from("siem"), &Value::from("http")));
            assert!(feed["lag_entries"].as_u64() >= Some(5) && feed["failures"].as_u64() > Some(1), "{feed}");
        }
        // In the middle of it: of what was sent, nobody knows what arrived.
        house.kill();
        receiver.is(Mood::Takes);
        house.open();
        for _ in 0..3 {
            disclose(&house, 40).await;
            house.kill();
            house.open();
        }
        until("all of it comes", || are_whole(&house, &receiver.numbers())).await;
        assert_in_order(&receiver.numbers());
        assert_nothing_personal(&receiver.text.lock().unwrap());
        let figures = house.ledger(&["feeds", "--format", "json"]);
        assert!(figures.status.success(), "{figures:?}");
        let place: Value = serde_json::from_slice(&figures.stdout).unwrap();
        assert_eq!((&place["name"], place["error"].is_null()), (&Value::from("siem"), true), "{place}");
        house.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_delays_no_request_and_not_the_end_either() {
    let receiver = Receiver::start(true).await;
    receiver.is(Mood::Hangs);
    let mut house = house(&http(receiver.address).replace("\"1s\"", "\"30s\"")).await;
    house.open();
    disclose(&house, 1).await;
    until("it is behind", || house.path("ledger/fieldgate.feed-siem").exists()).await;
    let client = house.parcelco();
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        let began = Instant::now();
        let response = client.try_send(http::Method::GET, "/orders/1", "").await.unwrap();
        assert_eq!(response.status, 200);
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    house.rest().await;
    let entries = house.entries().len() as f64;
    let began = Instant::now();
    while figure(&house, "lag_entries", "siem").await < entries
        || figure(&house, "lag_seconds", "siem").await < 1.0
    {
        assert!(began.elapsed() < PATIENCE, "the lag shows");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(figure(&house, "delivered_total", "siem").await, 0.0);
    let began = Instant::now();
    house.signal("-TERM");
    assert!(house.wait().success());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_gets_what_it_is_for_also_where_it_is_rotated() {
    let feed = "[[feed]]\nname = \"lines\"\nkind = \"file\"\npath = \"feed/events.jsonl\"\nkinds = [\"disclosure\"]\n";
    let mut house = house(feed).await;
    house.open();
    let (path, old) = (house.path("feed/events.jsonl"), house.path("feed/events.jsonl.1"));
    let events = |path: &PathBuf| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    disclose(&house, 3).await;
    until("they come", || events(&path).len() == 3).await;
    std::fs::rename(&path, &old).unwrap();
    house.kill();
    house.open();
    disclose(&house, 2).await;
    let of = |path: &PathBuf| numbers(&events(path));
    // The kill can have made some of them come twice.
    let distinct = || [of(&old), of(&path)].concat().into_iter().collect::<BTreeSet<u64>>().len();
    until("they come into a new file", || of(&path).len() >= 2 && distinct() == 5).await;
    let all = [events(&old), events(&path)].concat();
    assert!(all.iter().all(|event| event["unmapped"]["kind"] == "disclosure"), "{all:?}");
    assert!(of(&old).is_sorted(), "{:?}", of(&old));
    assert_nothing_personal(&std::fs::read_to_string(&old).unwrap());
    house.assert_clean();
}

fn assert_in_order_of_time(events: &[Value]) {
    let numbers = numbers(events);
    assert!(numbers.is_sorted_by(|one, two| one < two), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pruned_is_counted_and_an_older_copy_stops_the_feed() {
    let mut house = house_of_the_first_version().await;
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    disclose(&house, 70).await;
    let began = Instant::now();
    let plan = loop {
        let output = house.ledger(&["prune", "--format", "json"]);
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        if plan["waiting"] == 0 {
            break plan;
        }
        assert!(began.elapsed() < PATIENCE, "{plan}");
    };
    let (at, token) = (plan["at"].as_str().unwrap(), plan["plan"].as_str().unwrap());
    let pruned = house.ledger(&[
        "prune",
        "--at",
        at,
        "--execute",
        token,
        "--by",
        "dora",
        "--approved-by",
        "anna",
        "--approved-by",
        "bert",
    ]);
    assert!(pruned.status.success(), "{pruned:?}");
    house.kill();
    let config = std::fs::read_to_string(house.path("fieldgate.toml")).unwrap();
    let feed = "[[feed]]\nname = \"lines\"\nkind = \"file\"\npath = \"feed/events.jsonl\"\n";
    std::fs::write(house.path("fieldgate.toml"), format!("{config}{feed}")).unwrap();
    house.open();
    house.logged("content was pruned before it could be delivered").await;
    let size = Log::open(&house.ledger_path()).unwrap().size();
    let place = || std::fs::read_to_string(house.path("ledger/fieldgate.feed-lines")).unwrap();
    until("all of it comes", || place().contains(&format!("\"next\":{size},"))).await;
    let text = std::fs::read_to_string(house.path("feed/events.jsonl")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let gone: u64 = events
        .iter()
        .filter(|event| event["unmapped"]["kind"] == "pruned")
        .map(|event| event["count"].as_u64().unwrap())
        .sum();
    assert_eq!(gone, 699, "all old ones but the rules");
    // With those that it stands for, no number is missing.
    let mut next = 0;
    for event in &events {
        assert_eq!(event["metadata"]["sequence"], next);
        next += event["count"].as_u64().unwrap_or(1);
    }
    assert_eq!(next, size);

    // A copy is put back, and the gateway goes on with it.
    house.kill();
    let (ledger, copy) = (house.path("ledger"), house.path("copy"));
    let copied = |from: &PathBuf, to: &PathBuf| {
        let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(status.success());
    };
    copied(&ledger, &copy);
    house.open();
    disclose(&house, 5).await;
    let (kept, sent) = (house.path("ledger/fieldgate.feed-lines"), house.path("feed/events.jsonl"));
    let place = || std::fs::read_to_string(&kept).unwrap();
    let before = place();
    let all = format!("\"next\":{},", next + 7);
    until("they are delivered", || place().contains(&all)).await;
    assert_ne!(place(), before);
    let lines = || std::fs::read_to_string(&sent).unwrap().lines().count();
    house.kill();
    let ahead = place();
    std::fs::remove_dir_all(&ledger).unwrap();
    copied(&copy, &ledger);
    std::fs::write(&kept, ahead).unwrap();
    let before = lines();
    house.open();
    house.logged("the feed stands still").await;
    disclose(&house, 20).await;
    let told = house.ledger(&["feeds"]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.code() == Some(1) && text.contains("copy"), "{told:?}");
    assert_eq!(lines(), before, "nothing is skipped, and nothing is sent");
    let anew = house.ledger(&["feeds", "--begin-anew", "lines"]);
    assert!(anew.status.success(), "{anew:?}");
    house.kill();
    house.open();
    until("it begins anew", || lines() > before).await;
    let refused = house.ledger(&["feeds", "--begin-anew", "lines"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

/// nats-server, running.
struct Nats {
    /// Of its configuration.
    more: String,
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Nats {
    fn start(more: String) -> Nats {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut nats = Nats { more, folder, port, child: None };
        nats.come_back();
        nats
    }

    fn come_back(&mut self) {
        let users = format!(
            "authorization {{ users: [ {{ user: fieldgate, password: opensesame }}, {{ nkey: {NKEY} }} ] }}"
        );
        let storage = format!("jetstream {{ store_dir: \"{}\" }}", self.folder.path().display());
        // One that knows users by an operator's signature has no others, and no JetStream without more of it.
        let is_operated = self.more.contains("operator:");
        let own = if is_operated { String::new() } else { format!("{users}\n{storage}") };
        let config = format!("listen: 127.0.0.1:{}\n{own}\n{}\n", self.port, self.more);
        let file = self.folder.path().join("nats.conf");
        std::fs::write(&file, config).unwrap();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("nats-server");
        command.env("PATH", path).arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("nats-server is installed (tests/run does that)"));
    }

    fn go_away(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks JetStream's interface, by a client of the test's own.
    async fn ask(&self, subject: &str, body: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let hello = "CONNECT {\"verbose\":false,\"user\":\"fieldgate\",\"pass\":\"opensesame\",\"headers\":true}\r\nSUB answer 1\r\n";
        let ask = format!("{hello}PUB {subject} answer {}\r\n{body}\r\n", body.len());
        stream.write_all(ask.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        let read = async {
            loop {
                stream.read_buf(&mut bytes).await.ok().filter(|count| *count > 0)?;
                let text = String::from_utf8_lossy(&bytes);
                if let Some((_, rest)) = text.split_once("MSG answer 1 ")
                    && let Some((length, rest)) = rest.split_once("\r\n")
                    && let Some(payload) = rest.get(..length.parse().ok()?)
                {
                    return serde_json::from_str(payload).ok();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(2), read).await.ok().flatten()
    }

    /// What the stream holds, in order.
    async fn events(&self) -> Vec<Value> {
        let Some(info) = self.ask("$JS.API.STREAM.INFO.LEDGER", "").await else { return Vec::new() };
        let last = info["state"]["messages"].as_u64().unwrap_or_default();
        let mut events = Vec::new();
        for number in 1..=last {
            let message =
                self.ask("$JS.API.STREAM.MSG.GET.LEDGER", &format!("{{\"seq\":{number}}}")).await.unwrap();
            let data = STANDARD.decode(message["message"]["data"].as_str().unwrap()).unwrap();
            events.push(serde_json::from_slice(&data).unwrap());
        }
        events
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.go_away();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream_has_each_entry_once_whoever_is_killed() {
    let mut nats = Nats::start(String::new());
    let feed = format!(
        "[[feed]]\nname = \"stream\"\nkind = \"nats\"\naddress = \"nats://127.0.0.1:{}\"\nsubject = \"fieldgate.ledger\"\n\
         user = \"fieldgate\"\npassword = {{ file = \"secrets/nats.password\" }}\nbatch = 100\ntimeout = \"2s\"\n",
        nats.port
    );
    let mut house = house(&feed).await;
    house.open();
    disclose(&house, 30).await;
    // Nobody keeps what is published there.
    house.logged("no JetStream stream takes this subject").await;
    let stream = "{\"name\":\"LEDGER\",\"subjects\":[\"fieldgate.>\"],\"storage\":\"file\"}";
    let made = nats.ask("$JS.API.STREAM.CREATE.LEDGER", stream).await.unwrap();
    assert!(made["error"].is_null(), "{made}");
    let whole = async |nats: &Nats, house: &House| {
        let began = Instant::now();
        loop {
            let events = nats.events().await;
            if are_whole(house, &numbers(&events)) {
                return events;
            }
            assert!(began.elapsed() < PATIENCE, "{:?}", numbers(&events));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    whole(&nats, &house).await;
    nats.go_away();
    disclose(&house, 150).await;
    nats.come_back();
    // While it is at it.
    for _ in 0..3 {
        disclose(&house, 10).await;
        house.kill();
        house.open();
    }
    let events = whole(&nats, &house).await;
    assert_in_order_of_time(&events);
    assert_nothing_personal(&serde_json::to_string(&events).unwrap());
    house.assert_clean();
}

/// With the gateway's own certificate, whose name is `localhost`.
fn acceptor(house: &House) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(house.path("certs/gateway.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(house.path("certs/gateway.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_a_receiver_is_known_by_its_authority() {
    let mut house = house("").await;
    let certs = house.path("certs");
    let nats = Nats::start(format!(
        "tls {{ cert_file: \"{0}/gateway.pem\", key_file: \"{0}/gateway.key\" }}",
        certs.display()
    ));
    let operated = Nats::start(include_str!("nats/operator.conf").to_owned());
    let endpoint = Receiver::start_over(true, Some(acceptor(&house))).await;
    let lines = Receiver::start_over(false, Some(acceptor(&house))).await;
    let feeds = format!(
        "{}ca = \"certs/CA.pem\"\n\
         [[feed]]\nname = \"lines\"\nkind = \"syslog\"\naddress = \"tls://localhost:{}\"\nca = \"certs/CA.pem\"\n\
         [[feed]]\nname = \"stream\"\nkind = \"nats\"\naddress = \"tls://localhost:{}\"\nca = \"certs/CA.pem\"\n\
         subject = \"fieldgate.ledger\"\nuser = \"fieldgate\"\npassword = {{ file = \"secrets/nats.password\" }}\n\
         [[feed]]\nname = \"signed\"\nkind = \"nats\"\naddress = \"tls://localhost:{2}\"\nca = \"certs/CA.pem\"\n\
         subject = \"fieldgate.ledger\"\ncredentials = {{ file = \"secrets/nats.seed\" }}\n\
         [[feed]]\nname = \"vouched-for\"\nkind = \"nats\"\naddress = \"nats://localhost:{3}\"\n\
         subject = \"fieldgate.ledger\"\ncredentials = {{ file = \"secrets/user.creds\" }}\n",
        http(endpoint.address).replace("http://127.0.0.1", "https://localhost"),
        lines.address.port(),
        nats.port,
        operated.port
    );
    let config = std::fs::read_to_string(house.path("fieldgate.toml")).unwrap();
    let with = |ca: &str| format!("{config}{}", feeds.replace("CA", ca));
    std::fs::write(house.path("fieldgate.toml"), with("contractor-ca")).unwrap();
    house.open();
    disclose(&house, 3).await;
    for feed in ["siem", "lines", "stream", "signed"] {
        until(feed, || {
            let log = house.log();
            log.contains(&format!("\"feed\":\"{feed}\",\"error\":\"invalid peer certificate"))
        })
        .await;
    }
    assert_eq!((endpoint.numbers().len(), lines.numbers().len()), (0, 0));
    house.kill();
    std::fs::write(house.path("fieldgate.toml"), with("company-ca")).unwrap();
    house.open();
    until("they come", || are_whole(&house, &endpoint.numbers()) && are_whole(&house, &lines.numbers()))
        .await;
    // They were let in, and nobody keeps what is published there.
    for feed in ["stream", "signed", "vouched-for"] {
        house
            .logged(&format!("\"feed\":\"{feed}\",\"error\":\"no JetStream stream takes this subject\""))
            .await;
    }
    house.assert_clean();
}
