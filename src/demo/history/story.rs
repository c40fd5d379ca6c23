//! What happens in these weeks, and when.

use serde_json::{Value, json};

use crate::ledger::SuspensionAction;

use super::super::shop::{Rng, Shop};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How far back it goes. Off hours are told of a contractor that has called for four weeks, and the night of the
/// first story is ten days ago.
const DAYS: i64 = 42;
/// Days ago: who walks the ticket numbers, and who takes the orders.
const WALK: i64 = 10;
const HARVEST: i64 = 3;
/// When rules change, when a contractor is suspended, when the gateway starts again, when an upstream is slow, and
/// when the shop begins to send a field.
const CHANGE: i64 = 15;
const SUSPENSION: i64 = 20;
const RESTART: i64 = 26;
const SLOW: i64 = 8;
const RELEASE: i64 = 6;

/// Orders or tickets that are worked on in a day.
const IN_WORK: usize = 80;

/// Requests on a working day and on a day of a weekend, and in which hours (UTC) they come.
struct Rhythm {
    contractor: &'static str,
    working: u64,
    weekend: u64,
    /// From five in the morning on, how much of the day's traffic an hour has.
    hours: [u64; 16],
}

const PARCELCO: Rhythm = Rhythm {
    contractor: "parcelco",
    working: 330,
    weekend: 70,
    hours: [4, 7, 9, 10, 9, 8, 7, 6, 7, 8, 8, 6, 5, 4, 0, 0],
};
const HELPDESK: Rhythm = Rhythm {
    contractor: "helpdesk",
    working: 200,
    weekend: 35,
    hours: [0, 0, 4, 9, 12, 12, 9, 6, 9, 12, 11, 9, 5, 0, 0, 0],
};
const FIRST_HOUR: i64 = 5;

/// Something that happens.
pub struct Happening {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    pub what: What,
}

pub enum What {
    /// The gateway begins to serve.
    Start,
    /// The rules of today come into force.
    Change,
    /// From now on the shop's answers have the field that they had not before.
    Release,
    Suspension {
        contractor: &'static str,
        action: SuspensionAction,
        reason: &'static str,
    },
    /// One of the company's own people looks at something.
    Access(Value),
    Request(Request),
}

pub struct Request {
    pub contractor: &'static str,
    pub method: &'static str,
    pub path: String,
    pub query: Option<&'static str>,
    pub trouble: Option<Trouble>,
}

/// What comes between a request and its answer.
#[derive(Clone, Copy)]
pub enum Trouble {
    RateLimit,
    Timeout,
}

/// All of it, in its order, up to `now` in seconds.
pub fn tell(shop: &Shop, now: i64) -> Vec<Happening> {
    let mut teller =
        Teller { shop, today: now.div_euclid(DAY), rng: Rng::stream("history", 0), told: Vec::new() };
    teller.events();
    for ago in (0..=DAYS).rev() {
        teller.day(&PARCELCO, ago);
        teller.day(&HELPDESK, ago);
    }
    teller.walk();
    teller.harvest();
    let mut told = teller.told;
    told.retain(|happening| happening.time < now * 1_000_000);
    told.sort_by_key(|happening| happening.time);
    told
}

struct Teller<'a> {
    shop: &'a Shop,
    /// Days since 1970-01-01.
    today: i64,
    rng: Rng,
    told: Vec<Happening>,
}

impl Teller<'_> {
    /// A moment of a day, in microseconds.
    fn at(&self, ago: i64, seconds: i64) -> i64 {
        ((self.today - ago) * DAY + seconds) * 1_000_000
    }

    /// 1970-01-01 was a Thursday.
    fn is_weekend(&self, ago: i64) -> bool {
        matches!((self.today - ago).rem_euclid(7), 2 | 3)
    }

    /// The working day nearest to a day, not after it.
    fn working(&self, ago: i64) -> i64 {
        (ago..).find(|ago| !self.is_weekend(*ago)).unwrap_or(ago)
    }

    fn tell(&mut self, time: i64, what: What) {
        self.told.push(Happening { time, what });
    }

    fn events(&mut self) {
        self.tell(self.at(DAYS, 4 * HOUR), What::Start);
        self.tell(self.at(self.working(RESTART), 21 * HOUR + 4 * MINUTE), What::Start);
        self.tell(self.at(self.working(CHANGE), 9 * HOUR + 31 * MINUTE), What::Change);
        self.tell(self.at(self.working(RELEASE), 6 * HOUR + 12 * MINUTE), What::Release);
        let day = self.working(SUSPENSION);
        let suspension = |action, reason| What::Suspension { contractor: "helpdesk", action, reason };
        let (suspended, resumed) = (SuspensionAction::Suspended, SuspensionAction::Resumed);
        let why = "Helpdesk reports a lost laptop";
        self.tell(self.at(day, 10 * HOUR + 12 * MINUTE), suspension(suspended, why));
        let why = "its certificate was on no laptop; Helpdesk confirmed it in writing";
        self.tell(self.at(day, 13 * HOUR + 40 * MINUTE), suspension(resumed, why));
        for week in 0..6 {
            let morning = self.at(self.working(week * 7 + 1), 8 * HOUR + 20 * MINUTE);
            let filter = json!({ "contractor": if week % 2 == 0 { "helpdesk" } else { "parcelco" } });
            let access = |action: &str, more: Value| {
                let mut event = json!({ "by": super::super::REVIEWER, "role": "reviewer", "action": action });
                if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
                    event.extend(more);
                }
                What::Access(event)
            };
            self.tell(morning, access("sign-in", json!({ "with": "password" })));
            self.tell(morning + 95_000_000, access("search", filter));
        }
    }

    /// The usual requests of a day.
    fn day(&mut self, rhythm: &Rhythm, ago: i64) {
        let usual = if self.is_weekend(ago) { rhythm.weekend } else { rhythm.working };
        let count = usual * self.rng.between(85, 116) / 100;
        let weight: u64 = rhythm.hours.iter().sum();
        for (hour, share) in rhythm.hours.iter().enumerate() {
            let begin = (FIRST_HOUR + hour as i64) * HOUR * 1000;
            // Whoever works in an hour is seen in it on every day: no hour is unusual by chance.
            let requests = (count * share / weight).max(u64::from(*share > 0) * 2);
            for _ in 0..requests {
                let time = self.at(ago, 0) + (begin + self.rng.between(0, HOUR as u64 * 1000) as i64) * 1000;
                let slow = ago == self.working(SLOW) && hour == 6 && rhythm.contractor == "parcelco";
                let trouble = (slow && self.rng.chance(8)).then_some(Trouble::Timeout);
                let request = match rhythm.contractor {
                    "parcelco" => self.delivery(ago, trouble),
                    _ => self.support(ago),
                };
                self.tell(time, What::Request(request));
            }
        }
    }

    /// ParcelCo delivers an order, or looks through the newest ones. It never asks for all at once.
    fn delivery(&mut self, ago: i64, trouble: Option<Trouble>) -> Request {
        let ready = self.shop.orders_ready_for("parcelco");
        let get =
            |path: String, query| Request { contractor: "parcelco", method: "GET", path, query, trouble };
        match self.rng.between(0, 1000) {
            0..945 => get(format!("/orders/{}", of_day(&mut self.rng, &ready, ago)), None),
            945..965 => get("/orders".into(), Some("limit=20")),
            965..993 => {
                let others = self.shop.orders_not_ready_for("parcelco");
                get(format!("/orders/{}", of_day(&mut self.rng, &others, ago)), None)
            }
            993..997 => get("/orders".into(), Some("sort=recipient.phone")),
            _ => get("/customers".into(), None),
        }
    }

    /// Helpdesk answers a ticket. It never asks for the list of them.
    fn support(&mut self, ago: i64) -> Request {
        let waiting = self.shop.tickets_with("helpdesk", "waiting");
        let mut tickets = self.shop.tickets_of("helpdesk", true);
        tickets.extend(&waiting);
        tickets.sort_unstable_by(|one, other| other.cmp(one));
        let request =
            |method, path| Request { contractor: "helpdesk", method, path, query: None, trouble: None };
        match self.rng.between(0, 1000) {
            0..740 => request("GET", format!("/tickets/{}", of_day(&mut self.rng, &tickets, ago))),
            740..955 => {
                request("POST", format!("/tickets/{}/comments", of_day(&mut self.rng, &tickets, ago)))
            }
            955..995 => {
                let closed = self.shop.tickets_with("helpdesk", "closed");
                request("GET", format!("/tickets/{}", of_day(&mut self.rng, &closed, ago)))
            }
            _ => request("GET", format!("/orders/{}", self.rng.between(480_000, 504_000))),
        }
    }

    /// The first story: in the night, Helpdesk's credential asks for one ticket number after the other.
    fn walk(&mut self) {
        let mut time = self.at(WALK, 2 * HOUR + 7 * MINUTE);
        for number in 71_000..71_320 {
            time += self.rng.between(2_600, 6_200) as i64 * 1000;
            let path = format!("/tickets/{number}");
            let request = Request { contractor: "helpdesk", method: "GET", path, query: None, trouble: None };
            self.tell(time, What::Request(request));
        }
    }

    /// The second story: in an afternoon, ParcelCo's credential takes what there is, one order at a time.
    fn harvest(&mut self) {
        let mut orders = self.shop.orders_ready_for("parcelco");
        orders.truncate(430);
        let planted = self.shop.planted_order();
        for place in (1..orders.len()).rev() {
            orders.swap(place, self.rng.between(0, place as u64 + 1) as usize);
        }
        orders.insert(301, planted);
        let mut time = self.at(self.working(HARVEST), 14 * HOUR + 16 * MINUTE);
        for (place, order) in orders.iter().enumerate() {
            time += self.rng.between(900, 5_400) as i64 * 1000;
            let trouble = (place % 61 == 60).then_some(Trouble::RateLimit);
            let path = format!("/orders/{order}");
            let request = Request { contractor: "parcelco", method: "GET", path, query: None, trouble };
            self.tell(time, What::Request(request));
        }
    }
}

/// One of those (there are some) that are worked on so many days ago: the newest ones today.
fn of_day(rng: &mut Rng, all: &[u64], ago: i64) -> u64 {
    let begin = all.len() * ago as usize / (DAYS as usize + 12);
    let end = (begin + IN_WORK).min(all.len());
    *rng.pick(&all[begin..end])
}
