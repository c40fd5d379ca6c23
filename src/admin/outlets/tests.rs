//! Outlets against real sockets.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::store::{Mute, Raised, now};
use super::*;
use crate::config::{Least, Secret, SyslogTerms, SyslogWay, WebhookTerms};

const QUICK: Pace = Pace {
    look: Duration::from_millis(2),
    first: Duration::from_millis(2),
    longest: Duration::from_millis(20),
};

/// A store, and an outlet that runs beside it until it is dropped.
struct House {
    folder: tempfile::TempDir,
    store: Arc<Store>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("fieldgate.db")).unwrap());
        crate::secrets::write(&folder.path().join("webhook.key"), b"0123456789abcdef\n").unwrap();
        House { folder, store }
    }

    fn raise(&self, name: &str, severity: Severity) {
        let raised = Raised {
            id: name.to_owned(),
            kind: name.to_owned(),
            severity,
            time: now(),
            entry: Some(9),
            contractor: Some("parcelco".to_owned()),
            credential: None,
            task: None,
            route: None,
            details: json!({}),
            requests: Vec::new(),
        };
        assert_eq!(self.store.raise(&[raised], 10).unwrap(), 1);
    }

    fn webhook(&self, address: SocketAddr) -> Outlet {
        let terms = WebhookTerms {
            url: format!("http://{address}/hook"),
            key: Secret::File(self.folder.path().join("webhook.key")),
            ca: None,
            timeout: Duration::from_millis(200),
            least: Least::Medium,
        };
        self.outlet("webhook", Way::Webhook(Box::new(Webhook::new(&terms).unwrap())))
    }

    fn syslog(&self, way: SyslogWay, address: SocketAddr) -> Outlet {
        let terms = SyslogTerms {
            way,
            host: address.ip().to_string(),
            port: address.port(),
            ca: None,
            facility: 16,
            timeout: Duration::from_secs(5),
            least: Least::Medium,
        };
        self.outlet("syslog", Way::Syslog(Syslog::new(&terms).unwrap()))
    }

    fn outlet(&self, name: &'static str, way: Way) -> Outlet {
        self.store.open_outlet(name).unwrap();
        Outlet { name, way, least: Severity::Medium, timeout: Duration::from_millis(200), url: None }
    }

    fn run(&self, outlet: Outlet) -> Running {
        let (stop, stopped) = watch::channel(false);
        Running { stop, task: tokio::spawn(outlet.run(Arc::clone(&self.store), QUICK, stopped)) }
    }

    /// Waits until the outlet stands like this.
    async fn until(&self, name: &str, fits: impl Fn(&super::super::store::Outgoing) -> bool) {
        let mut last = None;
        let look = async {
            loop {
                last = self.store.outgoing(name, Severity::Medium).unwrap();
                if last.as_ref().is_some_and(&fits) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(20), look).await;
        assert!(outcome.is_ok(), "the outlet stands like this: {last:?}");
    }
}

impl Running {
    async fn end(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

/// One request: its head in lower case, and its body.
async fn request(stream: &mut tokio::net::TcpStream) -> (String, serde_json::Value) {
    let mut text = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "the request breaks off");
        text.extend_from_slice(&piece[..count]);
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_slice(&text[end + 4..]) {
            return (String::from_utf8_lossy(&text[..end]).to_lowercase(), body);
        }
    }
}

async fn answer(stream: &mut tokio::net::TcpStream, status: &str) {
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_down_then_slow_then_broken_misses_nothing_and_gets_it_in_order() {
    let house = House::new();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = closed.local_addr().unwrap();
    let outlet = house.webhook(address);
    drop(closed);
    house.raise("canary", Severity::Critical);
    house.raise("field-unused", Severity::Low);
    house.raise("harvest", Severity::High);
    let running = house.run(outlet);
    house.until("webhook", |it| it.error.is_some() && it.behind == 2 && it.delivered.is_none()).await;

    let listener = TcpListener::bind(address).await.unwrap();
    // Slow: it says nothing until the outlet has given up.
    let (mut slow, _) = listener.accept().await.unwrap();
    let (_, body) = request(&mut slow).await;
    assert_eq!(body["signal"], "canary");
    house
        .until("webhook", |it| it.error.as_deref().is_some_and(|error| error.starts_with("no answer within")))
        .await;
    drop(slow);
    let (mut broken, _) = listener.accept().await.unwrap();
    assert_eq!(request(&mut broken).await.1["signal"], "canary");
    answer(&mut broken, "500 Broken").await;
    house.until("webhook", |it| it.error.as_deref() == Some("it answers with status 500")).await;

    for (signal, severity) in [("canary", "critical"), ("harvest", "high")] {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (head, body) = request(&mut stream).await;
        assert!(
            head.contains("fieldgate-signature: sha256=") && head.contains("fieldgate-timestamp: "),
            "{head}"
        );
        assert_eq!((&body["signal"], &body["severity"]), (&json!(signal), &json!(severity)));
        assert_eq!((&body["entry"], &body["contractor"]), (&json!(9), &json!("parcelco")));
        answer(&mut stream, "204 No Content").await;
    }
    house.until("webhook", |it| it.behind == 0 && it.error.is_none() && it.delivered.is_some()).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_an_outlet_goes_on_where_it_was() {
    let house = House::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    house.raise("harvest", Severity::High);
    // What was there before it was first run does not come all at once.
    let running = house.run(house.webhook(address));
    house.raise("canary", Severity::Critical);
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(request(&mut stream).await.1["signal"], "canary");
    // It is stopped before it hears that the alert was taken: that one comes again.
    running.end().await;
    drop(stream);
    house.raise("enumeration", Severity::High);
    let running = house.run(house.webhook(address));
    for signal in ["canary", "enumeration"] {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(request(&mut stream).await.1["signal"], signal);
        answer(&mut stream, "200 OK").await;
    }
    house.until("webhook", |it| it.behind == 0).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_muted_does_not_go_out() {
    let house = House::new();
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let outlet = house.syslog(SyslogWay::Udp, receiver.local_addr().unwrap());
    let mute = |signal: &str| Mute {
        number: 0,
        signal: signal.to_owned(),
        contractor: None,
        until: now() + 60_000_000,
        by: "reviewer".to_owned(),
        at: now(),
        reason: "known".to_owned(),
    };
    house.store.mute(&mute("harvest")).unwrap();
    house.store.mute(&mute("canary")).unwrap();
    house.raise("harvest", Severity::High);
    house.raise("canary", Severity::Critical);
    let running = house.run(outlet);
    let mut text = [0; 4096];
    let count = receiver.recv(&mut text).await.unwrap();
    let text = String::from_utf8_lossy(&text[..count]);
    assert!(text.starts_with("<130>1 ") && text.contains(" canary ["), "{text}");
    house.until("syslog", |it| it.behind == 0 && it.delivered.is_some()).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_over_tcp_are_counted_and_one_that_is_reset_comes_again() {
    let house = House::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let running = house.run(house.syslog(SyslogWay::Tcp, listener.local_addr().unwrap()));
    house.raise("harvest", Severity::High);
    let (stream, _) = listener.accept().await.unwrap();
    // Unread bytes make closing a reset.
    stream.readable().await.unwrap();
    drop(stream);
    house.until("syslog", |it| it.error.is_some()).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (length, message) = text.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), message.len());
    // PRI, version, time, machine, program, process, message (RFC 5424, section 6).
    let head: Vec<&str> = message.splitn(7, ' ').collect();
    assert_eq!((head[0], head[3], head[5]), ("<131>1", "fieldgate", "harvest"));
    assert!(head[1].parse::<jiff::Timestamp>().is_ok() && head[4].parse::<u32>().is_ok(), "{message}");
    assert!(head[6].starts_with("[fieldgate@32473 alert=\"1\" entry=\"9\""), "{message}");
    drop(stream);
    house.until("syslog", |it| it.behind == 0 && it.error.is_none()).await;
    running.end().await;
}
