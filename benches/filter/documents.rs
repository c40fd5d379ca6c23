//! The documents: made-up orders and support tickets, the same in every run, or those of a folder.

use std::path::Path;

use anyhow::{Context, Result};

use crate::records::{Random, order, ticket};
use crate::rule::Shape;

const ORDER_FIELDS: [&str; 7] = [
    "order_id",
    "recipient.name",
    "recipient.phone",
    "shipping_address.street",
    "shipping_address.city",
    "shipping_address.postal_code",
    "shipping_address.country",
];
const TICKET_FIELDS: [&str; 4] = ["ticket_id", "subject", "contact.name", "contact.email"];

const PAGE: usize = 64 << 10;
const EXPORT: usize = 8 << 20;
const TICKETS: usize = 1 << 20;

pub struct Document {
    pub name: &'static str,
    pub body: Vec<u8>,
    pub shape: Shape,
    pub fields: &'static [&'static str],
}

/// Name, file in a folder of one's own, shape, fields.
type Kind = (&'static str, &'static str, Shape, &'static [&'static str]);

const KINDS: [Kind; 5] = [
    ("order", "order.json", Shape::One, &ORDER_FIELDS),
    ("page", "orders-page.json", Shape::List, &ORDER_FIELDS),
    ("export", "export.json", Shape::List, &ORDER_FIELDS),
    ("ndjson", "orders.ndjson", Shape::Lines, &ORDER_FIELDS),
    ("tickets", "tickets.json", Shape::List, &TICKET_FIELDS),
];

/// The documents whose names are `wanted`, from `folder` where there is one.
pub fn documents(folder: Option<&Path>, wanted: impl Fn(&str) -> bool) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for (name, file, shape, fields) in KINDS.into_iter().filter(|kind| wanted(kind.0)) {
        let body = match folder {
            Some(folder) => {
                let path = folder.join(file);
                std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?
            }
            None => generate(name)?.into_bytes(),
        };
        documents.push(Document { name, body, shape, fields });
    }
    Ok(documents)
}

fn generate(name: &str) -> Result<String> {
    let mut random = Random(0x6669_656c_6467_6174);
    match name {
        "order" => typical_order(&mut random),
        "page" => {
            let orders = orders(&mut random, PAGE)?.join(",");
            Ok(format!("{{\"data\":[{orders}],\"next\":\"/orders?after=00000034\"}}"))
        }
        "export" => Ok(format!("{{\"data\":[{}],\"next\":null}}", orders(&mut random, EXPORT)?.join(","))),
        "ndjson" => Ok(orders(&mut random, EXPORT)?.join("\n") + "\n"),
        _ => Ok(format!("{{\"data\":[{}],\"next\":null}}", tickets(&mut random)?.join(","))),
    }
}

/// One of about 2 KB.
fn typical_order(random: &mut Random) -> Result<String> {
    loop {
        let order = serde_json::to_string(&order(random, 1))?;
        if (1950..2050).contains(&order.len()) {
            return Ok(order);
        }
    }
}

fn orders(random: &mut Random, size: usize) -> Result<Vec<String>> {
    let (mut orders, mut length) = (Vec::new(), 0);
    while length < size {
        let order = serde_json::to_string(&order(random, orders.len()))?;
        length += order.len() + 1;
        orders.push(order);
    }
    Ok(orders)
}

/// Every second one has its characters beyond ASCII as `\u` escapes.
fn tickets(random: &mut Random) -> Result<Vec<String>> {
    let (mut tickets, mut length) = (Vec::new(), 0);
    while length < TICKETS {
        let mut ticket = serde_json::to_string(&ticket(random, tickets.len()))?;
        if tickets.len() % 2 == 1 {
            ticket = escaped(&ticket);
        }
        length += ticket.len() + 1;
        tickets.push(ticket);
    }
    Ok(tickets)
}

fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() * 2);
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    escaped
}
