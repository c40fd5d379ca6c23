//! What becomes of a value, in words.

use crate::filter::{Explained, Fate};
use crate::model::Basis;

use super::Route;

/// Why a value stays or leaves, in a few words; nothing for what is around values.
pub fn reason(route: &Route, basis: Basis, value: &Explained) -> String {
    let path = |field: usize| route.fields[field].path.as_str();
    let transform =
        |field: usize| route.fields[field].treatment.unwrap_or("card numbers and the like are masked");
    match &value.fate {
        Fate::Container => String::new(),
        Fate::Kept(field) => path(*field).to_owned(),
        Fate::Changed(field, _) => format!("{} ({})", path(*field), transform(*field)),
        Fate::Withheld(field) => format!("{} takes no such value", transform(*field)),
        Fate::Drifted(field) => format!("not what {} is said to be", path(*field)),
        Fate::Unlisted => "no rule lists it".to_owned(),
        Fate::Condition => "the record's condition does not hold".to_owned(),
        Fate::NotAdmitted => match basis {
            Basis::LegalObligation => "the grant does not name the record's customer".to_owned(),
            Basis::Contract | Basis::Consent => "the record names no customer".to_owned(),
        },
    }
}
