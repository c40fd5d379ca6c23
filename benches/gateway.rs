//! Requests per second and CPU per request of the whole gateway, against a peer in the same run.
//!
//! A 2 KB order over keep-alive mutual TLS 1.3, HTTP/1.1, rule of eleven fields, ledger on: every
//! response waits for its entry to be durable. The peer is the smallest TLS pass-through of the same
//! libraries: it verifies the same certificates, forwards to the same upstream, filters nothing and
//! records nothing. Both are processes of their own, measured in turn; CPU is user and system time of
//! the process as the kernel accounts it. Read the ratio, not the absolute figures.
//!
//! `cargo bench --bench gateway` (rounds, seconds, connections: `-- 5 2 16`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fieldgate::authority::Authority;
use fieldgate::transport::{ClientFiles, Doorway, ServerFiles, client_config};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match arguments.first().map(String::as_str) {
        Some("peer") => runtime.block_on(peer(Path::new(&arguments[1]), arguments[2].clone())),
        Some("order") => runtime.block_on(upstream()),
        rounds => {
            let rounds = rounds.map_or(Ok(5), str::parse)?;
            let seconds = arguments.get(1).map_or(Ok(2), |text| text.parse())?;
            let connections = arguments.get(2).map_or(Ok(16), |text| text.parse())?;
            runtime.block_on(measure(rounds, Duration::from_secs(seconds), connections))
        }
    }
}

// ---- what is measured ----

async fn measure(rounds: usize, time: Duration, connections: usize) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new(folder.path().join("certs"));
    authority.init(&["localhost".to_owned()])?;
    authority.issue_client("parcelco", "URI:spiffe://parcelco.example/gateway")?;
    let itself = std::env::current_exe()?;
    let upstream = Process::start(Command::new(&itself).arg("order"))?;
    write_configuration(folder.path(), upstream.address)?;
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    let gateway =
        Process::start(gateway.args(["serve", "--config"]).arg(folder.path().join("fieldgate.toml")))?;
    let peer = Process::start(
        Command::new(&itself).arg("peer").arg(folder.path()).arg(upstream.address.to_string()),
    )?;
    println!(
        "{connections} connections, {rounds} rounds of {time:?} each, ledger on {}",
        folder.path().display()
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let cell = [
            load(folder.path(), &gateway, time, connections).await?,
            load(folder.path(), &peer, time, connections).await?,
        ];
        // The first round warms up.
        if round > 0 {
            println!("round {round}: gateway {}; pass-through {}", cell[0], cell[1]);
            ours.push(cell[0]);
            theirs.push(cell[1]);
        }
    }
    println!("gateway:      {}", median(&ours));
    println!("pass-through: {}", median(&theirs));
    let mut ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a.cpu / b.cpu).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "CPU per request, gateway to pass-through, paired by round: median {:.2} ({:.2} to {:.2})",
        ratios[rounds / 2],
        ratios[0],
        ratios[rounds - 1]
    );
    Ok(())
}

/// One cell of the measurement.
#[derive(Clone, Copy)]
struct Cell {
    /// Requests per second.
    rate: f64,
    /// Microseconds of CPU per request.
    cpu: f64,
    /// Milliseconds, 50th and 99th percentile.
    latency: [f64; 2],
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99] = self.latency;
        write!(
            f,
            "{:.0} requests/s, {:.1} us CPU/request, p50 {p50:.2} ms, p99 {p99:.2} ms",
            self.rate, self.cpu
        )
    }
}

fn median(cells: &[Cell]) -> Cell {
    let middle = |value: fn(&Cell) -> f64| {
        let mut values: Vec<f64> = cells.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Cell {
        rate: middle(|cell| cell.rate),
        cpu: middle(|cell| cell.cpu),
        latency: [middle(|cell| cell.latency[0]), middle(|cell| cell.latency[1])],
    }
}

async fn load(folder: &Path, target: &Process, time: Duration, connections: usize) -> Result<Cell, Failure> {
    let done = Arc::new(AtomicU64::new(0));
    let (cpu, began) = (target.cpu()?, Instant::now());
    let clients = (0..connections)
        .map(|_| tokio::spawn(client(folder.to_owned(), target.address, Arc::clone(&done), began + time)));
    let mut waits = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        waits.extend(client.await??);
    }
    waits.sort_unstable();
    let percentile = |share: f64| waits[(waits.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    let count = done.load(Ordering::Relaxed) as f64;
    Ok(Cell {
        rate: count / began.elapsed().as_secs_f64(),
        cpu: (target.cpu()? - cpu).as_secs_f64() * 1e6 / count,
        latency: [percentile(0.5), percentile(0.99)],
    })
}

/// One request after the other on one connection; how long each took.
async fn client(
    folder: PathBuf,
    address: SocketAddr,
    done: Arc<AtomicU64>,
    until: Instant,
) -> Result<Vec<Duration>, Failure> {
    let file = |name: &str| folder.join("certs").join(name);
    let files = ClientFiles {
        ca: file("company-ca.pem"),
        identity: Some((file("parcelco.pem"), file("parcelco.key"))),
        server_name: None,
    };
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let tls = TlsConnector::from(Arc::new(client_config(&files)?))
        .connect(ServerName::try_from("localhost")?, stream)
        .await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
    tokio::spawn(connection);
    let mut waits = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        sender.ready().await?;
        let response = sender
            .send_request(
                Request::get("/orders/1").header("host", "localhost").body(Full::<Bytes>::default())?,
            )
            .await?;
        assert_eq!(response.status(), 200);
        response.into_body().collect().await?;
        waits.push(began.elapsed());
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(waits)
}

// ---- the processes ----

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Starts a program that says where it listens: the gateway in its log, the others in a line.
    fn start(command: &mut Command) -> Result<Process, Failure> {
        use std::io::BufRead;
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let mut lines = std::io::BufReader::new(stderr).lines();
        let address = loop {
            let line = lines.next().ok_or("the process ended early")??;
            let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = value["address"].as_str() {
                break address.parse()?;
            }
        };
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Process { child, address })
    }

    /// User and system time so far (proc_pid_stat(5), fields 14 and 15).
    fn cpu(&self) -> Result<Duration, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // Linux counts in hundredths of a second.
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say_listening(address: SocketAddr) {
    eprintln!("{}", serde_json::json!({ "address": address }));
}

/// The upstream: always the same order of about 2 KB.
async fn upstream() -> Result<(), Failure> {
    let order = Bytes::from(order());
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    say_listening(socket.local_addr()?);
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        let order = order.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let order = order.clone();
            async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(order))) }
        });
        tokio::spawn(async move {
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok()
        });
    }
}

/// The pass-through.
async fn peer(folder: &Path, upstream: String) -> Result<(), Failure> {
    let file = |name: &str| folder.join("certs").join(name);
    let files = ServerFiles {
        certificate: file("gateway.pem"),
        key: file("gateway.key"),
        client_ca: Some(file("contractor-ca.pem")),
        crl: Vec::new(),
    };
    let tls = Doorway::open(files)?.acceptor();
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    say_listening(socket.local_addr()?);
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, client, upstream) = (tls.clone(), client.clone(), upstream.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request: Request<Incoming>| {
                let mut forwarded = Request::new(Full::default());
                let uri = format!("http://{upstream}{}", request.uri().path());
                *forwarded.uri_mut() = uri.parse().unwrap_or_default();
                client.request(forwarded)
            });
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

fn order() -> String {
    let note = "Left a message on the answering machine, the customer will call back.";
    let notes = vec![format!("\"{note}\""); 16].join(",");
    format!(
        r#"{{"order_id":1,"carrier":"parcelco","status":"ready_to_ship","customer":{{"id":"c-1","name":"Anna Jansen","email":"anna@example.com","date_of_birth":"1987-04-12"}},
"recipient":{{"name":"Anna Jansen","phone":"+31 6 1234 5678"}},"shipping_address":{{"street":"Keizersgracht 1","city":"Amsterdam","postal_code":"1015 CJ","country":"NL"}},
"payment":{{"card":{{"number":"4111111111111111","type":"visa","expiry":"10/27"}},"amount":149.65}},"items":[{{"sku":"TAG-1","quantity":3,"unit_price":44.90}},{{"sku":"LMP-2","quantity":1,"unit_price":14.95}}],
"internal":{{"risk_score":0.46,"notes":[{notes}]}}}}"#
    )
}

fn write_configuration(folder: &Path, upstream: SocketAddr) -> std::io::Result<()> {
    std::fs::create_dir(folder.join("rules"))?;
    let rule = std::fs::read_to_string("rules/parcelco.toml")?;
    let rule = rule
        .replace("\"50/s\"", "\"1000000/s\"")
        .replace("burst            = 100", "burst            = 1000000")
        .replace("concurrent       = 32", "concurrent       = 10000");
    std::fs::write(folder.join("rules/parcelco.toml"), rule)?;
    let config = std::fs::read_to_string("fieldgate.toml")?;
    let config =
        config.replace("127.0.0.1:8443", "127.0.0.1:0").replace("127.0.0.1:9001", &upstream.to_string());
    std::fs::write(folder.join("fieldgate.toml"), config)
}
