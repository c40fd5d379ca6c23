//! The review side over a large ledger: how fast entries are counted, what the counts take, what each question to
//! them takes, and each page of the real gateway, from the request to its last byte.
//!
//! `cargo bench --bench review` fills a ledger with a million entries over a year first; `-- 10000000` with more,
//! which takes some minutes and about two gigabytes for each million.

mod filled;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use fieldgate::admin::rollup::{DAY, Reader, path_of};
use fieldgate::authority::Authority;
use fieldgate::ledger::{Ledger, pseudonym_key, signer, subject_keys};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use filled::{CONTRACTORS, fill};

/// Measures the review side.
#[derive(Parser)]
struct Arguments {
    #[arg(default_value_t = 1_000_000)]
    entries: u64,
    /// Keep the ledger here, and use it again
    #[arg(long)]
    folder: Option<PathBuf>,
    #[arg(long, default_value_t = 21)]
    rounds: usize,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir_in("target")?;
    let folder = arguments.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    write_company(&folder)?;
    let (path, key) = (folder.join("fieldgate.db"), folder.join("signing.key"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Before the ledger, as the gateway does: a ledger whose names nobody can make again is refused.
    subject_keys(&folder.join("subject.key"), &path)?;
    pseudonym_key(&folder.join("ledger/pseudonym.key"), &folder.join("subject.key"))?;
    let began = Instant::now();
    let ledger = Ledger::open(&path, signer(&key, None)?, Duration::from_secs(600))?;
    let entries = runtime.block_on(fill(Arc::new(ledger), arguments.entries))?;
    // What the index does not have yet, it takes at the next start.
    drop(Ledger::open(&path, signer(&key, None)?, Duration::from_secs(60))?);
    println!("{entries} entries written, archived and indexed in {:.0} s", began.elapsed().as_secs_f64());
    let _ = std::fs::remove_file(path_of(&path));
    let gateway = Gateway::start(&folder)?;
    let visitor = runtime.block_on(Visitor::new(&folder, gateway.address))?;
    count(&path, entries)?;
    questions(&path, arguments.rounds)?;
    runtime.block_on(pages(&visitor, entries, arguments.rounds))
}

/// Waits until all is counted, beside the gateway.
fn count(path: &Path, entries: u64) -> Result<()> {
    let began = Instant::now();
    while Reader::open(path)?.is_none_or(|counts| counts.upto < entries) {
        ensure!(began.elapsed() < Duration::from_secs(3600), "not counted in an hour");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (took, size) = (began.elapsed().as_secs_f64(), std::fs::metadata(path_of(path))?.len());
    let rate = entries as f64 / took;
    println!("counted in {took:.1} s ({rate:.0} entries/s); the counts take {} KiB\n", size / 1024);
    Ok(())
}

type Question = (&'static str, fn(&Reader, i64) -> Result<usize>);

/// `today` is in days since 1970.
const QUESTIONS: [Question; 10] = [
    ("disclosures and refusals by hour, all, 29 days", |counts, today| {
        Ok(counts.hours((today - 28) * 24, (today + 1) * 24)?.len())
    }),
    ("days of one contractor, a year", |counts, today| {
        Ok(counts.calendar("parcelco", today - 365, today + 1)?.len())
    }),
    ("customers of each contractor, a day", |counts, today| Ok(counts.customers(today)?.len())),
    ("about how many customers of one, 30 days", |counts, today| {
        Ok(counts.about_customers("parcelco", None, today - 29, today + 1)? as usize)
    }),
    ("about how many customers of one, a year", |counts, today| {
        Ok(counts.about_customers("parcelco", None, today - 365, today + 1)? as usize)
    }),
    ("fields of one contractor by day, a year", |counts, today| {
        Ok(counts.fields("parcelco", today - 365, today + 1)?.len())
    }),
    ("permissions of one contractor, a year", |counts, today| {
        Ok(counts.permissions("parcelco", today - 365, today + 1)?.len())
    }),
    ("refusals by code, a day", |counts, today| {
        Ok(counts.refusals(None, today * 24, (today + 1) * 24)?.len())
    }),
    ("signals, a year", |counts, today| Ok(counts.signals(None, today - 365, today + 1)?.len())),
    ("countries, a year", |counts, today| Ok(counts.countries(today - 365, today + 1)?.len())),
];

fn questions(path: &Path, rounds: usize) -> Result<()> {
    println!(
        "{:<58} {:>8} {:>10} {:>11}",
        "a question to the counts, opened anew", "answer", "median ms", "slowest ms"
    );
    for (name, ask) in QUESTIONS {
        let (mut times, mut answer) = (Vec::new(), 0);
        for _ in 0..rounds {
            let began = Instant::now();
            let counts = Reader::open(path)?.context("no counts")?;
            answer = ask(&counts, counts.time.div_euclid(DAY))?;
            times.push(began.elapsed());
        }
        show(name, answer, times);
    }
    Ok(())
}

fn show(name: &str, answer: usize, mut times: Vec<Duration>) {
    times.sort_unstable();
    let millis = |at: usize| times.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3;
    println!("{name:<58} {answer:>8} {:>10.2} {:>11.2}", millis(times.len() / 2), millis(times.len() - 1));
}

async fn pages(visitor: &Visitor, entries: u64, rounds: usize) -> Result<()> {
    let pages = [
        "/".to_owned(),
        "/alerts".into(),
        "/disclosures".into(),
        "/disclosures?contractor=parcelco&field=%40.recipient.phone".into(),
        "/disclosures?outcome=ledger-unavailable".into(),
        format!("/disclosures?before={}", entries / 2),
        format!("/entries/{}", entries / 3),
        "/contractors".into(),
        "/contractors/parcelco".into(),
        "/contractors/helpdesk?days=366".into(),
        "/subject".into(),
        "/reviews".into(),
        "/rules".into(),
        "/ledger".into(),
        "/you".into(),
    ];
    println!("\n{:<58} {:>8} {:>10} {:>11}", "a page", "bytes", "median ms", "slowest ms");
    for page in pages {
        let (mut times, mut size) = (Vec::new(), 0);
        for _ in 0..rounds {
            let began = Instant::now();
            size = visitor.get(&page).await?.len();
            times.push(began.elapsed());
        }
        show(&page, size, times);
    }
    let (mut times, mut size) = (Vec::new(), 0);
    for _ in 0..rounds {
        let began = Instant::now();
        size = visitor.look_up().await?.len();
        times.push(began.elapsed());
    }
    show("/subject (a customer of whom nothing left)", size, times);
    Ok(())
}

// ---- the gateway, and who looks ----

struct Gateway {
    child: Child,
    /// Of the review side.
    address: SocketAddr,
}

impl Gateway {
    fn start(folder: &Path) -> Result<Gateway> {
        use std::io::BufRead;
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.args(["serve", "--config"]).arg(folder.join("fieldgate.toml"));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut lines = std::io::BufReader::new(child.stderr.take().context("no log")?).lines();
        let address = loop {
            let line = lines.next().context("the gateway ended early")??;
            if line.contains("admin side") {
                let line: Value = serde_json::from_str(&line)?;
                break line["address"].as_str().context("no address")?.parse()?;
            }
        };
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Gateway { child, address })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Visitor {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    cookie: String,
}

impl Visitor {
    async fn new(folder: &Path, address: SocketAddr) -> Result<Visitor> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut visitor = Visitor { client, address, cookie: String::new() };
        let form = format!("name=bench&password={}", account(folder)?);
        let request = visitor.request("/sign-in").method("POST");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = visitor.client.request(request.body(Full::from(form))?).await?;
        ensure!(response.status() == 303, "not signed in: {}", response.status());
        let cookies = response.headers().get_all("set-cookie").iter().filter_map(|line| line.to_str().ok());
        visitor.cookie = cookies.filter_map(|line| line.split(';').next()).collect::<Vec<_>>().join("; ");
        Ok(visitor)
    }

    fn request(&self, target: &str) -> http::request::Builder {
        Request::get(format!("http://{}{target}", self.address)).header("cookie", &self.cookie)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Bytes> {
        let response = self.client.request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    async fn get(&self, target: &str) -> Result<Bytes> {
        self.send(self.request(target).body(Full::default())?).await
    }

    async fn look_up(&self) -> Result<Bytes> {
        let page = String::from_utf8(self.get("/you").await?.to_vec())?;
        let token =
            page.split_once("name=\"form-token\" content=\"").and_then(|(_, rest)| rest.split_once('"'));
        let (token, _) = token.context("no form token")?;
        let form = format!("customer=c-1&reason=measured&form_token={token}");
        let request = self.request("/subject").method("POST");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Full::from(form))?).await
    }
}

/// Makes an account; its password.
fn account(folder: &Path) -> Result<String> {
    let password = "a long password for a measurement";
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(["admin", "add", "bench", "--role", "reviewer", "--by", "bench"]);
    command.args(["--password-file", "-", "--config"]);
    let mut child =
        command.arg(folder.join("fieldgate.toml")).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("no input")?, password.as_bytes())?;
    // It is there already where the folder was used before.
    child.wait()?;
    Ok(password.replace(' ', "+"))
}

fn write_company(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder.join("rules"))?;
    if !folder.join("certs").exists() {
        let authority = Authority::new(folder.join("certs"));
        authority.init(&["localhost".to_owned()])?;
    }
    for (contractor, task, country) in CONTRACTORS {
        let contact = if contractor == "helpdesk" { "@.contact.email" } else { "@.recipient.phone" };
        let rules = format!(
            r#"[contractor]
id = "{contractor}"
name = "{contractor}"
service = "A service"
jurisdiction = "{country}"
contact = "privacy@{contractor}.example"
[contractor.agreement]
reference = "DPA-2026-014"
effective = 2020-01-01
expires = 2099-12-31
transfer = "scc"
[[contractor.credential]]
id = "{contractor}"
mtls_san = "URI:spiffe://{contractor}.example/gateway"
[[task]]
id = "{task}"
purpose = "Deliver the customer's parcel"
basis = "contract"
[[task.route]]
path = "/orders/{{order_id}}"
upstream = "orders"
subject = "@.customer.id"
disclose = ["@.order_id", "@.recipient.name", "{contact}", "@.never"]
"#
        );
        std::fs::write(folder.join(format!("rules/{contractor}.toml")), rules)?;
    }
    let config = r#"jurisdiction = "US"
[listen]
address = "127.0.0.1:0"
certificate = "certs/gateway.pem"
key = "certs/gateway.key"
client_ca = "certs/contractor-ca.pem"
[admin]
address = "127.0.0.1:0"
[ledger]
store = "sqlite:fieldgate.db"
signing_key = "signing.key"
subject_key = "subject.key"
[upstream.orders]
url = "http://127.0.0.1:9"
"#;
    Ok(std::fs::write(folder.join("fieldgate.toml"), config)?)
}
