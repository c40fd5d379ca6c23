//! What an entry says, in words, in the order in which somebody asks.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::ledger::{View, plain_field};

use super::super::super::words;

/// Something that an entry says, in words.
#[derive(Serialize, ToSchema)]
pub struct Fact {
    pub name: String,
    pub value: String,
}

/// A field, and how often it left.
#[derive(Serialize, ToSchema)]
pub struct FieldOf {
    pub path: String,
    pub words: String,
    pub transform: Option<String>,
    pub disclosed: u64,
    pub withheld: u64,
    /// Of the withheld ones, those that are not what the rule says.
    pub drifted: u64,
    /// What was masked in the values that left.
    pub masked: Option<String>,
}

/// Members that have a place of their own on the page. All others are shown by their names.
const PLACED: [&str; 44] = [
    "v",
    "kind",
    "id",
    "time",
    "salt",
    "index",
    "sequence",
    "node",
    "contractor",
    "credential",
    "method",
    "route",
    "rules",
    "task",
    "purpose",
    "consent_purpose",
    "towards",
    "basis",
    "legal",
    "agreement",
    "jurisdictions",
    "transfer",
    "upstream",
    "status",
    "code",
    "cause",
    "bytes",
    "records",
    "members_withheld",
    "canary",
    "fields",
    "stream",
    "subjects_total",
    "part",
    "parts",
    "epoch",
    "subjects",
    "signal",
    "details",
    "entries",
    "by",
    "role",
    "action",
    "reason",
];

pub fn all(view: &View, content: &Value) -> Vec<Fact> {
    let mut facts = Facts::default();
    facts.people(view, content);
    facts.ground(view);
    facts.call(view, content);
    facts.records(view, content);
    facts.rest(view, content);
    facts.0
}

#[derive(Default)]
struct Facts(Vec<Fact>);

impl Facts {
    fn add(&mut self, name: &str, value: Option<impl Into<String>>) {
        let value = value.map(Into::into).filter(|value: &String| !value.is_empty());
        self.0.extend(value.map(|value| Fact { name: name.to_owned(), value }));
    }

    fn text(&mut self, name: &str, value: &Option<Cow<str>>) {
        self.add(name, value.as_deref());
    }

    fn people(&mut self, view: &View, content: &Value) {
        self.add("When", Some(words::time(view.time)));
        self.add("Node", view.node.as_ref().map(|node| format!("{node}, its entry {}", view.index)));
        self.text("Who", &view.by);
        self.add("With the role", content["role"].as_str());
        self.text("Did what", &view.action);
        self.text("Reason", &view.reason);
        self.text("Contractor", &view.contractor);
        self.text("Credential", &view.credential);
    }

    fn ground(&mut self, view: &View) {
        self.text("Task", &view.task);
        self.text("Purpose", &view.purpose);
        self.add("Legal basis", view.basis.as_deref().map(basis));
        if let Some(legal) = &view.legal {
            let approved = legal.approved_by.join(" and ");
            let text = format!(
                "case {} of {}, approved by {approved}, until {}",
                legal.case, legal.authority, legal.expires
            );
            self.add("Legal grant", Some(text));
            let until = legal.hold_until.as_deref();
            let reference = legal.hold_reference.as_deref().unwrap_or_default();
            self.add("The customer is not told", until.map(|until| format!("before {until} ({reference})")));
        }
        self.text("Agreement", &view.agreement);
        self.text("From where to where", &view.jurisdictions);
        self.text("Transfer by", &view.transfer);
    }

    fn call(&mut self, view: &View, content: &Value) {
        let method = view.method.as_deref().unwrap_or_default();
        self.add("Called", view.route.as_deref().map(|route| format!("{method} {route}")));
        self.text("Upstream", &view.upstream);
        self.add("Status", view.status.map(|status| status.to_string()));
        self.text("Refused because", &view.code);
        self.add("Cause", content["cause"].as_str());
        self.add("Size of the answer", view.bytes.map(words::bytes));
    }

    fn records(&mut self, view: &View, content: &Value) {
        if let Some(records) = view.records {
            self.add("Records that left", Some(words::number(records.released)));
            let not_admitted = content["records"]["not_admitted"].as_u64().unwrap_or_default();
            self.add("Records that stayed", stayed(records.withheld, not_admitted));
            let without = Some(records.without_subject).filter(|count| *count > 0);
            self.add("Records without a customer", without.map(words::number));
        }
        self.add("Customers", view.subjects_total.map(words::number));
        self.add("Members beside allowed ones that stayed", view.members_withheld.map(words::number));
        let part = view
            .stream
            .map(|stream| format!("{}{}", stream.part, if stream.last { ", the last" } else { "" }));
        self.add("Part of the response", part);
        self.add("Planted customer", view.canary.then_some("yes: nobody has a reason to ask for it"));
    }

    fn rest(&mut self, view: &View, content: &Value) {
        self.text("Signal", &view.signal);
        self.text("Consent purpose", &view.consent_purpose);
        self.text("Towards", &view.towards);
        self.add("Key epoch", view.epoch.map(|epoch| epoch.to_string()));
        self.add("Number among the contractor's entries", view.sequence.map(words::number));
        self.add("Id", Some(view.id.as_ref()));
        let is_placed = |name: &str| {
            PLACED.contains(&name) || (view.kind == "rules" && matches!(name, "before" | "changes"))
        };
        let others = content.as_object().into_iter().flatten().filter(|(name, _)| !is_placed(name));
        for (name, value) in others {
            self.add(&spaced(name), Some(plain(value)));
        }
    }
}

/// How many records stayed, and why.
fn stayed(all: u64, not_admitted: u64) -> Option<String> {
    const CUSTOMER: &str = "because of the customer: no consent, an objection, or not named by the grant";
    const CONDITION: &str = "the condition of the rule does not hold";
    match (all, not_admitted) {
        (0, _) => None,
        (all, 0) => Some(format!("{}: {CONDITION}", words::number(all))),
        (all, no) if no >= all => Some(format!("{}: {CUSTOMER}", words::number(all))),
        (all, no) => Some(format!(
            "{}: {} {CUSTOMER}; for the others {CONDITION}",
            words::number(all),
            words::number(no)
        )),
    }
}

/// What signals found, or what changed in the rules.
pub fn findings(content: &Value) -> Vec<Fact> {
    let details = content["details"].as_object().into_iter().flatten();
    let details = details.map(|(name, value)| Fact { name: spaced(name), value: plain(value) });
    let changes = content["changes"].as_array().into_iter().flatten().map(|change| {
        let said = |name: &str| change[name].as_str();
        let place = ["contractor", "task", "route"].into_iter().filter_map(said);
        let what = said("what").unwrap_or_default();
        let name = spaced(said("effect").unwrap_or("changes"));
        Fact { name, value: format!("{}: {what}", place.collect::<Vec<_>>().join(", ")) }
    });
    details.chain(changes).collect()
}

pub fn fields(view: &View, content: &Value) -> Vec<FieldOf> {
    let masked = |at: usize| {
        let kinds = content["fields"][at]["masked"].as_object()?;
        let kinds = kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
        Some(kinds.collect::<Vec<_>>().join(", "))
    };
    let fields = view.fields.iter().enumerate();
    fields
        .map(|(at, field)| FieldOf {
            path: field.path.to_string(),
            words: plain_field(&field.path, None),
            transform: field.transform.as_deref().map(str::to_owned),
            disclosed: field.disclosed,
            withheld: field.withheld,
            drifted: field.drifted,
            masked: masked(at),
        })
        .collect()
}

/// With the point of GDPR, Article 6(1), that it is.
fn basis(word: &str) -> String {
    match word {
        "contract" => "contract (GDPR, Article 6(1)(b))".to_owned(),
        "consent" => "consent (GDPR, Article 6(1)(a))".to_owned(),
        "legal-obligation" => "legal obligation (GDPR, Article 6(1)(c))".to_owned(),
        other => other.to_owned(),
    }
}

fn spaced(name: &str) -> String {
    let text = name.replace('_', " ");
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name}: {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
