//! What happened in these weeks, and when.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::ledger::{OwnKind, SuspensionAction};

use super::super::shop::Shop;
use super::{REVIEWER, SECOND, reviewed};

/// Off hours are told of a contractor that has called for four weeks: the night must not come before.
const DAYS: i64 = 42;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Days ago.
const NIGHT: i64 = 9;
const HARVEST: i64 = 3;
const BAD_HOUR: i64 = 5;
const NEW_RULES: i64 = 14;
const RELEASE: i64 = 6;

/// Numbers that are tried in the night, around the planted one.
const TRIED: u64 = 90;
/// Lists of 100 orders that are read in the afternoon.
const PAGES: u64 = 12;

/// The sample contractors call from this machine, then as now.
const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [192, 0, 2, 77];

/// Something that happened.
pub struct Happening {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    pub act: Act,
}

pub enum Act {
    Call {
        contractor: &'static str,
        method: &'static str,
        path: String,
        body: &'static str,
        source: IpAddr,
        /// Status and code of a refusal that has its reason elsewhere.
        fault: Option<(u16, &'static str)>,
    },
    Own {
        kind: OwnKind,
        event: Value,
    },
    Suspension {
        action: SuspensionAction,
        by: &'static str,
        reason: &'static str,
    },
    NewRules,
    /// From now on the shop's answers have a field that they had not before.
    Release,
}

/// A sequence of numbers that look like chance and are always the same.
struct Chance(u64);

impl Chance {
    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    fn pick(&mut self, list: &[u64]) -> u64 {
        list.get(self.below(list.len() as u64) as usize).copied().unwrap_or_default()
    }
}

fn call(time: i64, contractor: &'static str, path: String) -> Happening {
    let source = IpAddr::from(HERE);
    Happening { time, act: Act::Call { contractor, method: "GET", path, body: "", source, fault: None } }
}

fn refused(time: i64, contractor: &'static str, path: String, status: u16, code: &'static str) -> Happening {
    let mut happening = call(time, contractor, path);
    if let Act::Call { fault, .. } = &mut happening.act {
        *fault = Some((status, code));
    }
    happening
}

/// All of it, in order.
pub fn happenings(shop: &Shop, now: i64) -> Vec<Happening> {
    let mut chance = Chance(2026);
    let mut all = Vec::new();
    let today = now.div_euclid(DAY);
    let lists = Lists {
        ready: shop.orders_ready_for("parcelco"),
        others: shop.orders_not_ready_for("parcelco"),
        open: shop.tickets_of("helpdesk", true),
        closed: shop.tickets_of("helpdesk", false),
    };
    for day in today - DAYS..=today {
        // 1970-01-01 was a Thursday.
        let is_weekend = (day + 3).rem_euclid(7) >= 5;
        usual_day(day, is_weekend, &lists, &mut chance, &mut all);
    }
    night((today - NIGHT) * DAY + 2 * HOUR + 11 * MINUTE, shop, &mut all);
    harvest((today - HARVEST) * DAY + 15 * HOUR + 2 * MINUTE, &mut all);
    bad_hour((today - BAD_HOUR) * DAY + 10 * HOUR + 20 * MINUTE, &lists, &mut chance, &mut all);
    all.push(Happening { time: (today - NEW_RULES) * DAY + 9 * HOUR + 30 * MINUTE, act: Act::NewRules });
    all.push(Happening { time: (today - RELEASE) * DAY + 6 * HOUR + 12 * MINUTE, act: Act::Release });
    people(today, &mut all);
    all.retain(|happening| happening.time < now - 5 * SECOND);
    all.sort_by_key(|happening| happening.time);
    all
}

struct Lists {
    ready: Vec<u64>,
    others: Vec<u64>,
    open: Vec<u64>,
    closed: Vec<u64>,
}

fn usual_day(day: i64, is_weekend: bool, lists: &Lists, chance: &mut Chance, all: &mut Vec<Happening>) {
    let (parcels, tickets) =
        if is_weekend { (80, 20) } else { (300 + chance.below(70), 130 + chance.below(50)) };
    let at = |from: i64, hours: u64, chance: &mut Chance| {
        day * DAY + from * HOUR + chance.below(hours * 3_600_000_000) as i64
    };
    for _ in 0..parcels {
        let time = at(5, 13, chance);
        let happening = match chance.below(100) {
            0..=89 => call(time, "parcelco", format!("/orders/{}", chance.pick(&lists.ready))),
            90..=93 => call(time, "parcelco", "/orders?limit=20".to_owned()),
            94..=97 => call(time, "parcelco", format!("/orders/{}", chance.pick(&lists.others))),
            98 => refused(time, "parcelco", "/orders".to_owned(), 400, "parameter-not-permitted"),
            _ => refused(time, "parcelco", "/orders".to_owned(), 429, "rate-limited"),
        };
        all.push(happening);
    }
    // Helpdesk never asks for the list of tickets, nor ParcelCo for all orders at once: a review finds that.
    for _ in 0..tickets {
        let time = at(8, 10, chance);
        let ticket = chance.pick(&lists.open);
        let happening = match chance.below(100) {
            0..=79 => call(time, "helpdesk", format!("/tickets/{ticket}")),
            80..=95 => {
                let mut comment = call(time, "helpdesk", format!("/tickets/{ticket}/comments"));
                if let Act::Call { method, body, .. } = &mut comment.act {
                    (*method, *body) = ("POST", "{\"comment\":\"We are on it.\"}");
                }
                comment
            }
            _ => call(time, "helpdesk", format!("/tickets/{}", chance.pick(&lists.closed))),
        };
        all.push(happening);
    }
}

/// Somebody with Helpdesk's credential tries ticket numbers, from a network that it never called from.
fn night(start: i64, shop: &Shop, all: &mut Vec<Happening>) {
    let Some(planted) = shop.planted_ticket() else { return };
    for at in 0..TRIED {
        let path = format!("/tickets/{}", planted - TRIED / 2 + at);
        let mut tried = call(start + at as i64 * 4 * SECOND, "helpdesk", path);
        if let Act::Call { source, .. } = &mut tried.act {
            *source = IpAddr::from(ELSEWHERE);
        }
        all.push(tried);
    }
    let morning = start + 5 * HOUR;
    let suspension = |after: i64, action, by, reason| Happening {
        time: morning + after,
        act: Act::Suspension { action, by, reason },
    };
    all.push(suspension(
        0,
        SuspensionAction::Suspended,
        REVIEWER,
        "Ticket numbers were tried at night; asked Helpdesk",
    ));
    let answered = "Helpdesk: a script of somebody who has left; it is switched off";
    all.push(suspension(4 * HOUR, SuspensionAction::Resumed, "operator", answered));
}

/// All orders, page by page.
fn harvest(start: i64, all: &mut Vec<Happening>) {
    for page in 0..PAGES {
        let path = format!("/orders?cursor=o{}&limit=100", page * 100);
        all.push(call(start + page as i64 * 20 * SECOND, "parcelco", path));
    }
}

/// The support API is slow.
fn bad_hour(start: i64, lists: &Lists, chance: &mut Chance, all: &mut Vec<Happening>) {
    for at in 0..14 {
        let path = format!("/tickets/{}", chance.pick(&lists.open));
        all.push(refused(start + at * 90 * SECOND, "helpdesk", path, 504, "upstream-timeout"));
    }
}

/// What the company's own people did.
fn people(today: i64, all: &mut Vec<Happening>) {
    for day in (today - DAYS..today).filter(|day| (day + 3).rem_euclid(7) < 5) {
        let time = day * DAY + 7 * HOUR + 3 * MINUTE;
        let sign_in = reviewed("sign-in", json!({ "with": "password" }));
        all.push(Happening { time, act: Act::Own { kind: OwnKind::Access, event: sign_in } });
    }
    let looked =
        reviewed("search", json!({ "filter": { "contractor": "helpdesk", "outcome": "not-found" } }));
    let time = (today - NIGHT) * DAY + 7 * HOUR + 5 * MINUTE;
    all.push(Happening { time, act: Act::Own { kind: OwnKind::Access, event: looked } });
    let export = reviewed(
        "export",
        json!({ "filter": { "contractor": "parcelco" }, "form": "csv", "reason": "Monthly report" }),
    );
    let time = (today - 20) * DAY + 13 * HOUR;
    all.push(Happening { time, act: Act::Own { kind: OwnKind::Access, event: export } });
}
