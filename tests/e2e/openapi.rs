//! The interface that the gateway serves to each contractor.

use http::Method;

use crate::support::{CONFIG, House, RULES};

const INTERFACE: &str = "/.well-known/fieldgate/openapi.json";

#[tokio::test]
async fn a_contractor_gets_its_own_interface_and_the_upstream_hears_nothing() {
    let house = House::new().await;
    let before = house.entries().len();
    let told = house.send_unknown(&house.parcelco(), Method::GET, INTERFACE, "").await;
    assert_eq!((told.status.as_u16(), &told.headers["cache-control"]), (200, &"no-store".parse().unwrap()));
    assert_eq!(told.headers["content-type"], "application/json");
    let written = house.command(&["openapi", "parcelco"]);
    assert_eq!(told.body, String::from_utf8(written.stdout).unwrap());
    let head = house.send_unknown(&house.parcelco(), Method::HEAD, INTERFACE, "").await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    let refused = house.send_unknown(&house.parcelco(), Method::POST, INTERFACE, "").await;
    assert_eq!(refused.status, 405);
    let query = format!("{INTERFACE}?x=1");
    let refused = house.send_unknown(&house.parcelco(), Method::GET, &query, "").await;
    assert_eq!(refused.code(), "parameter-not-permitted");
    let refused = house.send_unknown(&house.client(None), Method::GET, INTERFACE, "").await;
    assert_eq!(refused.code(), "no-credential");
    assert_eq!(house.entries().len(), before, "it is no disclosure");
    assert!(house.upstream.requests().is_empty());
    assert!(house.command(&["suspend", "parcelco", "--by", "anna"]).status.success());
    let refused = house.send_unknown(&house.parcelco(), Method::GET, INTERFACE, "").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "suspended".to_owned()));
    house.assert_clean();
}

#[tokio::test]
async fn after_the_agreement_there_is_no_interface() {
    let expires = RULES.lines().find(|line| line.starts_with("expires")).unwrap();
    let house = House::with(CONFIG, &[("parcelco", &RULES.replace(expires, "expires = 2026-01-02"))]).await;
    let refused = house.send_unknown(&house.parcelco(), Method::GET, INTERFACE, "").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "agreement-inactive".to_owned()));
}

#[tokio::test]
async fn another_document_of_the_upstream_changes_the_interface_without_a_restart() {
    let config = CONFIG.replace("[upstream.orders]\n", "[upstream.orders]\nopenapi = \"shop/shop.json\"\n");
    let rules = RULES.split_once("[[task.route]]").unwrap().0.to_owned()
        + "[[task.route]]\npath = \"/orders/{id}\"\nupstream = \"orders\"\nsubject = \"@.id\"\ndisclose = [\"@.id\"]\n";
    let mut house = House::closed(&config, &[("parcelco", &rules)]).await;
    let write = |house: &House, kind: &str| {
        let text = serde_json::json!({ "openapi": "3.1.0", "paths": { "/orders/{id}": { "get": { "responses": {
            "200": { "content": { "application/json": { "schema": {
                "type": "object", "properties": { "id": { "type": kind }, "hidden": { "type": "string" } },
            } } } } } } } } });
        std::fs::write(house.path("shop/shop.json"), text.to_string()).unwrap();
    };
    std::fs::create_dir(house.path("shop")).unwrap();
    write(&house, "integer");
    house.open();
    let kind = |body: &str| {
        assert!(!body.contains("hidden"));
        let told: serde_json::Value = serde_json::from_str(body).unwrap();
        let schema = told.pointer(
            "/paths/~1orders~1{id}/get/responses/200/content/application~1json/schema/properties/id/type",
        );
        schema.unwrap().as_str().unwrap().to_owned()
    };
    let told = house.send_unknown(&house.parcelco(), Method::GET, INTERFACE, "").await;
    assert_eq!(kind(&told.body), "integer");
    let entries = house.entries().len();
    write(&house, "string");
    house.logged("rules came into force").await;
    let told = house.send_unknown(&house.parcelco(), Method::GET, INTERFACE, "").await;
    assert_eq!(kind(&told.body), "string");
    assert_eq!(house.entries().len(), entries, "the rules are the same");
    house.assert_clean();
}
