//! The record of processing activities (GDPR, Article 30, in form), from configuration and rules.
//!
//! **Guarantees.** It says what the rules say, and where they say nothing, that something is to be filled in.
//! It holds no customer's data and no credential.
//!
//! **Trusts** the authors of the rules. **Must not** read the ledger. **Called by** `fieldgate report`.

mod page;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::config::Config;
use crate::model::{Basis, TransferMechanism};
use crate::rules::{Contractor, Plan, Task};

pub use page::{PageError, html};

/// What stands where nothing is configured.
const TO_FILL_IN: &str = "(to be filled in: [organisation] of fieldgate.toml)";
const NOT_CATEGORISED: &str = "not categorised";

/// The record. Its JSON is stable: members are added, never renamed.
#[derive(Debug, Serialize)]
pub struct Record {
    pub controller: Controller,
    /// The state of the rules, as the ledger names it.
    pub rules: String,
    pub activities: Vec<Activity>,
    pub retention: Vec<Period>,
    /// Article 30(1)(g), in general terms.
    pub security: Vec<&'static str>,
}

/// Article 30(1)(a).
#[derive(Debug, Serialize)]
pub struct Controller {
    pub name: String,
    pub contact: String,
    pub dpo: String,
    pub jurisdiction: String,
}

/// What one contractor does for one purpose.
#[derive(Debug, Serialize)]
pub struct Activity {
    pub recipient: Recipient,
    pub task: String,
    pub purpose: String,
    pub basis: &'static str,
    pub basis_words: &'static str,
    /// Categories of persons.
    pub subjects: Vec<&'static str>,
    pub categories: Vec<Category>,
    pub transfer: Transfer,
}

/// Article 30(1)(d).
#[derive(Clone, Debug, Serialize)]
pub struct Recipient {
    pub id: String,
    pub name: String,
    pub service: String,
    pub contact: String,
    pub agreement: String,
    pub effective: String,
    pub expires: String,
}

/// Fields of one category (Article 30(1)(c)).
#[derive(Debug, Serialize)]
pub struct Category {
    /// A data category of fideslang, or `not categorised`.
    pub category: &'static str,
    pub fields: Vec<String>,
}

/// Article 30(1)(e).
#[derive(Debug, Serialize)]
pub struct Transfer {
    pub from: String,
    pub to: String,
    pub crosses_border: bool,
    pub mechanism: Option<&'static str>,
    pub mechanism_words: &'static str,
}

/// How long the ledger keeps what (Article 30(1)(f)).
#[derive(Debug, Serialize)]
pub struct Period {
    pub of: &'static str,
    pub days: u32,
}

/// Makes the record.
pub fn record(config: &Config, plan: &Plan) -> Record {
    let told = |text: &Option<String>| text.clone().unwrap_or_else(|| TO_FILL_IN.to_owned());
    let organisation = &config.organisation;
    let activities = plan
        .contractors
        .iter()
        .flat_map(|contractor| {
            contractor.tasks.iter().enumerate().map(|(at, task)| activity(contractor, at, task))
        })
        .collect();
    let retention = config.ledger.retention;
    Record {
        controller: Controller {
            name: told(&organisation.name.clone().or_else(|| config.company.clone())),
            contact: told(&organisation.contact),
            dpo: told(&organisation.dpo),
            jurisdiction: config.jurisdiction.to_string(),
        },
        rules: plan.digest.as_str().to_owned(),
        activities,
        retention: vec![
            Period { of: "entries about disclosures (no customer's data)", days: retention.disclosures },
            Period { of: "entries about refusals", days: retention.refusals },
            Period { of: "entries about access to the ledger", days: retention.access },
        ],
        security: SECURITY.to_vec(),
    }
}

const SECURITY: [&str; 6] = [
    "Encryption in transit: TLS 1.2 and 1.3 between contractor and gateway",
    "Access by credential: each contractor's own certificates, keys or tokens, which can be revoked at once",
    "Data minimisation: each task has a list of the fields that may leave; masking, shortening and pseudonyms \
     where less than the full value serves",
    "Accountability: each disclosure is in a tamper-evident ledger before its first byte leaves",
    "Limits on requests and on distinct customers in a day",
    "The gateway stores no customer's data; the ledger names customers by keyed hashes",
];

fn activity(contractor: &Contractor, at: usize, task: &Task) -> Activity {
    let mut categories: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let mut has_subject = false;
    for route in contractor.routes.iter().filter(|route| route.task == at) {
        has_subject |= route.selection.subject.is_some();
        for field in &route.fields {
            let fields = categories.entry(field.category.unwrap_or(NOT_CATEGORISED)).or_default();
            fields.insert(match field.treatment {
                Some(treatment) => format!("{} ({treatment})", field.path),
                None => field.path.clone(),
            });
        }
    }
    let agreement = &contractor.agreement;
    let jurisdictions = &contractor.jurisdictions;
    let crosses_border = jurisdictions.from != jurisdictions.to;
    let category = |(category, fields): (&'static str, BTreeSet<String>)| Category {
        category,
        fields: fields.into_iter().collect(),
    };
    Activity {
        recipient: Recipient {
            id: contractor.id.to_string(),
            name: contractor.name.clone(),
            service: contractor.service.clone(),
            contact: contractor.contact.clone(),
            agreement: agreement.reference.clone(),
            effective: agreement.effective.to_string(),
            expires: agreement.expires.to_string(),
        },
        task: task.id.to_string(),
        purpose: task.purpose.clone(),
        basis: task.basis.as_str(),
        basis_words: basis(task.basis),
        subjects: if has_subject { vec!["customers"] } else { vec!["customers (no route names a subject)"] },
        categories: categories.into_iter().map(category).collect(),
        transfer: Transfer {
            from: jurisdictions.from.to_string(),
            to: jurisdictions.to.to_string(),
            crosses_border,
            mechanism: agreement.transfer.filter(|_| crosses_border).map(TransferMechanism::as_str),
            mechanism_words: match agreement.transfer {
                _ if !crosses_border => "none needed: the data stays in the country",
                Some(mechanism) => transfer(mechanism),
                None => "none declared",
            },
        },
    }
}

/// GDPR, Article 6(1), points (a) to (c).
fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Contract => "Contract: Article 6(1)(b)",
        Basis::Consent => "Consent: Article 6(1)(a)",
        Basis::LegalObligation => "Legal obligation: Article 6(1)(c)",
    }
}

/// GDPR, Articles 45 to 49.
fn transfer(mechanism: TransferMechanism) -> &'static str {
    match mechanism {
        TransferMechanism::Adequacy => "adequacy decision (Article 45)",
        TransferMechanism::StandardContractualClauses => "standard contractual clauses (Article 46(2)(c))",
        TransferMechanism::BindingCorporateRules => "binding corporate rules (Article 47)",
        TransferMechanism::Derogation => "derogation for a specific situation (Article 49)",
    }
}
