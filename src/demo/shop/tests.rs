//! Tests of the shop as a whole: what it answers, and that its documents hold together.

use std::collections::HashSet;

use super::*;

const BASE: &str = "http://127.0.0.1:9001";

fn get(shop: &Shop, target: &str) -> (u16, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let reply = shop.respond("GET", path, Some(query), b"");
    let body = serde_json::from_str(&reply.body).expect("every body is JSON");
    (reply.status, body)
}

/// The keys of all documents of a list, page by page as the `next` links lead.
fn walk(shop: &Shop, first: &str, key: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut target = Some(first.to_owned());
    while let Some(page) = target {
        let (status, body) = get(shop, &page);
        assert_eq!(status, 200, "{page}");
        let documents = body["data"].as_array().expect("data").iter();
        keys.extend(documents.map(|document| document[key].to_string()));
        target = body["next"].as_str().map(|next| next.replace(BASE, ""));
    }
    keys
}

#[test]
fn same_seed_gives_the_same_bytes() {
    let (first, second) = (Shop::new(BASE), Shop::new(BASE));
    for path in ["/orders/export", "/customers", "/tickets", "/registrations"] {
        let body = |shop: &Shop| shop.respond("GET", path, Some("limit=100"), b"").body;
        assert_eq!(body(&first), body(&second), "{path}");
    }
}

#[test]
fn every_document_parses_and_is_found_by_its_key() {
    let shop = Shop::new(BASE);
    for collection in [&shop.orders, &shop.customers, &shop.tickets, &shop.registrations] {
        for document in &collection.documents {
            let (status, body) = get(&shop, &format!("/{}/{}", collection.name, document.key));
            assert_eq!((status, body.is_object()), (200, true), "{}", document.json);
            for blank in ["{name}", "{s}", "{f}", "{card}", "{iban}", "{product}", "=", "|"] {
                assert!(!document.json.contains(blank), "{blank} in {}", document.json);
            }
        }
        assert_eq!(collection.places.len(), collection.documents.len());
    }
}

#[test]
fn cards_pass_luhn() {
    let (_, body) = get(&Shop::new(BASE), "/customers?limit=100");
    for customer in body["data"].as_array().expect("data") {
        let number = customer["cards"][0]["number"].as_str().expect("number");
        assert!(number.len() >= 15, "{number}");
        assert_eq!(customers::luhn_sum(number) % 10, 0, "{number}");
    }
}

#[test]
fn paging_visits_every_document_once() {
    let shop = Shop::new(BASE);
    let open = shop.tickets.numbers(|ticket| ticket.status == "open").len();
    for (first, key, total) in [
        ("/orders?limit=100", "order_id", shop.orders.documents.len()),
        ("/customers", "id", shop.customers()),
        ("/tickets?status=open&limit=7", "ticket_id", open),
    ] {
        let keys = walk(&shop, first, key);
        let distinct: HashSet<&String> = keys.iter().collect();
        assert_eq!((keys.len(), distinct.len()), (total, total), "{first}");
    }
}

#[test]
fn parcelco_has_orders_to_deliver() {
    let shop = Shop::new(BASE);
    let ready = shop.orders_ready_for("parcelco");
    assert!(ready.len() >= 500);
    assert_eq!(ready.len() + shop.orders_not_ready_for("parcelco").len(), shop.orders.documents.len());
    let (_, order) = get(&shop, &format!("/orders/{}", ready[0]));
    assert_eq!(order["status"], "ready_to_ship");
    assert_eq!(order["carrier"], "parcelco");
}

#[test]
fn bad_requests_are_refused() {
    let shop = Shop::new(BASE);
    for query in "cursor=t20 cursor=o-1 cursor=o9999 cursor=é limit=0 limit=101 status=lost".split(' ') {
        assert_eq!(get(&shop, &format!("/orders?{query}")).0, 400, "{query}");
    }
    for path in "/ /invoices /orders/1 /orders/ /orders/export/1 /tickets/1/comments/2".split(' ') {
        assert_eq!(get(&shop, path).0, 404, "{path}");
    }
    assert_eq!(shop.respond("DELETE", "/orders", None, b"").status, 405);
}

#[test]
fn comments_are_accepted_as_json_only() {
    let shop = Shop::new(BASE);
    let path = format!("/tickets/{}/comments", shop.tickets_of("helpdesk", true)[0]);
    let post = |body: &[u8]| shop.respond("POST", &path, None, body).status;
    assert_eq!(post(br#"{"comment": "Solved."}"#), 201);
    for refused in ["Solved.", "{}", r#"{"comment": 7}"#, "[]"] {
        assert_eq!(post(refused.as_bytes()), 400, "{refused}");
    }
    assert_eq!(shop.respond("GET", &path, None, b"").status, 405);
}

#[test]
fn shop_is_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<Shop>();
}
