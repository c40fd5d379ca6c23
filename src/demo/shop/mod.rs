//! The sample shop: what a company's internal customer API typically looks like.
//!
//! Every answer carries far more than any contractor needs: whole customers inside orders, card numbers,
//! notes of the staff, chatty headers and errors. It stands behind the gateway in the demo. The data
//! is generated from a fixed seed, so that the same request always has the same answer.

mod customers;
mod json;
mod locales;
mod orders;
#[cfg(test)]
mod tests;
mod tickets;
mod words;

use std::collections::HashMap;

use serde_json::Value;

use customers::Customer;
use json::{array, object, optional, text, texts, timestamp, write_object};
use tickets::Registration;
use words::hash;

/// The moment at which the sample stands still (2026-11-23T06:00:00Z), in seconds since 1970.
const SNAPSHOT: u64 = 1_795_413_600;
const DAY: u64 = 86_400;

/// Status and body of a success, or why there is none.
type Answer = Result<(u16, String), Refusal>;
/// Status and reason of a failure.
type Refusal = (u16, &'static str);

const NOT_FOUND: Refusal = (404, "not found");
const NOT_ALLOWED: Refusal = (405, "method not allowed");

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// The sample shop with all its documents, rendered once at the start.
pub struct Shop {
    base_url: String,
    orders: Collection,
    customers: Collection,
    tickets: Collection,
    registrations: Collection,
}

/// An answer of the shop, before it is put on a connection.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// Header names and values, with the internal ones that a gateway has to strip.
    pub headers: Vec<(&'static str, String)>,
    /// JSON text.
    pub body: String,
}

/// One rendered document, with what requests select it by.
struct Document {
    key: String,
    /// Empty where documents of the kind have no status.
    status: &'static str,
    /// The carrier or vendor that works on it; empty where there is none.
    party: &'static str,
    /// No list shows it: who finds it has tried numbers.
    planted: bool,
    json: String,
}

impl Document {
    fn new(key: String, json: String) -> Document {
        Document { key, status: "", party: "", planted: false, json }
    }

    fn is_ready_for(&self, carrier: &str) -> bool {
        self.party == carrier && self.status == "ready_to_ship"
    }
}

/// The documents of one kind, in the order of its lists.
struct Collection {
    name: &'static str,
    documents: Vec<Document>,
    places: HashMap<String, usize>,
}

impl Collection {
    fn new(name: &'static str, documents: Vec<Document>) -> Collection {
        let keys = documents.iter().map(|document| document.key.clone());
        let places = keys.zip(0..).collect();
        Collection { name, documents, places }
    }

    fn find(&self, key: &str) -> Result<&Document, Refusal> {
        self.places.get(key).map(|place| &self.documents[*place]).ok_or(NOT_FOUND)
    }

    /// The cursor that leads to a place of the list: the first letter of the collection and the place.
    fn cursor(&self, place: usize) -> String {
        format!("{}{place}", &self.name[..1])
    }

    fn place_of(&self, cursor: &str) -> Option<usize> {
        let place = cursor.strip_prefix(&self.name[..1])?.parse().ok()?;
        (place < self.documents.len()).then_some(place)
    }

    /// The numbers of some documents, of a kind whose keys are numbers.
    fn numbers(&self, wanted: impl Fn(&&Document) -> bool) -> Vec<u64> {
        let documents = self.documents.iter().filter(|document| !document.planted).filter(wanted);
        documents.filter_map(|document| document.key.parse().ok()).collect()
    }
}

/// Which part of a collection a list request asks for.
struct Page<'a> {
    start: usize,
    limit: usize,
    status: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// Reads the query of a list. Unknown and empty parameters are ignored.
    fn parse(query: &'a str, collection: &Collection) -> Result<Page<'a>, Refusal> {
        let mut page = Page { start: 0, limit: DEFAULT_LIMIT, status: None };
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
            match name {
                "cursor" => page.start = collection.place_of(value).ok_or((400, "unknown cursor"))?,
                "limit" => page.limit = value.parse().unwrap_or_default(),
                "status" => page.status = Some(value),
                _ => {}
            }
        }
        let known = |status| collection.documents.iter().any(|document| document.status == status);
        if !(1..=MAX_LIMIT).contains(&page.limit) {
            return Err((400, "limit must be from 1 to 100"));
        }
        if !page.status.is_none_or(known) {
            return Err((400, "unknown status"));
        }
        Ok(page)
    }
}

impl Shop {
    /// Generates and renders all documents. `base_url` is where the shop is reached; the absolute `next`
    /// links of its lists begin with it.
    pub fn new(base_url: &str) -> Shop {
        let customers = customers::customers();
        let registrations = tickets::registrations(&customers);
        let profiles = customers.iter().map(Customer::profile).collect();
        let licences = registrations.iter().map(Registration::document).collect();
        Shop {
            base_url: base_url.trim_end_matches('/').to_owned(),
            orders: Collection::new("orders", orders::orders(&customers)),
            customers: Collection::new("customers", profiles),
            tickets: Collection::new("tickets", tickets::tickets(&registrations)),
            registrations: Collection::new("registrations", licences),
        }
    }

    /// Answers one request. `path` is the path alone, without the query. HEAD is answered like GET; the
    /// server that sends the reply leaves the body away.
    pub fn respond(&self, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Reply {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let query = query.unwrap_or_default();
        let service = self.collection(segments[0]).map_or("edge", |collection| collection.name);
        let node = format!("{service}-{}", hash(path.as_bytes()) % 4 + 1);
        let (status, body) = match self.answer(method, &segments, query, body) {
            Ok(answer) => answer,
            Err((status, reason)) => (status, failure(reason, &node, path, query)),
        };
        Reply { status, headers: headers(&node, path, query), body }
    }

    /// The numbers of the orders that are assigned to a carrier and ready to ship: what it may see now.
    pub fn orders_ready_for(&self, carrier: &str) -> Vec<u64> {
        self.orders.numbers(|order| order.is_ready_for(carrier))
    }

    /// The numbers of all other orders: assigned to somebody else, not ready yet, or gone already.
    pub fn orders_not_ready_for(&self, carrier: &str) -> Vec<u64> {
        self.orders.numbers(|order| !order.is_ready_for(carrier))
    }

    /// The numbers of a vendor's tickets that are open, or of those that are not (waiting and closed).
    pub fn tickets_of(&self, vendor: &str, open: bool) -> Vec<u64> {
        self.tickets.numbers(|ticket| ticket.party == vendor && (ticket.status == "open") == open)
    }

    /// The number of the planted ticket.
    pub fn planted_ticket(&self) -> Option<u64> {
        self.tickets.documents.iter().find(|ticket| ticket.planted)?.key.parse().ok()
    }

    /// The customer that an order is about.
    pub fn customer_of(&self, order: u64) -> Option<String> {
        let reply = self.respond("GET", &format!("/orders/{order}"), None, &[]);
        let order: serde_json::Value = serde_json::from_slice(reply.body.as_ref()).ok()?;
        Some(order["customer"]["id"].as_str()?.to_owned())
    }

    /// How many customers the shop has.
    pub fn customers(&self) -> usize {
        self.customers.documents.len()
    }

    fn answer(&self, method: &str, segments: &[&str], query: &str, body: &[u8]) -> Answer {
        match segments {
            ["tickets", key, "comments"] if method == "POST" => self.comment(key, body),
            ["tickets", _, "comments"] => Err(NOT_ALLOWED),
            [name] | [name, _] if !matches!(method, "GET" | "HEAD") => {
                self.collection(name).and(Err(NOT_ALLOWED))
            }
            ["orders", "export"] => Ok((200, self.export())),
            [name] => self.list(self.collection(name)?, query),
            [name, key] => Ok((200, self.collection(name)?.find(key)?.json.clone())),
            _ => Err(NOT_FOUND),
        }
    }

    fn collection(&self, name: &str) -> Result<&Collection, Refusal> {
        let all = [&self.orders, &self.customers, &self.tickets, &self.registrations];
        all.into_iter().find(|collection| collection.name == name).ok_or(NOT_FOUND)
    }

    fn list(&self, collection: &Collection, query: &str) -> Answer {
        let page = Page::parse(query, collection)?;
        let wanted = |document: &&Document| {
            !document.planted && page.status.is_none_or(|status| document.status == status)
        };
        let documents = collection.documents.iter().filter(wanted);
        let total = documents.clone().count();
        let shown = documents.skip(page.start).take(page.limit);
        let shown: Vec<&str> = shown.map(|document| &*document.json).collect();
        let end = page.start + page.limit;
        let mut next = format!("{}/{}?cursor={}", self.base_url, collection.name, collection.cursor(end));
        next.push_str(&format!("&limit={}", page.limit));
        if let Some(status) = page.status {
            next.push_str(&format!("&status={status}"));
        }
        let next = (end < total).then_some(&*next);
        let body = object! { "data": array(&shown), "next": optional(next), "total": total };
        Ok((200, body))
    }

    fn export(&self) -> String {
        let orders: Vec<&str> = self.orders.documents.iter().map(|order| &*order.json).collect();
        object! { "generated_at": text(&timestamp(SNAPSHOT)), "data": array(&orders) }
    }

    fn comment(&self, ticket: &str, body: &[u8]) -> Answer {
        let ticket = self.tickets.find(ticket)?;
        let request: Value = serde_json::from_slice(body).map_err(|_| (400, "body is not JSON"))?;
        let comment = request["comment"].as_str().ok_or((400, "comment is missing"))?;
        let stored: Value = serde_json::from_str(&ticket.json).map_err(|_| (500, "the ticket is broken"))?;
        let customer = text(stored["customer"]["id"].as_str().unwrap_or_default());
        let accepted = object! {
            "customer": object! { "id": customer },
            "ticket_id": ticket.key, "comment_id": hash(comment.as_bytes()) % 10_000_000,
            "accepted_at": text(&timestamp(SNAPSHOT)), "author_ip": text("10.0.3.7"),
            "internal": object! {
                "queue": text("helpdesk-2"), "assigned_to": text("m.hendriks"), "sla_minutes": 240,
            },
        };
        Ok((201, accepted))
    }
}

/// The headers of such a service: what a client needs, and what nobody outside should see.
fn headers(node: &str, path: &str, query: &str) -> Vec<(&'static str, String)> {
    let tag = hash(format!("{path}?{query}").as_bytes());
    vec![
        ("Content-Type", "application/json".to_owned()),
        ("Server", "shop-api/4.2".to_owned()),
        ("X-Internal-Node", node.to_owned()),
        ("X-Database-Replica", "pg-replica-2.shop.internal:5432".to_owned()),
        ("ETag", format!("\"{tag:016x}\"")),
        ("Set-Cookie", format!("sid={tag:x}; Path=/; HttpOnly")),
    ]
}

/// The body of an error, as chatty as such bodies are.
fn failure(reason: &str, node: &str, path: &str, query: &str) -> String {
    let stack = [
        "at ShopRepository.fetchOne (/srv/shop-api/src/repository.ts:214:11)".to_owned(),
        format!("at handler (/srv/shop-api/src/routes.ts:88:5) path={path} query={query}"),
    ];
    object! {
        "error": text(reason), "node": text(&format!("{node}.shop.internal")),
        "database": text("postgres://shop_rw@10.0.3.21:5432/shop"), "stack": texts(&stack),
    }
}
