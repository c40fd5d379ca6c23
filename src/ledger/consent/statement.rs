//! What a customer said, and what undoes it.

use serde::{Deserialize, Serialize};

/// What a statement is about; what is left out means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The purpose's id, as rules name it.
    pub purpose: Option<String>,
    /// The contractor's id.
    pub contractor: Option<String>,
}

/// What lets a record leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Only that its customer consented.
    Consent,
    /// Anything, unless its customer objects.
    Contract,
}

/// A purpose or contractor by number. Statements about all of them have [`ALL`].
pub type Number = u16;

pub const ALL: Number = 0;
/// One that no statement names.
pub const UNNAMED: Number = Number::MAX;

/// The newest thing that a customer said about one purpose and contractor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    pub purpose: Number,
    pub contractor: Number,
    /// When it was said: microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    pub granted: bool,
}

impl Statement {
    fn is_about(&self, purpose: Number, contractor: Number) -> bool {
        (self.purpose == ALL || self.purpose == purpose)
            && (self.contractor == ALL || self.contractor == contractor)
    }

    /// A grant undoes a withdrawal that is older, where it names all that the withdrawal named.
    fn undoes(&self, withdrawal: &Statement) -> bool {
        self.granted
            && self.time > withdrawal.time
            && (withdrawal.purpose == ALL || self.purpose != ALL)
            && (withdrawal.contractor == ALL || self.contractor != ALL)
    }

    /// It withholds contract tasks too.
    pub fn is_objection(&self) -> bool {
        !self.granted && (self.purpose != ALL || self.contractor != ALL)
    }

    /// Whether `self`, about the same as `other`, comes in its place. Of one moment, the withdrawal counts.
    pub fn replaces(&self, other: &Statement) -> bool {
        self.time > other.time || self.time == other.time && !self.granted && other.granted
    }
}

/// Whether a record about a customer who said this may leave for a purpose to a contractor.
pub fn lets(statements: &[Statement], ground: Ground, purpose: Number, contractor: Number) -> bool {
    let about = || statements.iter().filter(|said| said.is_about(purpose, contractor));
    match ground {
        Ground::Consent => {
            // Consent is to something: a grant that names no purpose only undoes an objection.
            let consents = || about().filter(|said| said.granted && said.purpose != ALL);
            let mut withdrawals = about().filter(|said| !said.granted);
            consents().next().is_some() && withdrawals.all(|one| consents().any(|grant| grant.undoes(one)))
        }
        Ground::Contract => {
            let mut objections = about().filter(|said| said.is_objection());
            objections.all(|one| about().any(|grant| grant.undoes(one)))
        }
    }
}

/// Whether a customer who said this has withdrawn what a record about it left by, and not undone that.
pub fn withdrew(statements: &[Statement], ground: Ground, purpose: Number, contractor: Number) -> bool {
    let about = || statements.iter().filter(|said| said.is_about(purpose, contractor));
    let counts = |said: &&Statement| !said.granted && (ground == Ground::Consent || said.is_objection());
    about().filter(counts).any(|one| !about().any(|grant| grant.undoes(one)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Purpose and contractor, `+` or `-`; the time is the place in the list.
    fn said(list: &[(Number, Number, char)]) -> Vec<Statement> {
        let said = (1..).zip(list).map(|(time, (purpose, contractor, sign))| Statement {
            purpose: *purpose,
            contractor: *contractor,
            time,
            granted: *sign == '+',
        });
        said.collect()
    }

    fn both(list: &[(Number, Number, char)]) -> (bool, bool) {
        let statements = said(list);
        (lets(&statements, Ground::Consent, 1, 1), lets(&statements, Ground::Contract, 1, 1))
    }

    #[test]
    fn consent_must_be_given_and_a_contract_goes_on_without() {
        assert_eq!(both(&[]), (false, true));
        assert_eq!(both(&[(1, ALL, '+')]), (true, true));
        assert_eq!(both(&[(2, ALL, '+')]), (false, true), "another purpose");
        assert_eq!(both(&[(1, 2, '+')]), (false, true), "another contractor");
        assert_eq!(both(&[(ALL, ALL, '+')]), (false, true), "consent is to something");
    }

    #[test]
    fn a_withdrawal_of_everything_ends_consents_and_no_contract() {
        assert_eq!(both(&[(1, ALL, '+'), (ALL, ALL, '-')]), (false, true));
        assert_eq!(both(&[(ALL, ALL, '-'), (1, ALL, '+')]), (true, true));
        assert_eq!(both(&[(ALL, ALL, '-'), (2, ALL, '+')]), (false, true));
    }

    #[test]
    fn an_objection_ends_only_by_a_grant_that_names_what_it_named() {
        assert_eq!(both(&[(1, ALL, '+'), (ALL, 1, '-')]), (false, false));
        assert_eq!(both(&[(ALL, 1, '-'), (1, ALL, '+')]), (false, false), "the contractor is not named");
        assert_eq!(both(&[(1, ALL, '+'), (ALL, 1, '-'), (ALL, 1, '+')]), (false, true));
        assert_eq!(both(&[(ALL, 1, '-'), (1, 1, '+')]), (true, true));
        assert_eq!(both(&[(1, ALL, '-'), (ALL, 1, '+')]), (false, false), "the purpose is not named");
        assert_eq!(both(&[(ALL, 2, '-'), (2, ALL, '-')]), (false, true), "others");
    }

    #[test]
    fn of_one_moment_the_withdrawal_counts() {
        let [older, newer] = [(1, ALL, '+'), (1, ALL, '-')].map(|one| said(&[one])[0]);
        assert!(newer.replaces(&older) && !older.replaces(&newer) && !newer.replaces(&newer));
        assert!(!lets(&[Statement { contractor: 1, ..older }, newer], Ground::Consent, 1, 1));
    }
}
