//! What a customer consents or objects to, taken down.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::customer;
use crate::ledger::{ConsentOrder, Saying, Scope};

use super::super::super::guard::{Fault, Who};
use super::super::super::house::House;
use super::account::keyed;
use super::check;

/// Something that a customer said. `Debug` is not derived: it holds the id.
#[derive(Clone, Default, Deserialize, ToSchema)]
pub struct CustomerSays {
    /// As the upstream names the customer.
    pub customer: String,
    /// `grant`: consents, or objects no longer. `withdraw`: withdraws a consent, or objects.
    pub said: String,
    /// The purpose's id, as rules name it; all where it is left out.
    #[serde(default)]
    pub purpose: String,
    /// The contractor's id; all where it is left out.
    #[serde(default)]
    pub contractor: String,
    /// Why it is taken down; written to the ledger.
    pub reason: String,
    /// Where it was said: a form, a letter, another system.
    #[serde(default)]
    pub source: String,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub struct CustomerTaken {
    /// False where what is on file already says it, or is newer.
    pub changed: bool,
    pub granted: bool,
}

/// Takes it down. It is in force, and in the ledger, when this comes back.
pub async fn take(house: &Arc<House>, who: &Who, says: CustomerSays) -> Result<CustomerTaken, Fault> {
    let customer = says.customer.trim().to_owned();
    check(&customer, &says.reason, &[&says.source])?;
    let granted = match says.said.as_str() {
        "grant" => true,
        "withdraw" => false,
        _ => return Err(Fault::Wrong("Say what the customer said: grant, or withdraw.".into())),
    };
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let scope = Scope { purpose: given(&says.purpose), contractor: given(&says.contractor) };
    check_scope(house, &scope, granted)?;
    // What comes back says what is on file, also where nothing changes.
    let (epoch, names) = keyed(house, &customer).await?;
    let named: Vec<String> = names.last().map(ToString::to_string).into_iter().collect();
    let event =
        json!({ "reason": says.reason.trim(), "epoch": epoch, "subjects": named, "statement": says.said });
    house.note(who, "consent", event).await?;
    let saying = Saying { subject: customer, scope, granted, time: None, receipt: None };
    let order = ConsentOrder {
        said: vec![saying],
        by: who.name().to_owned(),
        reason: says.reason.trim().to_owned(),
        source: given(&says.source).unwrap_or_else(|| "review side".into()),
    };
    let taken = house.orders.consent(order).await.map_err(|error| match granted {
        true => Fault::Ledger(error),
        false => Fault::HalfDone(error),
    })?;
    Ok(CustomerTaken { changed: taken > 0, granted })
}

/// A slip must not pass for a withdrawal.
fn check_scope(house: &House, scope: &Scope, granted: bool) -> Result<(), Fault> {
    if granted && scope.purpose.is_none() && scope.contractor.is_none() {
        return Err(Fault::Wrong("Consent is to something: choose a purpose.".into()));
    }
    let plan = house.plan();
    let has_purpose = |name: &String| customer::purposes(&plan).iter().any(|(id, _)| id == name);
    let has_contractor = |name: &String| plan.contractors.iter().any(|one| one.id.as_str() == name);
    let unknown = [
        ("purpose", scope.purpose.as_ref().filter(|name| !has_purpose(name))),
        ("contractor", scope.contractor.as_ref().filter(|name| !has_contractor(name))),
    ];
    for (what, name) in unknown {
        // What rules do not name any more can still be withdrawn.
        if name.is_some_and(|name| granted || !house.consents.knows(name)) {
            return Err(Fault::Wrong(format!("No rule has such a {what}.")));
        }
    }
    Ok(())
}
