//! What customers say in a fleet: each node finds out what of it is new, and takes in what all were told.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::model::{Hex, Subject, SubjectPseudonym};

use super::super::keys::{self, KeyError};
use super::super::postgres::{NotTaken, Said};
use super::registry::{Consents, Registry, Row};
use super::statement::{ALL, Number, Scope, Statement};
use super::store::{ConsentError, Prepared, Saying, files_of, parts, time};

/// The registry of a fleet's node: it is in memory, and holds what [`Consents::take_in`] is shown. The key is the same on
/// all nodes.
///
/// # Errors
/// Where the key cannot be used.
pub fn shared_consents(path: &Path) -> Result<(Arc<Consents>, [u8; 16]), KeyError> {
    let (_, key_file) = files_of(path);
    let key = keys::load_key(&key_file)?;
    let seal = key.receipt_name(&[b"seal"]);
    Ok((Arc::new(Consents::known(Registry::new(key, HashMap::new(), Vec::new(), 0))), seal))
}

/// What is new in what customers said, for all nodes.
pub struct News {
    pub said: Vec<Said>,
    pub receipts: Vec<[u8; 16]>,
    /// The places, in what was said, of those that change something, and when they were said.
    pub news: Vec<(usize, i64)>,
}

impl Consents {
    /// Finds out what is new in what was said, as far as this node knows; receipts are to be looked up.
    ///
    /// # Errors
    /// Where something was said in the future.
    pub fn news(&self, said: &[Saying], now: i64) -> Result<News, ConsentError> {
        let mut found = News { said: Vec::new(), receipts: Vec::new(), news: Vec::new() };
        let Some(registry) = self.registry() else { return Ok(found) };
        let none = Prepared::default();
        for (at, saying) in said.iter().enumerate() {
            let name = registry.name(Subject::new(&saying.subject));
            let time = time(registry, saying, &name, &none, now)?;
            let (purpose, contractor) = registry.numbers(&saying.scope);
            let statement = Statement { purpose, contractor, time, granted: saying.granted };
            let mut is_news = true;
            registry.said(&name, |rows| {
                let same = |row: &&Row| (row.said.purpose, row.said.contractor) == (purpose, contractor);
                is_news = rows.iter().find(same).is_none_or(|known| statement.replaces(&known.said));
            });
            found
                .receipts
                .extend(saying.receipt.as_ref().map(|receipt| registry.receipt(&parts(saying, receipt))));
            if !is_news {
                continue;
            }
            let Scope { purpose, contractor } = saying.scope.clone();
            let customer = Hex::of(&name).to_string();
            found.said.push(Said { customer, purpose, contractor, time, granted: saying.granted });
            found.news.push((at, time));
        }
        Ok(found)
    }

    /// The receipt's name of what was said.
    pub fn receipt(&self, saying: &Saying) -> Option<[u8; 16]> {
        let receipt = saying.receipt.as_ref()?;
        Some(self.registry()?.receipt(&parts(saying, receipt)))
    }

    /// Puts what other nodes were told in force; where somebody withdrew, the generation from which on what was decided
    /// before is stale. One at a time.
    ///
    /// # Errors
    /// Where there are too many purposes and contractors, or a customer's name is none.
    pub fn take_in<'s>(&self, said: impl Iterator<Item = &'s Said>) -> Result<Option<u64>, NotTaken> {
        let Some(registry) = self.registry() else { return Ok(None) };
        let (mut rows, mut withdrew): (Vec<Row>, bool) = (Vec::new(), false);
        let mut newest: HashMap<([u8; 16], Number, Number), usize> = HashMap::new();
        for one in said {
            let name = SubjectPseudonym::parse(&one.customer).ok_or(NotTaken)?;
            let number = |name: &Option<String>| {
                name.as_ref().map_or(Ok(ALL), |name| registry.number_or_new(name).ok_or(NotTaken))
            };
            let (purpose, contractor) = (number(&one.purpose)?, number(&one.contractor)?);
            let said = Statement { purpose, contractor, time: one.time, granted: one.granted };
            withdrew |= !one.granted;
            let mut known = None;
            registry.said(&name.0, |rows| {
                let same = |row: &&Row| (row.said.purpose, row.said.contractor) == (purpose, contractor);
                known = rows.iter().find(same).map(|row| row.said);
            });
            let place = (name.0, purpose, contractor);
            match newest.get(&place) {
                Some(at) if said.replaces(&rows[*at].said) => rows[*at].said = said,
                Some(_) => {}
                None if known.is_none_or(|known| said.replaces(&known)) => {
                    newest.insert(place, rows.len());
                    rows.push(Row { name: name.0, said });
                }
                None => {}
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let generation = registry.generation() + 1;
        registry.put(&rows, generation);
        Ok(withdrew.then_some(generation))
    }
}
