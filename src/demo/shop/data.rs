//! Customers and their orders.

use std::collections::HashSet;

use serde_json::Value;

use super::words::{
    GIFT_MESSAGES, LOCALES, Locale, PRODUCTS, RISK_REASONS, Rng, STAFF, STAFF_NOTES, USER_AGENTS, hash,
};
use super::{DAY, Document, SNAPSHOT, array, date, decimal, optional, text, texts, timestamp, write_object};

const CUSTOMERS: u64 = 2_000;
const ORDERS: u64 = 3_500;
/// The latest orders, most of which are still in the warehouse.
const RECENT_ORDERS: u64 = 1_400;
/// Seconds from one order to the next.
const ORDER_SPACING: u64 = 2_960;

/// How somebody is called, in the script of the country and in Latin letters.
#[derive(Clone)]
pub(super) struct Person {
    pub name: String,
    native_family: &'static str,
    given: &'static str,
    family: &'static str,
}

impl Person {
    fn new(rng: &mut Rng, locale: &Locale) -> Person {
        let female = rng.chance(52);
        let given = rng.choose(if female { locale.female } else { locale.male });
        let (native_given, given) = given.split_once('=').unwrap_or((given, given));
        let family = rng.choose(locale.family);
        let (native_family, family) = family.split_once('=').unwrap_or((family, family));
        let form = |name: &'static str| match name.split_once('/') {
            Some((_, female_form)) if female => female_form,
            Some((male_form, _)) => male_form,
            None => name,
        };
        let name = if locale.family_first {
            format!("{native_family} {native_given}")
        } else {
            format!("{native_given} {}", form(native_family))
        };
        Person { name, native_family: form(native_family), given, family: form(family) }
    }

    fn email(&self, rng: &mut Rng) -> String {
        let plain = |name: &str| name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let number = rng.between(1, 99).to_string();
        let local = rng
            .choose("{given}.{family}|{family}.{given}|{given}{number}|{given}_{family}{number}")
            .replace("{given}", &plain(self.given))
            .replace("{family}", &plain(self.family))
            .replace("{number}", &number);
        format!("{local}@{}", rng.choose("example.com|example.org|example.net"))
    }
}

struct Address {
    street: String,
    city: &'static str,
    region: &'static str,
    postal_code: String,
    country: &'static str,
}

impl Address {
    fn new(rng: &mut Rng, locale: &Locale) -> Address {
        let mut city = rng.choose(locale.cities).split(';');
        let (name, region) = (city.next().unwrap_or_default(), city.next().unwrap_or_default());
        let street = rng
            .choose(locale.street_forms)
            .replace("{s}", rng.choose(locale.streets))
            .replace("{n}", &rng.between(1, 180).to_string())
            .replace("{u}", &rng.between(1, 10).to_string());
        let postal_code = rng.fill(city.next().unwrap_or_default());
        Address { street, city: name, region, postal_code, country: locale.country }
    }

    fn json(&self, instructions: Option<&str>) -> String {
        object! {
            "street": text(&self.street), "city": text(self.city),
            "postal_code": text(&self.postal_code), "region": text(self.region),
            "country": text(self.country), "instructions": optional(instructions),
        }
    }
}

/// A payment card with a number from the ranges for tests.
pub(super) struct Card {
    pub number: String,
    kind: &'static str,
    pub expiry: String,
    holder: String,
}

impl Card {
    fn new(rng: &mut Rng, person: &Person) -> Card {
        let brands =
            [("visa", "41111111#######"), ("mastercard", "55555555#######"), ("amex", "37828224######")];
        let (kind, pattern) = *rng.pick(&brands);
        let payload = rng.fill(pattern);
        let number = format!("{payload}{}", (10 - luhn_sum(&format!("{payload}0")) % 10) % 10);
        let expiry = format!("{:02}/{}", rng.between(1, 13), rng.between(27, 32));
        let holder = format!("{} {}", person.given, person.family).to_uppercase();
        Card { number, kind, expiry, holder }
    }

    fn json(&self) -> String {
        object! {
            "number": text(&self.number), "type": text(self.kind),
            "expiry": text(&self.expiry), "holder": text(&self.holder),
        }
    }
}

/// The Luhn sum of a card number: a multiple of ten where the number is valid.
pub(super) fn luhn_sum(number: &str) -> u32 {
    let digits = number.chars().rev().filter_map(|digit| digit.to_digit(10));
    let weighed = |(place, digit): (usize, u32)| match place % 2 {
        0 => digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    };
    digits.enumerate().map(weighed).sum()
}

/// A customer, with what orders, tickets and registrations repeat about one.
pub(super) struct Customer {
    pub id: String,
    pub locale: &'static Locale,
    pub person: Person,
    pub email: String,
    pub phone: String,
    pub born: String,
    pub tier: &'static str,
    pub card: Card,
    pub since: u64,
    marketing: bool,
    address: Address,
}

/// Every customer, oldest first.
pub(super) fn customers() -> Vec<Customer> {
    let mut emails = HashSet::new();
    let mut customers: Vec<Customer> = (0..CUSTOMERS).map(Customer::new).collect();
    for customer in &mut customers {
        if !emails.insert(customer.email.clone()) {
            customer.email = customer.email.replace('@', &format!("{}@", &customer.id[2..]));
        }
    }
    customers
}

impl Customer {
    fn new(index: u64) -> Customer {
        let mut rng = Rng::stream("customer", index);
        let locale = locale(rng.between(0, 100));
        let person = Person::new(&mut rng, locale);
        let since = SNAPSHOT - (CUSTOMERS - index) * 2 * DAY - rng.between(125, 150) * DAY;
        Customer {
            id: format!("c-{}", 10_000 + index),
            locale,
            email: person.email(&mut rng),
            phone: phone(&mut rng, locale),
            born: birthday(&mut rng),
            tier: rng.choose("bronze|bronze|bronze|silver|silver|gold|platinum"),
            card: Card::new(&mut rng, &person),
            since,
            marketing: rng.chance(40),
            address: Address::new(&mut rng, locale),
            person,
        }
    }

    /// The full profile, as the customer service sees it.
    pub fn profile(&self) -> Document {
        let mut rng = Rng::stream("profile", hash(self.id.as_bytes()));
        let mut addresses = vec![self.address.json(None)];
        let mut cards = vec![self.card.json()];
        if rng.chance(25) {
            let instructions = rng.choose(self.locale.instructions);
            addresses.push(Address::new(&mut rng, self.locale).json(Some(instructions)));
            cards.push(Card::new(&mut rng, &self.person).json());
        }
        let consents = object! {
            "newsletter": self.marketing, "support": rng.chance(85), "partners": rng.chance(20),
        };
        let internal = object! {
            "risk_score": decimal(rng.between(1, 90) as i64),
            "segment": text(rng.choose("bargain-hunter|loyal|lapsing|vip|new|churn-risk")),
            "notes": self.staff_notes(&mut rng, SNAPSHOT),
        };
        let json = object! {
            "id": text(&self.id), "name": text(&self.person.name), "email": text(&self.email),
            "phone": text(&self.phone), "date_of_birth": text(&self.born),
            "national_id": text(&rng.fill(self.locale.national_id)),
            "loyalty_tier": text(self.tier), "since": text(&date(self.since)),
            "addresses": array(&addresses), "cards": array(&cards),
            "consents": consents, "internal": internal,
        };
        Document::new(self.id.clone(), json)
    }

    fn in_order(&self) -> String {
        object! {
            "id": text(&self.id), "name": text(&self.person.name), "email": text(&self.email),
            "phone": text(&self.phone), "date_of_birth": text(&self.born),
            "loyalty_tier": text(self.tier), "marketing_consent": self.marketing,
            "since": text(&date(self.since)),
        }
    }

    /// A template with `{name}`, `{email}`, `{phone}` and `{born}` filled in.
    pub fn fill_in(&self, template: &str) -> String {
        template
            .replace("{name}", &self.person.name)
            .replace("{email}", &self.email)
            .replace("{phone}", &self.phone)
            .replace("{born}", &self.born)
    }

    /// What members of staff wrote in the months before a moment.
    fn staff_notes(&self, rng: &mut Rng, before: u64) -> Value {
        let first = rng.between(0, 10) as usize;
        let note = |number| {
            let template = STAFF_NOTES.split('|').cycle().nth(first + number).unwrap_or_default();
            let day = date(before - rng.between(0, 90) * DAY);
            format!("{day} {}: {}", rng.choose(STAFF), self.fill_in(template))
        };
        let count = 2 + first % 3;
        let mut notes: Vec<String> = (0..count).map(note).collect();
        notes.sort();
        texts(&notes)
    }
}

/// The country of a customer by its place among a hundred.
fn locale(mut place: u64) -> &'static Locale {
    let holds = |locale: &&Locale| {
        let found = place < locale.share;
        place = place.saturating_sub(locale.share);
        found
    };
    LOCALES.iter().find(holds).unwrap_or(&LOCALES[0])
}

fn birthday(rng: &mut Rng) -> String {
    let (year, month, day) = (rng.between(1946, 2008), rng.between(1, 13), rng.between(1, 29));
    format!("{year}-{month:02}-{day:02}")
}

fn phone(rng: &mut Rng, locale: &Locale) -> String {
    let pattern = rng.choose(locale.phones);
    rng.fill(pattern)
}

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

/// An IP address from the ranges for documentation.
pub(super) fn public_address(rng: &mut Rng) -> String {
    format!("{}.{}", rng.choose("192.0.2|198.51.100|203.0.113"), rng.between(1, 255))
}
