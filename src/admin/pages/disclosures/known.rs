//! Words that a filter can have by themselves, not out of the rules.

use crate::rules::openapi::PROBLEMS;

pub const KINDS: [&str; 13] = [
    "disclosure",
    "subjects",
    "refusal",
    "signal",
    "rules",
    "started",
    "access",
    "suspension",
    "consent",
    "key",
    "hold",
    "prune",
    "review",
];
pub const BASES: [&str; 3] = ["contract", "consent", "legal-obligation"];
const SIGNALS: [&str; 11] = [
    "canary",
    "dormant-credential",
    "enumeration",
    "field-retyped",
    "field-unused",
    "field-vanished",
    "harvest",
    "new-field",
    "new-network",
    "new-upstream-field",
    "off-hours",
];

/// `disclosed`, the codes of refusals, the names of signals.
pub fn outcomes() -> Vec<&'static str> {
    // Nobody is known yet who gets one of these two, so there is no entry.
    let codes = PROBLEMS.iter().flat_map(|(_, codes, _)| codes.iter().copied());
    let codes = codes.filter(|code| !matches!(*code, "no-credential" | "bad-credential"));
    std::iter::once("disclosed").chain(codes).chain(SIGNALS).collect()
}

/// The name of a country, by ISO 3166-1 alpha-2.
pub fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_and_each_kind_can_be_looked_for() {
        let source = include_str!("../../../signals/mod.rs");
        let names = source.split_once("pub fn name(&self)").unwrap().1.split_once("\n    }").unwrap().0;
        let names: Vec<&str> = names.split('"').skip(1).step_by(2).collect();
        assert!(names.len() >= 10 && names.iter().all(|name| SIGNALS.contains(name)), "{names:?}");
        // The names of what people do with the ledger, from where they are made.
        let source = include_str!("../../../ledger/entry.rs");
        let kinds = source.split_once("pub fn as_str(self)").unwrap().1.split_once("\n    }").unwrap().0;
        let kinds: Vec<&str> = kinds.split('"').skip(1).step_by(2).collect();
        assert!(kinds.len() >= 7 && kinds.iter().all(|kind| KINDS.contains(kind)), "{kinds:?}");
        let all = outcomes();
        assert!(all.contains(&"disclosed") && all.contains(&"not-found") && all.contains(&"overloaded"));
    }
}
