//! The account of one customer, for the company's own people.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::customer::{self, Period};
use crate::ledger::{self, Accounting, Ground, Group, Recipients};
use crate::model::{Subject, SubjectPseudonym};

use super::super::super::guard::{Fault, Who, blocking};
use super::super::super::house::House;
use super::super::super::store::now;
use super::{CustomerAsked, check};

/// Entries that are named for each use, the newest.
const SHOWN: usize = 8;

/// What was disclosed about one customer, and what is on file of their consents.
#[derive(Serialize, ToSchema)]
pub struct CustomerAccount {
    pub customer: String,
    pub prepared: i64,
    pub since: Option<i64>,
    /// Exclusive.
    pub until: Option<i64>,
    pub disclosures: u64,
    /// The one with the newest disclosure is first.
    pub companies: Vec<CustomerCompany>,
    #[serde(flatten)]
    pub on_file: CustomerStatements,
    /// Uses of legal grants that are left out, because the customer must not be told yet. For the company alone.
    pub held: u64,
    /// The content of older entries was deleted.
    pub deleted_before: Option<i64>,
    /// Key epochs whose entries cannot be linked to anybody any more.
    pub unreadable_epochs: u32,
    /// Entries in the ledger, and the root of its tree in base64.
    pub tree_size: u64,
    pub root: String,
}

/// A contractor that got something.
#[derive(Serialize, ToSchema)]
pub struct CustomerCompany {
    pub id: String,
    pub name: String,
    pub service: String,
    pub contact: String,
    pub count: u64,
    pub last: i64,
    pub uses: Vec<CustomerUse>,
}

/// Disclosures that differ in their time only.
#[derive(Serialize, ToSchema)]
pub struct CustomerUse {
    pub purpose: String,
    /// In plain words, as the others.
    pub basis: String,
    pub agreement: String,
    pub country: String,
    pub transfer: Option<String>,
    pub fields: Vec<String>,
    pub count: u64,
    /// Of the count: responses that were about others too, so that not all fields need be this customer's.
    pub in_list: u64,
    pub first: i64,
    pub last: i64,
    /// The numbers of the newest entries.
    pub entries: Vec<u64>,
    pub entries_total: u64,
}

/// What is on file of a customer.
#[derive(Serialize, ToSchema)]
pub struct CustomerStatements {
    /// It is known what customers said. Where it is not, nothing leaves on basis `consent`.
    pub known: bool,
    pub statements: Vec<CustomerStatement>,
}

/// The newest thing that a customer said about one purpose and contractor.
#[derive(Serialize, ToSchema)]
pub struct CustomerStatement {
    /// All purposes where it is left out; the contractor likewise.
    pub purpose: Option<String>,
    pub contractor: Option<String>,
    pub granted: bool,
    pub time: i64,
}

/// What a search needs.
pub struct Asked {
    pub customer: String,
    pub names: Vec<SubjectPseudonym>,
    pub period: Period,
}

/// Writes that somebody asks, and only then says what is to be searched for.
///
/// # Errors
/// Where the question is not one, or the entry is not durable.
pub async fn ask(house: &Arc<House>, who: &Who, action: &str, asked: CustomerAsked) -> Result<Asked, Fault> {
    let CustomerAsked { customer, reason, from, to } = asked;
    let customer = customer.trim().to_owned();
    check(&customer, &reason, &[])?;
    let period = Period {
        since: day(&from)?.map(start).transpose()?,
        until: day(&to)?.map(|day| day.tomorrow().map_err(|_| not_a_day()).and_then(start)).transpose()?,
    };
    let (epoch, names) = keyed(house, &customer).await?;
    let named: Vec<String> = names.last().map(ToString::to_string).into_iter().collect();
    let event = json!({ "reason": reason.trim(), "epoch": epoch, "subjects": named });
    house.note(who, action, event).await?;
    Ok(Asked { customer, names, period })
}

/// The key epoch of today, and the names of a customer in the ledger.
pub async fn keyed(house: &House, customer: &str) -> Result<(u32, Vec<SubjectPseudonym>), Fault> {
    let (files, id) = (house.config.ledger.clone(), customer.to_owned());
    blocking(move || {
        let keys = ledger::subject_keys(&files.subject_key, &files.path)?;
        Ok::<_, anyhow::Error>((keys.current().number, keys.pseudonyms(Subject::new(&id))))
    })
    .await
}

fn not_a_day() -> Fault {
    Fault::Wrong("Write days as 2026-01-31; they begin and end in UTC.".into())
}

fn day(text: &str) -> Result<Option<Date>, Fault> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| not_a_day()) }
}

fn start(day: Date) -> Result<i64, Fault> {
    let start = Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).map_err(|_| not_a_day())?;
    Ok(start.as_microsecond())
}

/// The account, once the ledger has an entry about it.
pub async fn load(house: &Arc<House>, who: &Who, asked: CustomerAsked) -> Result<CustomerAccount, Fault> {
    let asked = ask(house, who, "account", asked).await?;
    let house = Arc::clone(house);
    blocking(move || build(&house, asked)).await
}

/// What is on file, once the ledger has an entry about it.
pub async fn statements(
    house: &Arc<House>,
    who: &Who,
    asked: CustomerAsked,
) -> Result<CustomerStatements, Fault> {
    let asked = ask(house, who, "consents", asked).await?;
    Ok(on_file(house, &asked.customer))
}

fn on_file(house: &House, customer: &str) -> CustomerStatements {
    let mut statements: Vec<CustomerStatement> = house
        .consents
        .of(customer)
        .into_iter()
        .map(|known| CustomerStatement {
            purpose: known.scope.purpose,
            contractor: known.scope.contractor,
            granted: known.granted,
            time: known.time,
        })
        .collect();
    statements.sort_by_key(|said| std::cmp::Reverse(said.time));
    CustomerStatements { known: house.consents.is_known(), statements }
}

fn build(house: &House, asked: Asked) -> anyhow::Result<CustomerAccount> {
    let (search, plan) = (house.whole()?, house.plan());
    let accounting = customer::account(&search, asked.names, asked.period, Some(&plan))?;
    let Period { since, until } = asked.period;
    let deleted = customer::deleted_before(&search)?;
    Ok(CustomerAccount {
        prepared: now(),
        since,
        until,
        disclosures: accounting.disclosures,
        companies: companies(&accounting, &customer::recipients(Some(&plan))),
        on_file: on_file(house, &asked.customer),
        held: accounting.held,
        deleted_before: deleted.filter(|before| since.is_none_or(|since| since < *before)),
        unreadable_epochs: ledger::destroyed_epochs(&house.config.ledger.subject_key),
        tree_size: search.log().size(),
        root: search.log().root().unwrap_or_default(),
        customer: asked.customer,
    })
}

fn companies(accounting: &Accounting, recipients: &Recipients) -> Vec<CustomerCompany> {
    let by_recipient = accounting.groups.chunk_by(|one, next| one.ground.recipient == next.ground.recipient);
    let companies = by_recipient.filter_map(|groups| {
        let id = &groups.first()?.ground.recipient;
        let known = recipients.0.get(id);
        Some(CustomerCompany {
            id: id.clone(),
            // One that today's rules do not know any more goes by its id.
            name: known.map_or_else(|| id.clone(), |known| known.name.clone()),
            service: known.map(|known| known.service.clone()).unwrap_or_default(),
            contact: known.and_then(|known| known.contact.clone()).unwrap_or_default(),
            count: groups.iter().map(|group| group.tally.count).sum(),
            last: groups.iter().map(|group| group.tally.last).max()?,
            uses: groups.iter().map(one_use).collect(),
        })
    });
    companies.collect()
}

/// As colleagues say it; the customer's copy says it to the customer.
fn basis(ground: &Ground) -> String {
    match (&ground.case, ground.basis.as_deref()) {
        (None, Some("contract")) => "Contract with the customer".to_owned(),
        (None, Some("consent")) => "Consent of the customer".to_owned(),
        _ => ledger::basis_words(ground),
    }
}

fn one_use(Group { ground, tally }: &Group) -> CustomerUse {
    CustomerUse {
        purpose: ground.purpose.clone().unwrap_or_else(|| "Not recorded".into()),
        basis: basis(ground),
        agreement: ground.agreement.clone().unwrap_or_default(),
        country: ground.country.as_deref().map(ledger::country_name).unwrap_or_default().to_owned(),
        transfer: ground.transfer.as_deref().map(|word| ledger::transfer_words(word).to_owned()),
        fields: ground.fields.iter().map(ledger::field_words).collect(),
        count: tally.count,
        in_list: tally.in_list,
        first: tally.first,
        last: tally.last,
        entries: tally.entries.keys().rev().take(SHOWN).copied().collect(),
        entries_total: tally.entries_total,
    }
}
