//! A gateway whose socket somebody else holds: it serves on that one, tells when, and can be started anew
//! without anybody being refused.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::support::{Answer, CONFIG, Client, House, RULES, SOON, order, until_closed};

fn socket() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Starts the gateway by a shell, which first does what `script` says. Descriptor 0 of the shell is `handed`.
fn started_by(house: &House, script: &str, handed: impl Into<OwnedFd>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{script}; exec \"$0\" serve --config \"$1\" 3<&0 0</dev/null")]);
    command.arg(env!("CARGO_BIN_EXE_fieldgate")).arg(house.path("fieldgate.toml"));
    command.stdin(Stdio::from(handed.into()));
    command
}

/// As systemd hands a socket over.
const HANDED: &str = "export LISTEN_PID=$$ LISTEN_FDS=1";

fn activated(house: &House, socket: &TcpListener) -> Command {
    started_by(house, HANDED, socket.try_clone().unwrap())
}

fn with_order(house: &House) {
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
}

/// One request over a connection of its own.
async fn ask(client: &Client) {
    let mut stream = client.raw().await.expect("nobody is refused");
    let request = b"GET /orders/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with('}'), "{answer:?}");
}

#[tokio::test]
async fn the_gateway_serves_on_the_socket_that_it_is_handed_and_binds_none() {
    let (handed, taken) = (socket(), socket());
    // If it were bound, that would fail.
    let address = taken.local_addr().unwrap().to_string();
    let config = CONFIG.replace("127.0.0.1:0", &address);
    let mut house = House::closed(&config, &[("parcelco", RULES)]).await;
    with_order(&house);
    house.open_as(activated(&house, &handed));
    assert_eq!(house.address, handed.local_addr().unwrap());
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    let log = house.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("was handed over")).collect();
    assert!(said.len() == 1 && said[0].contains(&format!("\"configured\":\"{address}\"")), "{said:?}");
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_on_one_socket_refuses_nobody() {
    const CLIENTS: usize = 3;
    let handed = socket();
    let mut house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    with_order(&house);
    house.open_as(activated(&house, &handed));
    let client = house.parcelco();
    let over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, over) = (client.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut answered = 0;
                while !over.load(Ordering::Relaxed) {
                    ask(&client).await;
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let before = house.told().len();
        while house.told().len() < before + 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        house.signal("-TERM");
        assert!(house.wait().success());
        // There is no gateway now.
        let patient: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { ask(&client).await })
            })
            .collect();
        assert!(TcpStream::connect(house.address).is_ok());
        house.open_as(activated(&house, &handed));
        waiting.extend(patient);
    }
    let waited = waiting.len();
    for request in waiting {
        request.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let mut answered = waited;
    for client in asking {
        answered += client.await.unwrap();
    }
    let entries = house.told();
    let disclosed = entries.iter().filter(|entry| entry["status"] == 200).count();
    assert_eq!(disclosed, answered, "each one has its entry");
    house.assert_clean();
}

fn refused(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    error
}

#[tokio::test]
async fn what_is_handed_over_is_one_socket_that_listens_or_the_gateway_does_not_start() {
    let house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    let listening = socket();
    for count in ["2", "0", "-1", "4000000000", "one", "''"] {
        let script = HANDED.replace("FDS=1", &format!("FDS={count}"));
        let output = started_by(&house, &script, listening.try_clone().unwrap()).output().unwrap();
        let count = count.trim_matches('\'');
        let expected = format!("error: LISTEN_FDS is {count}: the gateway serves on exactly one socket\n");
        assert_eq!(refused(&output), expected);
    }
    let stream = TcpStream::connect(listening.local_addr().unwrap()).unwrap();
    let file = std::fs::File::open(house.path("fieldgate.toml")).unwrap();
    let local = UnixListener::bind(house.path("socket")).unwrap();
    let cases: [(OwnedFd, &str); 4] = [
        (file.into(), "fd 3 is not a socket"),
        (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "fd 3 is not a valid tcp socket"),
        (local.into(), "fd 3 is not a valid tcp socket"),
        (stream.into(), "it does not listen"),
    ];
    for (handed, why) in cases {
        let output = started_by(&house, HANDED, handed).output().unwrap();
        let expected = "error: the socket that LISTEN_FDS hands over cannot be served on: ";
        assert_eq!(refused(&output), format!("{expected}{why}\n"));
    }
    assert!(!house.path("ledger").exists(), "nothing else was done");
}

#[tokio::test]
async fn a_socket_that_is_meant_for_another_process_is_not_served_on() {
    let handed = socket();
    let mut house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    with_order(&house);
    let script = "export LISTEN_PID=1 LISTEN_FDS=1";
    house.open_as(started_by(&house, script, handed.try_clone().unwrap()));
    assert_ne!(house.address, handed.local_addr().unwrap());
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
}

/// The supervisor hears `READY=1` when there is somebody to answer, and `STOPPING=1` while requests are
/// finished.
async fn is_told(supervisor: &UnixDatagram, name: &str) {
    supervisor.set_read_timeout(Some(4 * SOON)).unwrap();
    let mut house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    let go = Arc::new(Notify::new());
    house.upstream.on("/orders/1", Answer::held(&go, Answer::json(order(1, "parcelco", "ready_to_ship"))));
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(["serve", "--config"]).arg(house.path("fieldgate.toml"));
    command.env("NOTIFY_SOCKET", name).stdin(Stdio::null());
    house.open_as(command);
    let heard = || {
        let mut buffer = [0; 512];
        let length = supervisor.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(heard(), format!("READY=1\nSTATUS=Serves on {}", house.address));
    let (client, arrival) = (house.parcelco(), house.upstream.arrival());
    let request = tokio::spawn(async move { ask(&client).await });
    arrival.await;
    house.signal("-TERM");
    assert_eq!(heard(), "STOPPING=1\nSTATUS=Finishes what is in work");
    go.notify_one();
    request.await.unwrap();
    assert!(house.wait().success());
}

#[tokio::test]
async fn whoever_supervises_the_gateway_is_told_when_it_serves_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    is_told(&UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap()).await;
}

#[tokio::test]
async fn also_over_a_socket_without_a_file() {
    let name = format!("fieldgate-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    is_told(&UnixDatagram::bind_addr(&address).unwrap(), &format!("@{name}")).await;
}

#[tokio::test]
async fn a_supervisor_that_is_not_there_is_said_and_keeps_nobody_waiting() {
    let mut house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    with_order(&house);
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(["serve", "--config"]).arg(house.path("fieldgate.toml"));
    command.env("NOTIFY_SOCKET", house.path("nobody")).stdin(Stdio::null());
    house.open_as(command);
    house.logged("the supervisor at NOTIFY_SOCKET cannot be told").await;
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
}
