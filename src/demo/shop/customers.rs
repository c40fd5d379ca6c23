//! Customers: how they are called and reached, where they live and what they pay with.

use std::collections::HashSet;

use serde_json::Value;

use super::json::{array, date, decimal, object, optional, text, texts, write_object};
use super::locales::{LOCALES, Locale};
use super::words::{Rng, STAFF, STAFF_NOTES, hash};
use super::{DAY, Document, SNAPSHOT};

const CUSTOMERS: u64 = 2_000;

/// How somebody is called, in the script of the country and in Latin letters.
#[derive(Clone)]
pub(super) struct Person {
    pub name: String,
    pub native_family: &'static str,
    given: &'static str,
    family: &'static str,
}

impl Person {
    pub fn new(rng: &mut Rng, locale: &Locale) -> Person {
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

pub(super) struct Address {
    street: String,
    city: &'static str,
    region: &'static str,
    postal_code: String,
    country: &'static str,
}

impl Address {
    pub fn new(rng: &mut Rng, locale: &Locale) -> Address {
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

    pub fn json(&self, instructions: Option<&str>) -> String {
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

    pub fn json(&self) -> String {
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
    pub address: Address,
    marketing: bool,
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

    /// What an order repeats about its customer.
    pub fn in_order(&self) -> String {
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
    pub fn staff_notes(&self, rng: &mut Rng, before: u64) -> Value {
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

/// A telephone number of a country.
pub(super) fn phone(rng: &mut Rng, locale: &Locale) -> String {
    let pattern = rng.choose(locale.phones);
    rng.fill(pattern)
}

/// An IP address from the ranges for documentation.
pub(super) fn public_address(rng: &mut Rng) -> String {
    format!("{}.{}", rng.choose("192.0.2|198.51.100|203.0.113"), rng.between(1, 255))
}
