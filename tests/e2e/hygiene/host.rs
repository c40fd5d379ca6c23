//! For whom a request is (RFC 9110, section 7.2; RFC 9112, section 3.2).

use super::{PROBE, STOLEN, get, house, house_with, play, refused, served};
use crate::support::wire::over_http1;

const SEEN: &str = "GET /orders/1";
const NO: &str = "400 bad-request, closed";
const WRONG: &str = "421 misdirected-request, open";

fn host(line: &str) -> String {
    get("").replace("Host: localhost\r\n", line)
}

fn absolute(target: &str, host: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[tokio::test]
async fn a_request_names_one_host_and_names_it_once() {
    let house = house().await;
    play(
        &house,
        vec![
            served("a host", host("Host: localhost\r\n"), "200, open", SEEN),
            served("any host, where none are listed", host("Host: other.example\r\n"), "200, open", SEEN),
            served("a port", host("Host: localhost:8443\r\n"), "200, open", SEEN),
            served("capitals and a dot at the end", host("Host: LOCALHOST.\r\n"), "200, open", SEEN),
            served("an IPv4 address", host("Host: 127.0.0.1:443\r\n"), "200, open", SEEN),
            served("an IPv6 address", host("Host: [::1]:443\r\n"), "200, open", SEEN),
            refused("no host", host("") + STOLEN, NO),
            refused("an empty host", host("Host:\r\n") + STOLEN, NO),
            refused("the host twice", host("Host: localhost\r\nHost: localhost\r\n") + STOLEN, NO),
            refused("two hosts", host("Host: localhost\r\nhost: other\r\n") + STOLEN, NO),
            refused("a list of hosts", host("Host: localhost, other\r\n") + STOLEN, NO),
            refused("two hosts, one behind a space", host("Host: localhost other\r\n"), NO),
            refused("a user", host("Host: other@localhost\r\n"), NO),
            refused("a path", host("Host: localhost/orders\r\n"), NO),
            refused("a query", host("Host: localhost?x\r\n"), NO),
            refused("a fragment", host("Host: localhost#x\r\n"), NO),
            refused("a scheme", host("Host: https://localhost\r\n"), NO),
            refused("a port that is none", host("Host: localhost:99999\r\n"), NO),
            refused("a port with a sign", host("Host: localhost:+443\r\n"), NO),
            refused("an empty port", host("Host: localhost:\r\n"), NO),
            refused("two ports", host("Host: localhost:443:80\r\n"), NO),
            refused("an escape", host("Host: local%68ost\r\n"), NO),
            refused("an empty label", host("Host: local..host\r\n"), NO),
            refused("a bracket that stays open", host("Host: [::1\r\n"), NO),
            refused("brackets around a name", host("Host: [localhost]\r\n"), NO),
            refused("high bytes", host("Host: localh\u{f6}st\r\n"), NO),
            refused("a name longer than DNS has", host(&format!("Host: {}\r\n", "x".repeat(254))), NO),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn an_absolute_target_agrees_with_the_host() {
    let house = house().await;
    play(
        &house,
        vec![
            served("the same host", absolute("https://localhost/orders/1", "localhost"), "200, open", SEEN),
            served(
                "the same host, its port written",
                absolute("HTTPS://LocalHost:443/orders/1", "localhost"),
                "200, open",
                SEEN,
            ),
            refused("another host in Host", absolute("https://localhost/orders/1", "other") + STOLEN, NO),
            refused(
                "another host in the target",
                absolute("https://other/orders/1", "localhost") + STOLEN,
                NO,
            ),
            refused("another port", absolute("https://localhost:8443/orders/1", "localhost") + STOLEN, NO),
            refused(
                "a user in the target",
                absolute("https://a:b@localhost/orders/1", "localhost") + STOLEN,
                NO,
            ),
            refused(
                "a target without a host",
                absolute("https:///orders/1", "localhost"),
                "400 empty, closed",
            ),
            refused(
                "a target without Host",
                "GET https://localhost/orders/1 HTTP/1.1\r\n\r\n".to_owned() + STOLEN,
                NO,
            ),
            refused("another scheme", absolute("http://localhost/orders/1", "localhost"), WRONG),
            refused("a scheme that is not HTTP", absolute("ftp://localhost/orders/1", "localhost"), WRONG),
            refused(
                "a target without a path",
                absolute("https://localhost", "localhost"),
                "404 not-found, open",
            ),
            refused("a scheme without a host", absolute("file:/orders/1", "localhost"), "400 empty, closed"),
            refused(
                "a host that begins with two slashes",
                absolute("//other/orders/1", "localhost"),
                "400 bad-request, open",
            ),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn where_hosts_are_listed_others_are_misdirected() {
    let house = house_with("hosts = [\"Localhost\", \"gateway.example\", \"[::1]\"]").await;
    play(
        &house,
        vec![
            served("a listed host", host("Host: gateway.example\r\n"), "200, open", SEEN),
            served("in capitals, with a port", host("Host: GATEWAY.example:8443\r\n"), "200, open", SEEN),
            served("a listed address", host("Host: [0:0::1]\r\n"), "200, open", SEEN),
            served(
                "in an absolute target",
                absolute("https://gateway.example/orders/1", "gateway.example"),
                "200, open",
                SEEN,
            ),
            refused("another host", host("Host: other.example\r\n"), WRONG),
            refused("a host that ends like a listed one", host("Host: x.gateway.example\r\n"), WRONG),
            refused("a host that begins like a listed one", host("Host: gateway.example.other\r\n"), WRONG),
            refused("an address that is not listed", host("Host: 127.0.0.1\r\n"), WRONG),
            refused("another host in an absolute target", absolute("https://other/orders/1", "other"), WRONG),
            refused(
                "HTTP/1.0 without a host",
                "GET /orders/1 HTTP/1.0\r\n\r\n",
                "421 misdirected-request, closed",
            ),
        ],
    )
    .await;
    house.assert_clean();
}

#[tokio::test]
async fn the_form_is_looked_at_first_and_what_a_known_contractor_tries_is_written_down() {
    let house = house().await;
    let sent = host("Host: localhost\r\nHost: other\r\n");
    for (client, written) in [(house.client(None), 0), (house.parcelco(), 1)] {
        let before = house.entries().len();
        let heard = over_http1(&client, sent.as_bytes(), false, PROBE.as_bytes(), "").await;
        assert_eq!(heard.outcome, NO, "and not 401");
        assert_eq!(house.entries().len(), before + written);
    }
    let entry = house.entries().pop().unwrap();
    assert_eq!(
        (&entry["contractor"], &entry["code"]),
        (&"parcelco".into(), &"bad-request".into()),
        "{entry}"
    );
    assert_eq!(entry["cause"], "There are two hosts.");
    house.assert_clean();
}

#[tokio::test]
async fn the_name_in_the_handshake_is_not_looked_at() {
    let house = house_with("hosts = [\"localhost\"]").await;
    let port = house.address.port();
    let elsewhere = format!("other.example:{port}:127.0.0.1");
    let url = format!("https://other.example:{port}/orders/2");
    let arguments = ["-k", "-o", "/dev/null", "-w", "%{http_code}", "--resolve", &elsewhere, &url];
    let output = house.curl(&[&arguments[..], &["-H", "Host: localhost"]].concat()).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "200");
    let output = house.curl(&arguments).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "421");
    house.assert_clean();
}
