//! Requests, at a closed loop or on a schedule.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use fieldgate::transport::{ClientFiles, client_config};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use super::gateways::Company;

/// Customers who come again and again.
const REGULARS: u64 = 1000;

#[derive(Clone, Copy)]
pub struct Plan {
    /// To each gateway.
    pub connections: usize,
    /// Each request is about another customer.
    pub strangers: bool,
    /// Requests a second to each gateway; as many as come about, where there is none.
    pub rate: Option<f64>,
    pub span: Duration,
}

/// What came back.
#[derive(Default)]
pub struct Answers {
    pub ids: HashSet<u128>,
    waits: Vec<Duration>,
    /// Of each gateway, and how long it was asked.
    counts: Vec<(u64, Duration)>,
    pub errors: u64,
}

impl Answers {
    pub fn add(&mut self, other: Answers) {
        self.ids.extend(other.ids);
        self.errors += other.errors;
    }

    /// Requests a second of each gateway, and their sum.
    pub fn rates(&self) -> (Vec<f64>, f64) {
        let rates: Vec<f64> =
            self.counts.iter().map(|(count, time)| *count as f64 / time.as_secs_f64()).collect();
        let sum = rates.iter().sum();
        (rates, sum)
    }

    /// In milliseconds.
    pub fn percentile(&mut self, share: f64) -> f64 {
        self.waits.sort_unstable();
        let at = (self.waits.len() as f64 * share) as usize;
        self.waits.get(at).map_or(f64::NAN, |wait| wait.as_secs_f64() * 1e3)
    }
}

/// Asks all gateways at the same time.
pub async fn run(company: &Company, plan: Plan) -> Result<Answers> {
    let tls = Arc::new(tls(company.folder.path())?);
    // No order has a number twice, over all of a run.
    static NEXT: AtomicU64 = AtomicU64::new(REGULARS);
    let mut gateways = Vec::new();
    for node in &company.nodes {
        let turn = Arc::new(AtomicU64::new(0));
        let mut clients = Vec::new();
        for _ in 0..plan.connections {
            clients.push(connect(node.address, Arc::clone(&tls)).await?);
        }
        gateways.push((turn, clients));
    }
    let began = Instant::now();
    let mut tasks = Vec::new();
    for (turn, clients) in gateways {
        let tasks_of_node: Vec<_> = clients
            .into_iter()
            .map(|client| {
                let turn = Arc::clone(&turn);
                tokio::spawn(ask(client, plan, began, turn, &NEXT))
            })
            .collect();
        tasks.push(tasks_of_node);
    }
    let mut answers = Answers::default();
    for node in tasks {
        let mut count = 0;
        for task in node {
            let (ids, waits, errors) = task.await??;
            count += ids.len() as u64;
            let all = answers.ids.len() + ids.len();
            answers.ids.extend(ids);
            ensure!(answers.ids.len() == all, "two answers have one id");
            answers.waits.extend(waits);
            answers.errors += errors;
        }
        answers.counts.push((count, began.elapsed()));
    }
    Ok(answers)
}

type Found = (Vec<u128>, Vec<Duration>, u64);

/// One connection.
async fn ask(
    mut client: http1::SendRequest<Full<Bytes>>,
    plan: Plan,
    began: Instant,
    turn: Arc<AtomicU64>,
    next: &'static AtomicU64,
) -> Result<Found> {
    let (mut ids, mut waits, mut errors) = (Vec::new(), Vec::new(), 0);
    loop {
        let number = turn.fetch_add(1, Ordering::Relaxed);
        let due = match plan.rate {
            None => Instant::now(),
            Some(rate) => began + Duration::from_secs_f64(number as f64 / rate),
        };
        if due >= began + plan.span {
            return Ok((ids, waits, errors));
        }
        tokio::time::sleep_until(due).await;
        let order = if plan.strangers { next.fetch_add(1, Ordering::Relaxed) } else { number % REGULARS };
        client.ready().await?;
        let request = Request::get(format!("/orders/{order}")).header("host", "localhost");
        let response = client.send_request(request.body(Full::default())?).await?;
        let (head, body) = response.into_parts();
        body.collect().await?;
        if head.status != 200 {
            errors += 1;
            continue;
        }
        let id = head.headers.get("fieldgate-disclosure-id").context("an answer without an id")?;
        ids.push(Uuid::parse_str(id.to_str()?)?.as_u128());
        waits.push(due.elapsed());
    }
}

fn tls(folder: &Path) -> Result<ClientConfig> {
    let file = |name: &str| folder.join("certs").join(name);
    let files = ClientFiles {
        ca: file("company-ca.pem"),
        identity: Some((file("parcelco.pem"), file("parcelco.key"))),
        server_name: None,
    };
    Ok(client_config(&files)?)
}

async fn connect(
    address: std::net::SocketAddr,
    tls: Arc<ClientConfig>,
) -> Result<http1::SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(tls).connect(ServerName::try_from("localhost")?, stream).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
