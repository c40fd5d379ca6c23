//! The codes of all diagnostics, and what each means.
//!
//! **Guarantees.** A diagnostic has one of these codes, and the code says how grave it is. A code keeps
//! its meaning from version to version; one that is no longer used is not given away again.
//!
//! **Trusts** nobody. **Must not** know how anything is found. **Called by** whoever reports, and by the
//! commands that explain.
//!
//! The letter is E for an error, W for a warning, N for a note; the first digit is the part of the
//! files: 1 TOML, keys and types; 2 contractor, agreement, credentials; 3 tasks and limits; 4 routes,
//! paths, conditions; 5 fixtures; 6 the gateway file.

mod contractor;
mod document;
mod file;
mod fixture;
mod gateway;
mod legal;
mod lint;
mod route;
mod task;

pub use contractor::*;
pub use document::*;
pub use file::*;
pub use fixture::*;
pub use gateway::*;
pub use legal::*;
pub use lint::*;
pub use route::*;
pub use task::*;

use super::Severity;

/// What a diagnostic is an instance of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    id: &'static str,
    title: &'static str,
    explanation: &'static str,
    wrong: &'static str,
    right: &'static str,
}

const fn code(
    id: &'static str,
    title: &'static str,
    explanation: &'static str,
    wrong: &'static str,
    right: &'static str,
) -> Code {
    Code { id, title, explanation, wrong, right }
}

impl Code {
    /// `E104`.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// A few words, without a full stop.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// What it means and why it matters.
    pub fn explanation(&self) -> &'static str {
        self.explanation
    }

    /// An extract of a file that has it.
    pub fn wrong(&self) -> &'static str {
        self.wrong
    }

    /// The same extract without it.
    pub fn right(&self) -> &'static str {
        self.right
    }

    pub fn severity(&self) -> Severity {
        match self.id.as_bytes()[0] {
            b'W' => Severity::Warning,
            b'N' => Severity::Note,
            _ => Severity::Error,
        }
    }
}

/// All codes, by the part of the files that they are about; lints last.
pub fn all() -> impl Iterator<Item = &'static Code> {
    [
        file::ALL,
        contractor::ALL,
        task::ALL,
        legal::ALL,
        route::ALL,
        document::ALL,
        fixture::ALL,
        gateway::ALL,
        lint::ALL,
    ]
    .into_iter()
    .flatten()
}

/// The code of that id; letters may be small.
pub fn find(id: &str) -> Option<&'static Code> {
    all().find(|code| code.id.eq_ignore_ascii_case(id))
}

/// Codes that somebody who wrote `id` may have meant: one character differs.
pub fn near(id: &str) -> Vec<&'static str> {
    let id = id.to_ascii_uppercase();
    let slips =
        |code: &Code| code.id.bytes().zip(id.bytes()).filter(|(known, written)| known != written).count();
    all().filter(|code| code.id.len() == id.len() && slips(code) == 1).map(Code::id).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_is_unique_well_formed_and_explained() {
        let mut seen = BTreeSet::new();
        for code in all() {
            let (letter, number) = code.id.split_at(1);
            assert!(["E", "W", "N"].contains(&letter) && number.len() == 3, "{}", code.id);
            assert!(number.parse::<u16>().is_ok_and(|number| (101..700).contains(&number)), "{}", code.id);
            assert!(seen.insert(code.id), "{} is there twice", code.id);
            assert!(!code.title.is_empty() && !code.title.ends_with('.'), "{}", code.id);
            assert!(code.explanation.ends_with('.'), "{}", code.id);
            assert!(!code.wrong.is_empty() && code.wrong != code.right, "{}", code.id);
        }
    }

    #[test]
    fn a_slip_in_a_code_is_recognised() {
        assert_eq!(find("e103").map(Code::id), Some("E103"));
        assert!(find("E999").is_none() && near("E999").is_empty());
        assert!(near("E191").contains(&"E101"));
    }
}
