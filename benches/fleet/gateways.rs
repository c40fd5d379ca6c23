//! The company: an upstream, and gateways as they are built.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use fieldgate::authority::Authority;
use fieldgate::ledger::{Log, View};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::database::cpu;
use super::postgres::Postgres;

/// What all nodes have; the first one makes them.
const SHARED: [&str; 3] = ["ledger/subject.key", "ledger/pseudonym.key", "ledger/fieldgate.consent-key"];

pub enum Store {
    Sqlite,
    Postgres(Postgres),
}

/// Gateways with one store, and their upstream.
pub struct Company {
    // In this order they end.
    pub nodes: Vec<Gateway>,
    _upstream: Process,
    pub store: Store,
    pub folder: TempDir,
}

pub struct Gateway {
    process: Process,
    pub address: SocketAddr,
    admin: SocketAddr,
    folder: PathBuf,
}

struct Process {
    child: Child,
    lines: Option<BufReader<ChildStderr>>,
}

impl Company {
    pub fn open(store: Store, nodes: usize) -> Result<Company> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new(folder.path().join("certs"));
        authority.init(&["localhost".to_owned()])?;
        authority.issue_client("parcelco", "URI:spiffe://parcelco.example/gateway")?;
        write_rules(folder.path())?;
        let mut upstream = Process::start(Command::new(std::env::current_exe()?).arg("--upstream"))?;
        let behind = upstream.address(None)?;
        let mut company = Company { nodes: Vec::new(), _upstream: upstream, store, folder };
        for number in 0..nodes {
            let node = company.node(number, behind)?;
            company.nodes.push(node);
        }
        Ok(company)
    }

    fn node(&self, number: usize, upstream: SocketAddr) -> Result<Gateway> {
        let folder = self.folder.path().join(format!("node-{number}"));
        std::fs::create_dir_all(folder.join("ledger"))?;
        if let Some(first) = self.nodes.first() {
            for key in SHARED {
                std::fs::copy(first.folder.join(key), folder.join(key))?;
            }
        }
        let store = match &self.store {
            Store::Sqlite => "store = \"sqlite:ledger/fieldgate.db\"".to_owned(),
            Store::Postgres(postgres) => format!(
                "store = \"postgres://gateway@127.0.0.1:{}/fieldgate\"\npostgres = {{ node = \"node-{number}\", password_file = \"{}\" }}",
                postgres.port,
                postgres.password_file("of the gateway").display()
            ),
        };
        let shared = self.folder.path().display();
        let config = std::fs::read_to_string("fieldgate.toml")?
            .replace("127.0.0.1:8443", "127.0.0.1:0")
            .replace("127.0.0.1:8444", "127.0.0.1:0")
            .replace("127.0.0.1:9001", &upstream.to_string())
            .replace("\"certs/", &format!("\"{shared}/certs/"))
            .replace("store       = \"sqlite:ledger/fieldgate.db\"", &store);
        let file = folder.join("fieldgate.toml");
        std::fs::write(&file, format!("rules = \"{shared}/rules\"\n{config}"))?;
        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_fieldgate")).args(["serve", "--config"]).arg(file),
        )?;
        let admin = process.address(Some("admin side"))?;
        let address = process.address(Some("listening"))?;
        process.drain();
        Ok(Gateway { process, address, admin, folder })
    }

    /// The ids of all disclosures that the ledger has an entry of, once each.
    pub fn disclosures(&self) -> Result<HashSet<u128>> {
        let mut ids = HashSet::new();
        let mut add = |id: &str| {
            let new = ids.insert(Uuid::parse_str(id)?.as_u128());
            ensure!(new, "two entries of one answer");
            Ok(())
        };
        match &self.store {
            Store::Sqlite => {
                let log = Log::open(&self.nodes[0].folder.join("ledger/fieldgate.db"))?;
                for position in 0..log.size() {
                    let leaf = log.entry(position)?.context("an entry is missing")?;
                    let entry = View::parse(&leaf)?;
                    if entry.kind == "disclosure" {
                        add(&entry.id)?;
                    }
                }
            }
            Store::Postgres(postgres) => {
                let sql = "SELECT sum(size) - (SELECT count(*) FROM fieldgate.entry) FROM fieldgate.tree";
                ensure!(postgres.sql("fieldgate", sql) == "0", "the trees are not as large as they say");
                let sql = "SELECT e.j ->> 'id' FROM (SELECT convert_from(leaf, 'UTF8')::json AS j FROM fieldgate.entry) e
                    WHERE e.j ->> 'kind' = 'disclosure'";
                postgres.sql("fieldgate", sql).lines().try_for_each(add)?;
            }
        }
        Ok(ids)
    }
}

impl Gateway {
    /// User and system time so far.
    pub fn cpu(&self) -> Result<Duration> {
        cpu(self.process.child.id())
    }

    /// Drafts and commits of its ledger so far.
    pub fn commits(&self) -> Result<(f64, f64)> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let figure = |name: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            Ok(line.with_context(|| format!("no {name} in {text}"))?.parse()?)
        };
        Ok((figure("fieldgate_ledger_commit_drafts_sum")?, figure("fieldgate_ledger_commit_drafts_count")?))
    }
}

impl Process {
    fn start(command: &mut Command) -> Result<Process> {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let lines = child.stderr.take().map(BufReader::new);
        Ok(Process { child, lines })
    }

    /// Where it says that it listens, in a line of this message.
    fn address(&mut self, message: Option<&str>) -> Result<SocketAddr> {
        let lines = self.lines.as_mut().context("no standard error")?;
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                bail!("the process ended early: {said}");
            }
            let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = value["address"].as_str()
                && message.is_none_or(|message| value["message"] == message)
            {
                return Ok(address.parse()?);
            }
            said.push_str(&line);
        }
    }

    /// Nobody reads what it says from now on.
    fn drain(&mut self) {
        let Some(lines) = self.lines.take() else { return };
        std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sample's rule, with limits that nobody meets; customers are counted all the same.
fn write_rules(folder: &Path) -> Result<()> {
    let rule = std::fs::read_to_string("rules/parcelco.toml")?
        .replace("\"50/s\"", "\"1000000/s\"")
        .replace("burst            = 100", "burst            = 1000000")
        .replace("concurrent       = 32", "concurrent       = 10000")
        .replace("subjects_per_day = 20_000", "subjects_per_day = 1_000_000_000");
    ensure!(rule.contains("1_000_000_000") && rule.contains("1000000/s"), "the sample's limits have changed");
    std::fs::create_dir(folder.join("rules"))?;
    Ok(std::fs::write(folder.join("rules/parcelco.toml"), rule)?)
}

/// Orders of about 2 KB, each of the customer with the order's number.
pub async fn upstream() -> Result<()> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("{}", serde_json::json!({ "address": socket.local_addr()? }));
    let note = "Left a message on the answering machine, the customer will call back.";
    let notes = vec![format!("\"{note}\""); 16].join(",");
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        let notes = notes.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let order = order(request.uri().path().rsplit('/').next().unwrap_or_default(), &notes);
            async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(order))) }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            connection.serve_connection(TokioIo::new(stream), service).await.ok()
        });
    }
}

fn order(number: &str, notes: &str) -> Bytes {
    Bytes::from(format!(
        r#"{{"order_id":{number},"carrier":"parcelco","status":"ready_to_ship","customer":{{"id":"c-{number}","name":"Anna Jansen","email":"anna@example.com","date_of_birth":"1987-04-12"}},
"recipient":{{"name":"Anna Jansen","phone":"+31 6 1234 5678"}},"shipping_address":{{"street":"Keizersgracht 1","city":"Amsterdam","postal_code":"1015 CJ","country":"NL"}},
"payment":{{"card":{{"number":"4111111111111111","type":"visa","expiry":"10/27"}},"amount":149.65}},"items":[{{"sku":"TAG-1","quantity":3,"unit_price":44.90}},{{"sku":"LMP-2","quantity":1,"unit_price":14.95}}],
"internal":{{"risk_score":0.46,"notes":[{notes}]}}}}"#
    ))
}
