//! The orders: what customers buy, who sends it where, and how it is paid.

use super::customers::{Address, Customer, Person, phone, public_address};
use super::json::{array, decimal, object, optional, text, texts, timestamp, write_object};
use super::words::{GIFT_MESSAGES, PRODUCTS, RISK_REASONS, Rng, STAFF, USER_AGENTS};
use super::{Document, SNAPSHOT};

const ORDERS: u64 = 3_500;
/// The latest orders, most of which are still in the warehouse.
const RECENT_ORDERS: u64 = 1_400;
/// Seconds from one order to the next.
const ORDER_SPACING: u64 = 2_960;

/// Every order, newest first.
pub(super) fn orders(customers: &[Customer]) -> Vec<Document> {
    (0..ORDERS).rev().map(|index| order(index, customers)).collect()
}

/// The parts of an order that several of its fields depend on.
struct Sale<'a> {
    customer: &'a Customer,
    placed: u64,
    status: &'static str,
    carrier: Option<&'static str>,
    recipient: Person,
    gift: bool,
}

fn order(index: u64, customers: &[Customer]) -> Document {
    let mut rng = Rng::stream("order", index);
    let count = customers.len() as u64;
    let buyer = rng.between(0, count).min(rng.between(0, count));
    let customer = &customers[buyer as usize];
    let status = order_status(&mut rng, index + RECENT_ORDERS >= ORDERS);
    let carrier = rng.choose("parcelco|parcelco|swiftpost");
    let gift = rng.chance(12);
    let stranger = Person::new(&mut rng, customer.locale);
    let sale = Sale {
        customer,
        placed: SNAPSHOT - (ORDERS - index) * ORDER_SPACING + rng.between(0, ORDER_SPACING / 2),
        status,
        carrier: (!matches!(status, "placed" | "paid" | "cancelled")).then_some(carrier),
        recipient: if gift { stranger } else { customer.person.clone() },
        gift,
    };
    let number = 480_000 + index * 7 + rng.between(0, 7);
    Document {
        key: number.to_string(),
        status,
        party: sale.carrier.unwrap_or_default(),
        planted: false,
        json: sale.json(&mut rng, number),
    }
}

fn order_status(rng: &mut Rng, recent: bool) -> &'static str {
    match (recent, rng.between(0, 100)) {
        (true, 0..65) => "ready_to_ship",
        (true, 65..77) => "placed",
        (true, 77..89) => "paid",
        (true, 89..96) => "shipped",
        (false, 0..84) => "delivered",
        (false, 84..91) => "returned",
        (false, 91..95) => "shipped",
        _ => "cancelled",
    }
}

impl Sale<'_> {
    fn json(&self, rng: &mut Rng, number: u64) -> String {
        let customer = self.customer;
        let (items, subtotal) = self.items(rng);
        let total = subtotal - self.discount(subtotal) + self.delivery_charge(subtotal);
        let elsewhere = Address::new(rng, customer.locale);
        let destination = if self.gift { &elsewhere } else { &customer.address };
        let instructions = rng.chance(45).then(|| rng.choose(customer.locale.instructions));
        let tracking =
            matches!(self.status, "shipped" | "delivered" | "returned").then(|| rng.fill("3S@@@@#########"));
        object! {
            "order_id": number, "placed_at": text(&timestamp(self.placed)),
            "status": text(self.status), "carrier": optional(self.carrier),
            "customer": customer.in_order(), "recipient": self.recipient(rng),
            "shipping_address": destination.json(instructions), "billing_address": customer.address.json(None),
            "payment": self.payment(rng, total), "items": array(&items), "totals": self.totals(subtotal),
            "internal": self.internal(rng), "tracking": object! { "number": optional(tracking.as_deref()) },
        }
    }

    /// The lines of the order, and what they cost together.
    fn items(&self, rng: &mut Rng) -> (Vec<String>, i64) {
        let count = *rng.pick(&[1, 2, 2, 3, 3, 4]);
        let first = rng.between(0, PRODUCTS.len() as u64) as usize;
        let mut subtotal = 0;
        let mut line = |place: usize| {
            let product = &PRODUCTS[(first + place * 7) % PRODUCTS.len()];
            let quantity = *rng.pick(&[1, 1, 1, 2, 3]);
            subtotal += product.cents * quantity;
            let message = (self.gift && place == 0)
                .then(|| rng.choose(GIFT_MESSAGES).replace("{name}", &self.recipient.name));
            object! {
                "sku": text(product.sku), "name": text(product.name), "quantity": quantity,
                "unit_price": decimal(product.cents), "weight_g": product.weight_g,
                "gift_message": optional(message.as_deref()),
            }
        };
        let lines = (0..count).map(&mut line).collect();
        (lines, subtotal)
    }

    fn discount(&self, subtotal: i64) -> i64 {
        match self.customer.tier {
            "platinum" => subtotal / 10,
            "gold" => subtotal / 20,
            _ => 0,
        }
    }

    fn delivery_charge(&self, subtotal: i64) -> i64 {
        if subtotal < 5_000 { 495 } else { 0 }
    }

    fn recipient(&self, rng: &mut Rng) -> String {
        let customer = self.customer;
        let own_phone = phone(rng, customer.locale);
        let company = rng.choose(customer.locale.companies).replace("{f}", customer.person.native_family);
        let company = (!self.gift && rng.chance(15)).then_some(company);
        object! {
            "name": text(&self.recipient.name),
            "phone": text(if self.gift { &own_phone } else { &customer.phone }),
            "company": optional(company.as_deref()),
        }
    }

    fn payment(&self, rng: &mut Rng, amount: i64) -> String {
        let method = rng.choose("card|card|card|card|card|card|card|card|paypal|bank_transfer");
        let card = match method {
            "card" => self.customer.card.json(),
            _ => "null".to_owned(),
        };
        let captured = (self.status != "placed").then(|| timestamp(self.placed + rng.between(20, 900)));
        object! {
            "method": text(method), "card": card,
            "captured_at": optional(captured.as_deref()), "amount": decimal(amount),
        }
    }

    fn totals(&self, subtotal: i64) -> String {
        let (discount, delivery) = (self.discount(subtotal), self.delivery_charge(subtotal));
        let total = subtotal - discount + delivery;
        object! {
            "subtotal": decimal(subtotal), "discount": decimal(discount), "delivery": decimal(delivery),
            "tax_included": decimal(total * 21 / 121), "total": decimal(total), "currency": text("EUR"),
        }
    }

    fn internal(&self, rng: &mut Rng) -> String {
        let first = rng.between(0, 10) as usize;
        let reasons = RISK_REASONS.split('|').cycle().skip(first).take(first % 3).map(str::to_owned);
        let session = object! {
            "ip": text(&public_address(rng)), "user_agent": text(rng.choose(USER_AGENTS)),
            "referrer": text(rng.choose("newsletter-46|google-ads|direct|friend-code")),
        };
        object! {
            "risk_score": decimal(rng.between(1, 97) as i64),
            "risk_reasons": texts(&reasons.collect::<Vec<_>>()),
            "notes": self.customer.staff_notes(rng, self.placed), "margin": decimal(rng.between(8, 52) as i64),
            "warehouse_bin": text(&rng.fill("B-##-@#")), "picker": text(rng.choose(STAFF)), "session": session,
        }
    }
}
