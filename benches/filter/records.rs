//! Made-up people, their orders and what they write to support.

use serde::Serialize;

const GIVEN: [&str; 14] = [
    "Aino", "Bilal", "Chiara", "Dmitri", "Esther", "Fionn", "Gül", "Ines", "Jorge", "Kofi", "Łucja", "Mei",
    "Noémie", "Rafał",
];
const FAMILY: [&str; 12] = [
    "Abara",
    "Brandt",
    "Çelik",
    "Duarte",
    "Eriksson",
    "Novák",
    "Okoye",
    "Romano",
    "Sørensen",
    "Tanaka",
    "Vos",
    "Whelan",
];
const STREETS: [&str; 8] =
    ["Canal", "Lindens", "Market", "Mill", "Quayside", "Ropewalk", "Station", "Vineyard"];
const CITIES: [(&str, &str, &str); 7] = [
    ("Utrecht", "3511 LX", "NL"),
    ("Cork", "T12 W8X2", "IE"),
    ("Málaga", "29005", "ES"),
    ("Bergamo", "24122", "IT"),
    ("Linköping", "582 23", "SE"),
    ("Nagoya", "460-0008", "JP"),
    ("Denver", "80203", "US"),
];
const WARES: [&str; 10] =
    ["teapot", "lantern", "stool", "carpet", "kettle", "raincoat", "globe", "easel", "bookend", "mirror"];
const WORDS: [&str; 24] = [
    "the",
    "driver",
    "rang",
    "but",
    "nobody",
    "opened",
    "so",
    "parcel",
    "went",
    "back",
    "to",
    "depot",
    "please",
    "send",
    "it",
    "again",
    "after",
    "noon",
    "and",
    "leave",
    "with",
    "concierge",
    "if",
    "possible",
];
/// Words of several scripts, of two to four bytes a character.
const SCRIPTS: [&str; 10] =
    ["Straße", "résumé", "Ελλάδα", "доставка", "שלום", "مرحبا", "नमस्ते", "주소", "配達先", "📦"];

#[derive(Serialize)]
pub struct Order {
    order_id: String,
    placed_at: String,
    state: &'static str,
    buyer: Buyer,
    recipient: Recipient,
    shipping_address: Address,
    billing_address: Address,
    payment: Payment,
    lines: Vec<Line>,
    remarks: Vec<String>,
    fraud_score: f64,
    marks: Marks,
    events: Vec<Event>,
}

#[derive(Serialize)]
struct Buyer {
    number: u64,
    name: String,
    email: String,
    phone: String,
    born: String,
    club: Club,
}

#[derive(Serialize)]
struct Club {
    level: &'static str,
    balance: u64,
}

#[derive(Serialize)]
struct Recipient {
    name: String,
    phone: String,
    directions: String,
}

#[derive(Serialize)]
struct Address {
    street: String,
    city: &'static str,
    postal_code: &'static str,
    country: &'static str,
    geo: Geo,
}

#[derive(Serialize)]
struct Geo {
    latitude: f64,
    longitude: f64,
}

#[derive(Serialize)]
struct Payment {
    method: &'static str,
    card: Card,
    total: f64,
    currency: &'static str,
}

#[derive(Serialize)]
struct Card {
    number: String,
    brand: &'static str,
    until: String,
    holder: String,
}

#[derive(Serialize)]
struct Line {
    article: String,
    title: String,
    count: u64,
    price: f64,
    cost: f64,
    maker: String,
}

#[derive(Serialize)]
struct Marks {
    present: bool,
    fragile: bool,
    reviewed_by: Option<String>,
}

#[derive(Serialize)]
struct Event {
    time: String,
    what: &'static str,
    by: Actor,
}

#[derive(Serialize)]
struct Actor {
    clerk: String,
    host: String,
}

#[derive(Serialize)]
pub struct Ticket {
    ticket_id: String,
    subject: String,
    contact: Contact,
    text: String,
    thread: Vec<Message>,
    mood: f64,
    labels: [&'static str; 3],
}

#[derive(Serialize)]
struct Contact {
    name: String,
    email: String,
    phone: String,
}

#[derive(Serialize)]
struct Message {
    sender: &'static str,
    text: String,
    internal: bool,
}

pub fn order(random: &mut Random, number: usize) -> Order {
    let buyer = random.person();
    Order {
        order_id: format!("FG-{number:08}"),
        placed_at: random.time(),
        state: random.pick(&["new", "packed", "sent", "returned"]),
        recipient: Recipient {
            name: random.person(),
            phone: random.phone(),
            directions: random.sentence(4, 14),
        },
        shipping_address: random.address(),
        billing_address: random.address(),
        payment: Payment {
            method: "card",
            card: Card {
                number: format!("4000{:012}", random.below(1_000_000_000_000)),
                brand: random.pick(&["maestro", "visa"]),
                until: format!("{:02}/{}", random.between(1, 12), random.between(27, 33)),
                holder: buyer.clone(),
            },
            total: random.decimal(90_000, 2),
            currency: random.pick(&["EUR", "SEK", "USD"]),
        },
        lines: (0..random.between(3, 5)).map(|_| random.line()).collect(),
        remarks: (0..random.between(1, 3)).map(|_| random.sentence(5, 18)).collect(),
        fraud_score: random.decimal(1_000_000, 6),
        marks: Marks { present: random.below(5) == 0, fragile: random.below(9) == 0, reviewed_by: None },
        events: (0..random.between(3, 6)).map(|_| random.event()).collect(),
        buyer: Buyer {
            number: random.between(1_000_000, 9_999_999),
            email: random.email(&buyer),
            name: buyer,
            phone: random.phone(),
            born: format!(
                "19{}-0{}-{}",
                random.between(50, 99),
                random.between(1, 9),
                random.between(10, 28)
            ),
            club: Club { level: random.pick(&["none", "blue", "amber"]), balance: random.below(9000) },
        },
    }
}

pub fn ticket(random: &mut Random, number: usize) -> Ticket {
    let person = random.person();
    let message = |random: &mut Random| Message {
        sender: random.pick(&["clerk", "buyer"]),
        text: random.prose(60, 200),
        internal: random.below(3) == 0,
    };
    Ticket {
        ticket_id: format!("T-{number:07}"),
        subject: random.sentence(4, 6) + " " + random.pick(&SCRIPTS),
        contact: Contact { email: random.email(&person), name: person, phone: random.phone() },
        text: random.prose(120, 320),
        thread: (0..random.between(1, 4)).map(|_| message(random)).collect(),
        mood: random.decimal(10_000, 4),
        labels: [random.pick(&WORDS), random.pick(&WORDS), random.pick(&WORDS)],
    }
}

// ---- chance ----

/// SplitMix64, so that every run has the same documents.
pub struct Random(pub u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Below `bound` in units of the last of `digits` places.
    fn decimal(&mut self, bound: u64, digits: i32) -> f64 {
        self.below(bound) as f64 / 10_f64.powi(digits)
    }

    /// Up to `most` in either direction, to six digits.
    fn degrees(&mut self, most: u64) -> f64 {
        (self.below(most * 2_000_000) as f64 - most as f64 * 1e6) / 1e6
    }

    fn sentence(&mut self, least: u64, most: u64) -> String {
        (0..self.between(least, most)).map(|_| self.pick(&WORDS)).collect::<Vec<_>>().join(" ")
    }

    /// Text with quotes, line ends, backslashes and several scripts.
    fn prose(&mut self, least: u64, most: u64) -> String {
        let mut text = String::new();
        for _ in 0..self.between(least, most) {
            match self.below(50) {
                0..6 => text.push_str(self.pick(&SCRIPTS)),
                6..9 => text.push_str(&format!("\"{}\"", self.pick(&WORDS))),
                9..13 => text.push('\n'),
                13 => text.push_str("C:\\labels\\new\t"),
                _ => text.push_str(self.pick(&WORDS)),
            }
            text.push(' ');
        }
        text
    }

    fn person(&mut self) -> String {
        format!("{} {}", self.pick(&GIVEN), self.pick(&FAMILY))
    }

    fn email(&mut self, person: &str) -> String {
        let name = person.to_lowercase().replace(' ', ".");
        format!("{}{}@mail.example", name.replace(|letter: char| !letter.is_ascii(), "x"), self.below(1000))
    }

    fn phone(&mut self) -> String {
        format!("+31 6 {:08}", self.below(100_000_000))
    }

    fn time(&mut self) -> String {
        let [day, hour, minute] = [self.between(10, 28), self.between(10, 23), self.between(10, 59)];
        format!("2026-0{}-{day}T{hour}:{minute}:{}Z", self.between(1, 9), self.between(10, 59))
    }

    fn address(&mut self) -> Address {
        let (city, postal_code, country) = self.pick(&CITIES);
        let geo = Geo { latitude: self.degrees(60), longitude: self.degrees(170) };
        let street = format!("{} {} Road", self.between(1, 240), self.pick(&STREETS));
        Address { street, city, postal_code, country, geo }
    }

    fn line(&mut self) -> Line {
        Line {
            article: format!("ART-{:05}", self.below(100_000)),
            title: format!("{} {}", self.pick(&WARES), self.pick(&WARES)),
            count: self.between(1, 4),
            price: self.decimal(30_000, 2),
            cost: self.decimal(15_000, 2),
            maker: format!("maker-{}", self.below(100)),
        }
    }

    fn event(&mut self) -> Event {
        let host = format!("10.{}.{}.{}", self.below(256), self.below(256), self.between(1, 254));
        Event {
            time: self.time(),
            what: self.pick(&["placed", "paid", "picked", "labelled"]),
            by: Actor { clerk: format!("clerk-{}", self.below(300)), host },
        }
    }
}
