//! Who may come: places by source address, before anybody has shown who it is, and behind a balancer.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Answer, CONFIG, Client, House, RULES, order, until_closed};

const GET: &[u8] = b"GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn house(limits: &str) -> House {
    house_of(&format!("{CONFIG}\n[limits]\n{limits}\n")).await
}

async fn house_of(config: &str) -> House {
    let house = House::with(&config.replace("\"debug\"", "\"info\""), &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house
}

/// A connection from an address of this machine: Linux has all of 127.0.0.0/8.
async fn from(house: &House, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.connect(house.address).await.unwrap()
}

/// Whether a request over this connection is answered.
async fn is_served(client: &Client, stream: TcpStream) -> bool {
    let Ok(mut tls) = client.raw_over(stream, b"http/1.1").await else { return false };
    if tls.write_all(GET).await.is_err() {
        return false;
    }
    let mut status = [0; 12];
    tls.read_exact(&mut status).await.is_ok() && status == *b"HTTP/1.1 200"
}

/// The lines of the log with a message.
fn lines(house: &House, message: &str) -> usize {
    house.log().matches(message).count()
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_others_have_theirs() {
    let house = house("connections_per_address = 3").await;
    let client = house.parcelco();
    let mut here = Vec::new();
    for _ in 0..3 {
        here.push(client.raw_over(from(&house, 2).await, b"http/1.1").await.unwrap());
    }
    until_closed(&mut from(&house, 2).await).await;
    assert!(is_served(&client, from(&house, 3).await).await);
    here.pop();
    // Its place becomes free when the gateway has seen that it is gone.
    while !is_served(&client, from(&house, 2).await).await {}
    assert!(house.log().contains("the address has too many connections"));
}

#[tokio::test]
async fn a_flood_of_handshakes_of_one_address_is_turned_away_and_told_once_a_second() {
    let house = house("handshakes_per_address = \"1/h\"").await;
    let began = std::time::Instant::now();
    for _ in 0..500 {
        // In clear text, so that each handshake fails.
        let mut stream = from(&house, 2).await;
        let _ = stream.write_all(GET).await;
        until_closed(&mut stream).await;
    }
    let seconds = began.elapsed().as_secs() as usize + 1;
    assert!(!is_served(&house.parcelco(), from(&house, 2).await).await);
    assert!(is_served(&house.parcelco(), from(&house, 3).await).await);
    house.logged("the address has begun too many handshakes").await;
    assert!(lines(&house, "a connection is turned away") <= seconds + 1);
    assert!(lines(&house, "a handshake failed") <= seconds);
}

#[tokio::test]
async fn handshakes_that_do_not_end_make_room_for_one_that_does() {
    let house = house("handshakes = 8").await;
    let mut stalled = Vec::new();
    for last in 2..32 {
        for _ in 0..2 {
            let mut stream = from(&house, last).await;
            stream.write_all(&[0x16, 0x03]).await.unwrap();
            stalled.push(stream);
        }
        assert!(is_served(&house.parcelco(), from(&house, 200).await).await);
    }
    until_closed(&mut stalled[0]).await;
    assert!(house.log().contains("it was the oldest of too many"));
    // An address that has its share of them cannot push others out.
    until_closed(&mut from(&house, 31).await).await;
}

#[tokio::test]
async fn one_connection_more_than_there_may_be_is_closed_at_once_and_the_others_go_on() {
    let house = house("connections = 2").await;
    let mut first = house.parcelco().raw().await.unwrap();
    let second = house.parcelco().raw().await.unwrap();
    until_closed(&mut TcpStream::connect(house.address).await.unwrap()).await;
    first.write_all(GET).await.unwrap();
    let mut status = [0; 12];
    first.read_exact(&mut status).await.unwrap();
    assert_eq!(status, *b"HTTP/1.1 200");
    drop(second);
    while !is_served(&house.parcelco(), TcpStream::connect(house.address).await.unwrap()).await {}
    assert!(house.log().contains("there are as many as there may be"));
}

/// A PROXY protocol header of version 2.
fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&(rest.len() as u16).to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

/// For a client at 192.0.2.`last`.
fn of_client(last: u8) -> Vec<u8> {
    header(0x21, 0x11, &[192, 0, 2, last, 127, 0, 0, 1, 0x30, 0x39, 0x20, 0xfb])
}

#[tokio::test]
async fn behind_a_balancer_the_address_in_the_header_counts() {
    let listen = "proxy_protocol = [\"127.0.0.2/31\"]\n[ledger]\n";
    let config = CONFIG.replace("[ledger]\n", listen) + "[limits]\nconnections_per_address = 2\n";
    let house = house_of(&config).await;
    let client = house.parcelco();
    let behind = async |last, header: Vec<u8>| {
        let mut stream = from(&house, last).await;
        stream.write_all(&header).await.unwrap();
        stream
    };
    let mut here = Vec::new();
    for _ in 0..2 {
        let stream = behind(2, of_client(7)).await;
        here.push(client.raw_over(stream, b"http/1.1").await.unwrap());
    }
    assert!(!is_served(&client, behind(3, of_client(7)).await).await, "from whichever balancer");
    assert!(is_served(&client, behind(2, of_client(8)).await).await);
    assert!(is_served(&client, behind(2, header(0x20, 0, b"")).await).await, "the balancer's own");
    house.logged("\"peer\":\"192.0.2.7\"").await;
}

#[tokio::test]
async fn a_balancer_must_say_who_comes_and_nobody_else_may() {
    let listen = "proxy_protocol = [\"127.0.0.2/32\"]\n[ledger]\n";
    let config = CONFIG.replace("[ledger]\n", listen) + "[limits]\nhandshake_timeout = \"500ms\"\n";
    let house = house_of(&config).await;
    let client = house.parcelco();
    assert!(!is_served(&client, from(&house, 2).await).await, "TLS at once");
    let refused = [
        b"PROXY TCP4 192.0.2.7 127.0.0.1 12345 8443\r\n".to_vec(),
        header(0x21, 0x31, &[0; 216]),
        header(0x21, 0x12, &[0; 12]),
        header(0x21, 0x11, &[0; 1000]),
        // The rest never comes.
        header(0x21, 0x11, &[0; 12])[..20].to_vec(),
    ];
    for bytes in refused {
        let mut stream = from(&house, 2).await;
        stream.write_all(&bytes).await.unwrap();
        until_closed(&mut stream).await;
    }
    assert!(is_served(&client, from(&house, 3).await).await);
    let mut stream = from(&house, 3).await;
    stream.write_all(&of_client(7)).await.unwrap();
    until_closed(&mut stream).await;
    house.logged("PROXY protocol").await;
    assert!(!house.log().contains("192.0.2.7"));
}
