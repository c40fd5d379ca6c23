//! Entries to be.

use fieldgate::ledger::{
    ActivatedRules, Dated, Disclosed, Disclosure, Draft, FieldEntry, MaskedEntry, OwnKind, Parties,
    RecordCounts, Refused, Request, Signal,
};
use fieldgate::model::{Country, Jurisdictions, Subject, SubjectKey, SubjectPseudonym};
use serde_json::json;
use uuid::Uuid;

pub const CONTRACTORS: [&str; 3] = ["parcelco", "helpdesk", "printshop"];

/// The digest of the rules that all entries were decided by.
const RULES: &str = "d";

/// What names customers.
pub const KEY: [u8; SubjectKey::LENGTH] = [7; SubjectKey::LENGTH];

/// The name of customer `c-NUMBER`.
pub fn customer(number: u64) -> SubjectPseudonym {
    SubjectKey::new(&KEY).pseudonym(Subject::new(&format!("c-{number}")))
}

fn id() -> String {
    Uuid::now_v7().to_string()
}

/// The first entry of a ledger: the rules are announced before anything is decided by them.
pub fn rules() -> Draft {
    Draft::rules(id(), &announced())
}

fn announced() -> ActivatedRules<'static> {
    ActivatedRules { rules: RULES, contractors: CONTRACTORS.to_vec(), change: None }
}

fn parties(contractor: &str) -> Parties<'_> {
    Parties { contractor, credential: "gateway" }
}

pub fn refusal(contractor: &str) -> Draft {
    refusal_because(contractor, None)
}

/// One that takes about as many bytes as an entry may.
pub fn long_refusal(contractor: &str) -> Draft {
    refusal_because(contractor, Some(&"x".repeat(60_000)))
}

fn refusal_because(contractor: &str, cause: Option<&str>) -> Draft {
    let request = Request { method: "GET", route: None };
    Draft::refusal(id(), parties(contractor), request, RULES, &Refused { cause, ..refused() })
}

fn refused() -> Refused<'static> {
    Refused {
        task: Some("deliver-order"),
        status: 404,
        code: "not-found",
        cause: None,
        not_written: 0,
        after_parts: 0,
    }
}

/// A response about these customers.
pub fn disclosure<'a>(contractor: &'a str, customers: &[u64]) -> Disclosure<'a> {
    let country = |code| Country::new(code).unwrap();
    let field = |path, transform| FieldEntry {
        path,
        transform,
        disclosed: customers.len() as u64,
        withheld: 0,
        drifted: 0,
        masked: MaskedEntry::default(),
    };
    Disclosure {
        id: id(),
        parties: parties(contractor),
        request: Request { method: "GET", route: Some("/orders/{order_id}") },
        rules: RULES,
        disclosed: Disclosed {
            task: "deliver-order",
            purpose: "Deliver the customer's parcel",
            consent_purpose: None,
            basis: "contract",
            legal: None,
            agreement: "DPA-1",
            jurisdictions: Jurisdictions { from: country("US"), to: country("NL") },
            transfer: Some("scc"),
            upstream: "orders",
            status: 200,
            bytes: 199,
            records: RecordCounts {
                released: customers.len() as u64,
                withheld: 0,
                not_admitted: 0,
                without_subject: 0,
            },
            canaries: 0,
            members_withheld: 9,
            fields: vec![field("@.recipient.name", None), field("@.recipient.phone", Some("last4"))],
            stream: None,
        },
        epoch: 1,
        subjects: customers.iter().map(|number| customer(*number)).collect(),
        subjects_per_day: u64::MAX,
        decided: None,
    }
}

/// The same history each time, entry by entry, but for the salts: the times are from `began` on, in microseconds since
/// 1970-01-01T00:00:00Z.
pub fn history(began: i64) -> Vec<Draft> {
    let event = |at: usize| (Dated(began + at as i64 * 1000), Uuid::from_u128(at as u128 + 1).to_string());
    let many: Vec<u64> = (0..1200).collect();
    let draft = |at: usize| {
        let (dated, id) = event(at);
        let contractor = CONTRACTORS[at % 7 % 3];
        match at {
            0 => dated.rules(id, &announced()),
            40 => dated.disclosure(Disclosure { id, ..disclosure(contractor, &many) }),
            50 => dated.own(OwnKind::Access, id, &json!({ "by": "anna", "action": "query" })),
            60 => {
                let said = json!({ "by": "anna", "action": "withdrawn", "towards": "parcelco", "said": began,
                    "epoch": 1, "subjects": [customer(3).to_string()] });
                dated.own(OwnKind::Consent, id, &said)
            }
            70 => {
                let told = json!({ "contractor": "parcelco", "action": "suspended", "by": "otto", "reason": "lost" });
                dated.own(OwnKind::Suspension, id, &told)
            }
            80 => {
                let details = json!({ "numbers": 20, "pattern": "sequential" });
                let (credential, task, route, entries) =
                    (None, Some("deliver-order"), None, vec![event(79).1]);
                let (signal, details) = ("enumeration", &details);
                dated.signal(id, &Signal { signal, contractor, credential, task, route, details, entries })
            }
            at if at % 5 == 4 => {
                let request = Request { method: "GET", route: Some("/orders/{order_id}") };
                dated.refusal(id, parties(contractor), request, RULES, &refused())
            }
            at => dated.disclosure(Disclosure { id, ..disclosure(contractor, &[at as u64 % 11]) }),
        }
    };
    (0..300).map(draft).collect()
}
