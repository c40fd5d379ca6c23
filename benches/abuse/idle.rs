//! What an idle connection costs: mutual TLS, after one request.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::Failure;
use super::client::Client;
use super::process::{self, Process};

const LIMITS: &str = r#"
[limits]
connections_per_address = 20000
handshakes_per_address = "100000/s"
header_timeout = "10m"
idle_timeout = "10m"
"#;

/// Of those before, so that caches and pools are filled.
const WARM: usize = 64;

/// Opens so many connections of each kind, and prints what each takes.
pub async fn measure(count: usize) -> Result<(), Failure> {
    for http2 in [false, true] {
        let folder = tempfile::tempdir()?;
        let (_upstreams, gateway) = process::start(folder.path(), LIMITS)?;
        let client = Client::new(folder.path(), "parcelco", gateway.address, [127, 0, 0, 1])?;
        let _warm = open(&client, http2, WARM).await?;
        let before = settled(&gateway).await?;
        let idle = open(&client, http2, count).await?;
        let after = settled(&gateway).await?;
        let each = (after - before) as f64 / idle.len() as f64;
        let kind = if http2 { "HTTP/2" } else { "HTTP/1.1" };
        println!("{kind}: {before} KiB, with {count} idle connections more {after} KiB: {each:.1} KiB each");
    }
    Ok(())
}

/// Resident memory, in KiB, when it has come to rest.
async fn settled(gateway: &Process) -> Result<u64, Failure> {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    gateway.memory()
}

/// A connection that is open as long as this is there.
type Held = Box<dyn std::any::Any + Send>;

async fn open(client: &Client, http2: bool, count: usize) -> Result<Vec<Held>, Failure> {
    let mut held = Vec::new();
    for _ in 0..count {
        let stream = client.raw_with(if http2 { b"h2" } else { b"http/1.1" }).await?;
        let io = TokioIo::new(stream);
        let body = Full::<Bytes>::default();
        if http2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            let request = Request::get("https://localhost/orders/1").body(body)?;
            let response = sender.send_request(request).await?;
            response.into_body().collect().await?;
            held.push(Box::new(sender) as Held);
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            let request = Request::get("/orders/1").header("host", "localhost").body(body)?;
            let response = sender.send_request(request).await?;
            response.into_body().collect().await?;
            held.push(Box::new(sender) as Held);
        }
    }
    Ok(held)
}
