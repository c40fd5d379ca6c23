//! The standing question: was anything disclosed about a customer who had withdrawn?
//!
//! It is answered by the order of entries; in a gathered ledger, where that is the order in which nodes signed, by the
//! times of entries. Customers are compared by their names in the ledger, so a withdrawal
//! speaks for its key epoch; what came in a later one cannot be linked to it, which is what epochs are for.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::super::gathered::Origins;
use super::super::query::{Order, Query, Search};
use super::super::view::View;
use super::super::{ConsentGround as Ground, StoreError};
use super::statement::{ALL, Number, Statement, withdrew};

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AfterWithdrawal {
    /// Withdrawals and objections that were looked at, one for each customer.
    pub withdrawals: u64,
    /// Disclosures that were held against them.
    pub disclosures: u64,
    /// Numbers of the entries that should not be; none.
    pub found: Vec<u64>,
}

/// By key epoch and name.
type Customer = (u32, String);

#[derive(Default)]
struct Look {
    numbers: HashMap<String, Number>,
    /// What each customer said that entries name.
    said: HashMap<Customer, Vec<Statement>>,
    /// Of the response that further entries list customers of.
    about: Option<(Ground, Number, Number)>,
    /// Of a gathered ledger: the same as `said`, with the times of the entries, before any disclosure is looked at.
    all: Option<HashMap<Customer, Vec<(i64, Statement)>>>,
    answer: AfterWithdrawal,
}

/// Looks at the whole ledger.
///
/// # Errors
/// Where it cannot be read.
pub fn after_withdrawal(search: &Search) -> Result<AfterWithdrawal, StoreError> {
    let mut look = Look::default();
    if Origins::open(search.log().folder())?.is_some() {
        look.all = Some(HashMap::new());
        let consents = Query { kind: Some("consent".to_owned()), ..Query::default() };
        search.each(&consents, Order::OldestFirst, |_, leaf| {
            if let Ok(view) = View::parse(leaf) {
                look.consent(&view);
            }
            Ok::<_, StoreError>(ControlFlow::Continue(()))
        })?;
        look.all
            .iter_mut()
            .flat_map(HashMap::values_mut)
            .for_each(|said| said.sort_by_key(|(time, _)| *time));
    }
    search.each(&Query::default(), Order::OldestFirst, |position, leaf| {
        if let Ok(view) = View::parse(leaf) {
            look.entry(position, &view);
        }
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    })?;
    Ok(look.answer)
}

impl Look {
    fn entry(&mut self, position: u64, view: &View) {
        match view.kind.as_ref() {
            "consent" if self.all.is_none() => self.consent(view),
            "disclosure" => {
                self.about = self.ground(view);
                self.answer.disclosures += 1;
                self.customers(position, view);
            }
            "subjects" => self.customers(position, view),
            _ => {}
        }
    }

    fn consent(&mut self, view: &View) {
        let granted = view.action.as_deref() == Some("granted");
        let purpose = view.purpose.as_deref().map_or(ALL, |name| self.number(name));
        let contractor = view.towards.as_deref().map_or(ALL, |name| self.number(name));
        let said = Statement { purpose, contractor, time: view.said.unwrap_or(view.time), granted };
        for name in &view.subjects {
            self.answer.withdrawals += u64::from(!granted);
            let key = (view.epoch.unwrap_or(0), name.clone().into_owned());
            match &mut self.all {
                Some(all) => all.entry(key).or_default().push((view.time, said)),
                None => put(self.said.entry(key).or_default(), said),
            }
        }
    }

    /// What a disclosure went by; `None` where the law asked for it.
    fn ground(&mut self, view: &View) -> Option<(Ground, Number, Number)> {
        let ground = match view.basis.as_deref() {
            Some("consent") => Ground::Consent,
            Some("contract") => Ground::Contract,
            _ => return None,
        };
        let purpose = view.consent_purpose.as_deref().or(view.task.as_deref()).unwrap_or_default();
        let contractor = view.contractor.as_deref().unwrap_or_default();
        Some((ground, self.number(purpose), self.number(contractor)))
    }

    fn customers(&mut self, position: u64, view: &View) {
        let Some((ground, purpose, contractor)) = self.about else { return };
        let epoch = view.epoch.unwrap_or(0);
        let withdrawn = view.subjects.iter().any(|name| {
            let key = (epoch, name.clone().into_owned());
            let until_then = self.all.as_ref().and_then(|all| all.get(&key)).map(|all| {
                let mut said = Vec::new();
                let before = all.iter().take_while(|(time, _)| *time <= view.time);
                before.for_each(|(_, one)| put(&mut said, *one));
                said
            });
            let said = until_then.as_ref().or_else(|| self.said.get(&key));
            // Who consented in an epoch that is over has said nothing in this one.
            said.is_some_and(|said| withdrew(said, ground, purpose, contractor))
        });
        if withdrawn {
            self.answer.found.push(position);
        }
    }

    fn number(&mut self, name: &str) -> Number {
        let next = Number::try_from(self.numbers.len() + 1).unwrap_or(Number::MAX - 1);
        *self.numbers.entry(name.to_owned()).or_insert(next)
    }
}

/// In the place of what was said about the same before.
fn put(known: &mut Vec<Statement>, said: Statement) {
    known.retain(|one| (one.purpose, one.contractor) != (said.purpose, said.contractor));
    known.push(said);
}
