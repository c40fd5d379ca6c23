//! A ledger of as many entries as are wanted, spread over the year up to now.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use fieldgate::ledger::{
    ActivatedRules, Dated, Disclosed, Disclosure, Draft, FieldEntry, Ledger, MaskedEntry, Parties,
    RecordCounts, RecordError, Refused, Request,
};
use fieldgate::model::{Country, Jurisdictions, SubjectPseudonym};

/// Each with its task and its country.
pub const CONTRACTORS: [(&str, &str, &str); 4] = [
    ("parcelco", "deliver-order", "NL"),
    ("helpdesk", "answer-ticket", "IE"),
    ("printshop", "print-labels", "DE"),
    ("insurer", "settle-claim", "CH"),
];

const RULES: &str = "36d57292a6e8bc8cddde2c01f1bd8aefab7e33571a5a4a012a95e215d1be7c42";

/// Writes entries until there are so many; how many there are.
pub async fn fill(ledger: Arc<Ledger>, entries: u64) -> Result<u64> {
    const WRITERS: u64 = 2048;
    let there = ledger.heads().borrow().size;
    let missing = entries.saturating_sub(there);
    let year = Year::new(entries);
    if there == 0 {
        // The rules are announced before anything is decided by them.
        ledger.record(draft(0, year.time(0))).await?;
    }
    let there = there.max(1);
    let tasks: Vec<_> = (0..WRITERS.min(missing))
        .map(|writer| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                for number in (there + writer..entries).step_by(WRITERS as usize) {
                    while let Err(error) = ledger.record(draft(number, year.time(number))).await {
                        anyhow::ensure!(error == RecordError::Overloaded, "{error}");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(entries.max(there))
}

pub fn customer(number: u64) -> SubjectPseudonym {
    // Spread as keyed names are.
    let mut name = [0; 16];
    let spread = (number % 250_000).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    name[..8].copy_from_slice(&spread.to_be_bytes());
    name[8..].copy_from_slice(&spread.rotate_left(17).to_be_bytes());
    SubjectPseudonym(name)
}

/// The year up to now.
#[derive(Clone, Copy)]
struct Year {
    now: i64,
    entries: u64,
}

impl Year {
    const MICROS: i64 = 365 * 86_400_000_000;

    fn new(entries: u64) -> Self {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Year { now: now.as_micros() as i64, entries }
    }

    /// When an entry was made. Nights are as busy as days, and weekends as weeks.
    fn time(self, number: u64) -> i64 {
        self.now - Year::MICROS + (number as f64 / self.entries as f64 * Year::MICROS as f64) as i64
    }
}

fn draft(number: u64, time: i64) -> Draft {
    let (contractor, task, to) = CONTRACTORS[(number % 7 % 4) as usize];
    let parties = Parties { contractor, credential: contractor };
    let request = Request { method: "GET", route: Some("/orders/{order_id}") };
    let id = uuid::Uuid::now_v7().to_string();
    if number == 0 {
        return Dated(time)
            .rules(id, &ActivatedRules { rules: RULES, contractors: vec!["parcelco"], change: None });
    }
    if number % 10 == 9 {
        let code = if number % 100_000 == 99_999 { "ledger-unavailable" } else { "not-found" };
        let refused =
            Refused { task: Some(task), status: 404, code, cause: None, not_written: 0, after_parts: 0 };
        return Dated(time).refusal(id, parties, request, RULES, &refused);
    }
    let country = |code| Country::new(code).unwrap_or_else(|_| unreachable!("a country"));
    let field = |path| FieldEntry {
        path,
        transform: None,
        disclosed: 1,
        withheld: 0,
        drifted: 0,
        masked: MaskedEntry::default(),
    };
    let contact = if contractor == "helpdesk" { "@.contact.email" } else { "@.recipient.phone" };
    Dated(time).disclosure(Disclosure {
        id,
        parties,
        request,
        rules: RULES,
        disclosed: Disclosed {
            task,
            purpose: "Deliver the customer's parcel",
            consent_purpose: None,
            basis: "contract",
            legal: None,
            agreement: "DPA-2026-014",
            jurisdictions: Jurisdictions { from: country("US"), to: country(to) },
            transfer: Some("scc"),
            upstream: "orders",
            status: 200,
            bytes: 199,
            records: RecordCounts { released: 1, withheld: 0, not_admitted: 0, without_subject: 0 },
            canaries: 0,
            members_withheld: 9,
            fields: vec![field("@.order_id"), field("@.recipient.name"), field(contact)],
            stream: None,
        },
        epoch: 1,
        subjects: vec![customer(number)],
        subjects_per_day: u64::MAX,
        decided: None,
    })
}
