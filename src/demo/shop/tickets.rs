//! Registered software, and the support tickets of the people who use it.

use super::customers::{Customer, public_address};
use super::json::{array, decimal, object, optional, text, timestamp, write_object};
use super::locales::Locale;
use super::words::{Rng, SOFTWARE};
use super::{Document, SNAPSHOT};

const REGISTRATIONS: u64 = 1_200;
const TICKETS: u64 = 900;
/// Seconds from one ticket to the next.
const TICKET_SPACING: u64 = 6_300;
/// The planted ticket has the first free number from here on.
const PLANTED: u64 = 71_350;

const AGENT_REPLIES: &str = "Hello {name}, thank you for writing to us. Which version does the About window \
    show?|Dear {name}, I have reset the licence of {serial}, please sign in once more.|Hi, I see it. Please \
    do not send card numbers by chat, I have what I need.|We refunded the amount today; it takes three \
    banking days.|Could you confirm your telephone number? I have {phone} here.|Thanks. I passed this on to \
    the engineers of {product}.";
const FOLLOW_UPS: &str = "Still the same with {version}, and I restarted twice.|It works again, thank you so \
    much!|You can reach me on {phone} after six.|Then use my other address, {email}, I read that one more \
    often.|The card is {card}, expiry {expiry}, in case you need it.|If a transfer is easier: {iban}, account \
    holder {name}.|Any news? I have been waiting since Monday.|My date of birth is {born}, if that is the \
    security question.|The sticker says {serial}.";
const ESCALATIONS: &str = "Threatens to post on social media; approve up to 50 EUR.|Second line says known \
    fault MESA-2214, do not tell customers yet.|Customer {name} was rude to two agents.|Chargeback risk.";

/// A piece of software that a customer registered.
pub(super) struct Registration<'a> {
    customer: &'a Customer,
    product: &'static str,
    version: &'static str,
    serial: String,
}

/// Every registration, oldest first.
pub(super) fn registrations(customers: &[Customer]) -> Vec<Registration<'_>> {
    let registration = |index| {
        let mut rng = Rng::stream("registration", index);
        let (product, prefix, versions) = *rng.pick(&SOFTWARE);
        Registration {
            customer: rng.pick(customers),
            product,
            version: rng.choose(versions),
            serial: rng.fill(&format!("{prefix}-{index:04}-@#@@-##@#")),
        }
    };
    (0..REGISTRATIONS).map(registration).collect()
}

impl Registration<'_> {
    /// What the licence server keeps.
    pub fn document(&self) -> Document {
        let mut rng = Rng::stream(&self.serial, 0);
        let registered = rng.between(self.customer.since, SNAPSHOT);
        let json = object! {
            "serial": text(&self.serial), "product": text(self.product), "version": text(self.version),
            "registered_at": text(&timestamp(registered)),
            "customer": object! {
                "id": text(&self.customer.id), "name": text(&self.customer.person.name),
                "email": text(&self.customer.email),
            },
            "machine_fingerprint": text(&format!("{:016x}{:016x}", rng.draw(), rng.draw())),
            "license_key": text(&rng.fill("@#@@#-#@@#@-@@##@-#@#@@")),
            "last_seen_ip": text(&public_address(&mut rng)),
        };
        Document::new(self.serial.clone(), json)
    }

    fn product(&self) -> String {
        object! {
            "name": text(self.product), "version": text(self.version), "serial": text(&self.serial),
        }
    }

    /// A template with everything filled in that a customer may let slip.
    fn fill_in(&self, template: &str, iban: Option<&str>) -> String {
        let card = &self.customer.card;
        let in_fours =
            card.number.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
        let template = self.customer.fill_in(template);
        template
            .replace("{product}", self.product)
            .replace("{version}", self.version)
            .replace("{serial}", &self.serial)
            .replace("{card}", &in_fours)
            .replace("{expiry}", &card.expiry)
            .replace("{iban}", iban.unwrap_or("the account you have on file"))
    }
}

/// Every ticket, newest first.
pub(super) fn tickets(registrations: &[Registration<'_>]) -> Vec<Document> {
    let mut tickets: Vec<Document> = (0..TICKETS).rev().map(|index| ticket(index, registrations)).collect();
    let is_free = |number: &u64| !tickets.iter().any(|ticket| ticket.key == number.to_string());
    let number = (PLANTED..).find(is_free);
    tickets.extend(number.map(planted));
    tickets
}

/// A ticket of a customer that does not exist: nobody has a reason to ask for it.
fn planted(number: u64) -> Document {
    let json = object! {
        "ticket_id": number, "opened_at": text(&timestamp(SNAPSHOT - 30 * 86_400)),
        "status": text("open"), "vendor": text("helpdesk"), "subject_line": text("Cannot open the archive"),
        "customer": object! {
            "id": text("c-99001"), "name": text("Planted Customer"), "email": text("planted@example.net"),
            "phone": text("+1 202 555 0188"), "loyalty_tier": text("bronze"), "date_of_birth": text("1980-01-01"),
        },
        "product": object! { "name": text("Owl Archive"), "version": text("3.0.2"), "serial": text("OWA-0000-0000-0000") },
        "messages": "[]",
        "internal": object! { "priority": text("p4"), "sentiment": decimal(0), "escalation_notes": optional(None) },
    };
    Document { key: number.to_string(), status: "open", party: "helpdesk", planted: true, json }
}

fn ticket(index: u64, registrations: &[Registration<'_>]) -> Document {
    let mut rng = Rng::stream("ticket", index);
    let registration = rng.pick(registrations);
    let customer = registration.customer;
    let opened = SNAPSHOT - (TICKETS - index + 3) * TICKET_SPACING + rng.between(0, 3_000);
    let number = 70_000 + index * 3 + rng.between(0, 3);
    let status = rng.choose("open|open|waiting|closed");
    let vendor = if rng.chance(40) { "helpdesk" } else { "inhouse" };
    let complaint = rng.choose(customer.locale.complaints);
    let (subject_line, message) = complaint.split_once('>').unwrap_or(("", complaint));
    let json = object! {
        "ticket_id": number, "opened_at": text(&timestamp(opened)),
        "status": text(status), "vendor": text(vendor), "subject_line": text(subject_line),
        "customer": caller(customer), "product": registration.product(),
        "messages": array(&messages(&mut rng, registration, message, opened)),
        "internal": internal(&mut rng, customer),
    };
    Document { key: number.to_string(), status, party: vendor, planted: false, json }
}

fn caller(customer: &Customer) -> String {
    object! {
        "id": text(&customer.id), "name": text(&customer.person.name), "email": text(&customer.email),
        "phone": text(&customer.phone), "loyalty_tier": text(customer.tier),
        "date_of_birth": text(&customer.born),
    }
}

/// The conversation: the complaint, then agent and customer in turn.
fn messages(rng: &mut Rng, registration: &Registration<'_>, complaint: &str, opened: u64) -> Vec<String> {
    let iban = iban(rng, registration.customer.locale);
    let turns = rng.between(1, 7);
    let mut at = opened;
    let message = |turn: u64| {
        let (from, template) = match turn {
            0 => ("customer", complaint),
            _ if turn % 2 == 1 => ("agent", rng.choose(AGENT_REPLIES)),
            _ => ("customer", rng.choose(FOLLOW_UPS)),
        };
        let said = registration.fill_in(template, iban.as_deref());
        let message = object! { "from": text(from), "at": text(&timestamp(at)), "text": text(&said) };
        at += rng.between(300, 3_000);
        message
    };
    (0..turns).map(message).collect()
}

fn internal(rng: &mut Rng, customer: &Customer) -> String {
    let escalation = rng.chance(30).then(|| customer.fill_in(rng.choose(ESCALATIONS)));
    object! {
        "priority": text(rng.choose("p1|p2|p2|p3|p3|p3|p4")),
        "sentiment": decimal(rng.between(0, 161) as i64 - 95),
        "escalation_notes": optional(escalation.as_deref()),
    }
}

/// An account number with valid check digits, for countries that have them.
fn iban(rng: &mut Rng, locale: &Locale) -> Option<String> {
    let account = (!locale.iban.is_empty()).then(|| rng.fill(locale.iban))?;
    let checked = format!("{account}{}00", locale.country);
    let rest = checked.chars().filter_map(|symbol| symbol.to_digit(36)).fold(0, |rest, value| {
        let shifted = if value > 9 { rest * 100 } else { rest * 10 };
        (shifted + value) % 97
    });
    Some(format!("{}{:02}{account}", locale.country, 98 - rest))
}
