//! Who gets in, and by what.

use http::Method;

use crate::support::{Answer, CONFIG, House, RULES, order};

async fn house() -> House {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house
}

/// The code of a refusal that the ledger does not know.
async fn refused(house: &House, client: &crate::support::Client) -> (u16, String) {
    let before = house.entries().len();
    let response = house.send_unknown(client, Method::GET, "/orders/1", "").await;
    assert_eq!(house.entries().len(), before);
    assert!(house.upstream.requests().is_empty(), "the upstream is not called");
    (response.status.as_u16(), response.code())
}

#[tokio::test]
async fn a_certificate_opens_its_contractors_tasks() {
    let house = house().await;
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    assert_eq!(house.told().pop().unwrap()["credential"], "parcelco-gateway");
}

#[tokio::test]
async fn an_api_key_opens_its_contractors_tasks() {
    let house = house().await;
    let client = house.client(None).with("authorization", "bearer test");
    assert_eq!(house.get(&client, "/orders/1").await.status, 200);
    assert_eq!(house.told().pop().unwrap()["credential"], "parcelco-batch");
    assert_eq!(
        house.get(&house.parcelco().with("authorization", "Bearer test"), "/orders/1").await.status,
        200
    );
}

#[tokio::test]
async fn a_fingerprint_opens_its_contractors_tasks() {
    let mut house = House::closed(CONFIG, &[]).await;
    let pem = std::fs::read_to_string(house.path("certs/stranger.pem")).unwrap();
    let (_, certificate) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate.contents);
    let hex: Vec<String> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let rules = RULES.replace(
        "mtls_san = \"URI:spiffe://parcelco.example/gateway\"",
        &format!("mtls_sha256 = \"{}\"", hex.join(":")),
    );
    std::fs::write(house.path("rules/parcelco.toml"), rules).unwrap();
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    assert_eq!(house.get(&house.client(Some("stranger")), "/orders/1").await.status, 200);
    assert_eq!(refused_at(&house).await, (401, "bad-credential".into()));
}

async fn refused_at(house: &House) -> (u16, String) {
    let response = house.send_unknown(&house.parcelco(), Method::GET, "/orders/1", "").await;
    (response.status.as_u16(), response.code())
}

#[tokio::test]
async fn without_a_credential_nobody_gets_anything() {
    let house = house().await;
    assert_eq!(refused(&house, &house.client(None)).await, (401, "no-credential".into()));
}

#[tokio::test]
async fn unknown_malformed_and_contradicting_credentials_are_refused() {
    let helpdesk = RULES.replace("parcelco", "helpdesk").replace("9f86d0818", "0f86d0818");
    let house = House::with(CONFIG, &[("parcelco", RULES), ("helpdesk", &helpdesk)]).await;
    let bad = (401, "bad-credential".to_owned());
    assert_eq!(
        refused(&house, &house.client(Some("stranger"))).await,
        bad,
        "a verified certificate that no rule knows"
    );
    for value in ["Bearer wrong", "Bearer ", "Basic dGVzdA==", "test", "Bearer test, Bearer test"] {
        assert_eq!(refused(&house, &house.client(None).with("authorization", value)).await, bad, "{value}");
    }
    let twice = house.client(None).with("authorization", "Bearer test").with("authorization", "Bearer test");
    assert_eq!(refused(&house, &twice).await, bad, "two headers");
    let both = house.client(Some("helpdesk")).with("authorization", "Bearer test");
    assert_eq!(refused(&house, &both).await, bad, "one contractor's certificate, another one's key");
    let unknown = house.client(Some("stranger")).with("authorization", "Bearer test");
    assert_eq!(refused(&house, &unknown).await, bad, "an unknown certificate beside a known key");
}

#[tokio::test]
async fn a_certificate_of_another_authority_does_not_get_past_the_handshake() {
    let house = house().await;
    let elsewhere = fieldgate::authority::Authority::new(house.path("elsewhere"));
    elsewhere.init(&["localhost".to_owned()]).unwrap();
    elsewhere.issue_client("parcelco", "URI:spiffe://parcelco.example/gateway").unwrap();
    for file in ["parcelco.pem", "parcelco.key"] {
        std::fs::copy(house.path("elsewhere").join(file), house.path("certs").join(format!("forged-{file}")))
            .unwrap();
    }
    std::fs::rename(house.path("certs/forged-parcelco.pem"), house.path("certs/forged.pem")).unwrap();
    std::fs::rename(house.path("certs/forged-parcelco.key"), house.path("certs/forged.key")).unwrap();
    let answer = house.client(Some("forged")).try_send(Method::GET, "/orders/1", "").await;
    assert!(answer.is_err(), "{answer:?}");
    assert!(house.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_contractor_sees_no_route_of_another_one() {
    let helpdesk = RULES
        .replace("parcelco", "helpdesk")
        .replace("9f86d0818", "0f86d0818")
        .replace("\"/orders/{order_id}\"", "\"/tickets/{order_id}\"");
    let house = House::with(CONFIG, &[("parcelco", RULES), ("helpdesk", &helpdesk)]).await;
    let response = house.get(&house.client(Some("helpdesk")), "/orders/1").await;
    assert_eq!((response.status.as_u16(), response.code().as_str()), (404, "not-found"));
    assert!(house.upstream.requests().is_empty());
}

/// What openssl says of a handshake.
async fn handshake(house: &House, arguments: &[&str]) -> String {
    let address = house.address.to_string();
    let certificate = house.path("certs/parcelco.pem").display().to_string();
    let key = house.path("certs/parcelco.key").display().to_string();
    let output = tokio::process::Command::new("openssl")
        .args(["s_client", "-connect", &address, "-cert", &certificate, "-key", &key])
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn tls_is_1_3_or_1_2_and_nothing_is_resumed() {
    let house = house().await;
    assert!(handshake(&house, &["-tls1_3"]).await.contains("TLSv1.3"));
    let old = handshake(&house, &["-tls1_2"]).await;
    assert!(old.contains("TLSv1.2") && old.contains("Session-ID: \n"), "{old}");
    let ancient = handshake(&house, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]).await;
    assert!(ancient.contains("Cipher is (NONE)"), "{ancient}");

    // A reconnect would reuse the session that the first handshake was given.
    let again = handshake(&house, &["-tls1_2", "-reconnect"]).await;
    assert!(!again.contains("Reused,"), "{again}");
}

#[tokio::test]
async fn the_hybrid_post_quantum_key_exchange_is_preferred() {
    let house = house().await;
    let stream = house.parcelco().raw().await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    // Whatever the client names first: each of a handshake's many hashes is then one that processors compute.
    let suite = stream.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
}

/// A revocation list of the contractors' authority that names the certificate of `revoked`.
fn write_list(house: &House, revoked: &str, next_update: time::OffsetDateTime) {
    let read = |name: &str| std::fs::read_to_string(house.path("certs").join(name)).unwrap();
    let key = rcgen::KeyPair::from_pem(&read("contractor-ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("contractor-ca.pem"), key).unwrap();
    let pem = read(&format!("{revoked}.pem"));
    let (_, certificate) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let serial = rcgen::SerialNumber::from_slice(certificate.parse_x509().unwrap().raw_serial());
    let this_update = time::OffsetDateTime::now_utc() - time::Duration::days(2);
    let list = rcgen::CertificateRevocationListParams {
        this_update,
        next_update,
        crl_number: rcgen::SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: serial,
            revocation_time: this_update,
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    std::fs::write(house.path("certs/contractor-ca.crl"), list.signed_by(&issuer).unwrap().pem().unwrap())
        .unwrap();
}

#[tokio::test]
async fn a_revoked_certificate_and_an_outdated_list_do_not_get_past_the_handshake() {
    let config = CONFIG.replace("[ledger]", "crl = [\"certs/contractor-ca.crl\"]\n[ledger]");
    let tomorrow = time::OffsetDateTime::now_utc() + time::Duration::days(1);
    for (revoked, next_update, served) in [
        ("stranger", tomorrow, true),
        ("parcelco", tomorrow, false),
        ("stranger", tomorrow - time::Duration::days(2), false),
    ] {
        let mut house = House::closed(&config, &[("parcelco", RULES)]).await;
        write_list(&house, revoked, next_update);
        house.open();
        house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
        let answer = house.parcelco().try_send(Method::GET, "/orders/1", "").await;
        assert_eq!(answer.is_ok(), served, "{revoked} {next_update}: {answer:?}");
        assert_eq!(house.upstream.requests().len(), usize::from(served));
    }
}
