//! The kinds of alerts, in words for who has to decide what to do.

use serde_json::Value;

use super::super::store::Severity;

/// The ledger takes no entries.
pub const UNWRITABLE: &str = "ledger-unwritable";
/// Witnesses do not cosign.
pub const UNWITNESSED: &str = "ledger-unwitnessed";
/// A verification found errors.
pub const DAMAGED: &str = "ledger-damaged";

/// Entries of other nodes do not come in.
pub const UNGATHERED: &str = "fleet-ungathered";

/// One kind of alert.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub severity: Severity,
    pub title: &'static str,
    pub why: &'static str,
    pub advice: &'static str,
}

use Severity::{Critical, High, Low, Medium};

const KINDS: &[Kind] = &[
    Kind {
        name: "canary",
        severity: Critical,
        title: "A planted customer was disclosed",
        why: "This customer does not exist. Nobody has work to do with it, so whoever asked is looking around, \
              or takes all there is.",
        advice: "Suspend the contractor, then ask its contact what was done at that time and with which \
                 credential. Resume when there is an answer that you believe.",
    },
    Kind {
        name: UNWRITABLE,
        severity: Critical,
        title: "The ledger cannot be written",
        why: "What cannot be written down is not disclosed: contractors get refusals as long as this lasts.",
        advice: "See the gateway's log for the cause: most often a full or failing disk. When it is mended, the \
                 gateway goes on by itself.",
    },
    Kind {
        name: DAMAGED,
        severity: Critical,
        title: "A verification found the ledger damaged",
        why: "Entries, hashes or numbers do not fit together. Either the disk is failing, or somebody changed \
              files of the ledger.",
        advice: "Keep a copy of the ledger's folder as it is, compare it with a backup and with what the \
                 witnesses know, and find out who could write there.",
    },
    Kind {
        name: UNWITNESSED,
        severity: Critical,
        title: "Entries are not witnessed",
        why: "As long as nobody else has cosigned them, who holds the signing key could write other entries in \
              their place.",
        advice: "See that the witnesses run and can be reached. Where an age limit is set, disclosures stop when \
                 it is reached.",
    },
    Kind {
        name: UNGATHERED,
        severity: Critical,
        title: "Entries of other nodes do not come in",
        why: "What other gateways disclose is not seen here. Where their entries are not those that they have \
              signed, somebody has changed the database.",
        advice: "See what is wrong below. A database that is away comes back by itself; where entries are not those \
                 that were signed, keep a copy of the database as it is, and compare it with the archive on that \
                 node's disk.",
    },
    Kind {
        name: "enumeration",
        severity: High,
        title: "A contractor tries numbers one after the other",
        why: "Work asks for the customers that it is about. Trying numbers is how somebody finds customers that \
              it is not about.",
        advice: "Look at the entries behind it. Where the contractor cannot explain them, suspend it, and limit \
                 its route to the numbers that its orders name.",
    },
    Kind {
        name: "harvest",
        severity: High,
        title: "A contractor sees many more customers than usual",
        why: "A sudden rise may be a campaign that you know of, or somebody who copies the customers.",
        advice: "Ask the contractor what the reason was. Where there is none, suspend it, and lower its daily \
                 limit of customers.",
    },
    Kind {
        name: "new-network",
        severity: Medium,
        title: "A credential is used from a new network",
        why: "Contractors call from few networks. A new one may be a moved server, or a stolen credential.",
        advice: "Ask the contractor whether it has moved. Where it has not, revoke the credential and issue a \
                 new one.",
    },
    Kind {
        name: "dormant-credential",
        severity: Medium,
        title: "A credential is used that nobody used for long",
        why: "Credentials that are forgotten are the ones that get lost.",
        advice: "Ask the contractor who uses it. Revoke it where nobody needs it.",
    },
    Kind {
        name: "new-field",
        severity: Medium,
        title: "A contractor gets a field that it never got before",
        why: "The rules allow it, but until now it was not there or was not asked for.",
        advice: "See whether the task needs the field. Where it does not, take it out of the rules.",
    },
    Kind {
        name: "new-upstream-field",
        severity: Medium,
        title: "An upstream sends a field that it did not send before",
        why: "It is withheld unless a rule with a wildcard, or for a whole object, lets it through.",
        advice: "Where it says by which rule it leaves, decide whether it should. Otherwise there is nothing to \
                 do.",
    },
    Kind {
        name: "field-retyped",
        severity: Medium,
        title: "A disclosed field is something else than before",
        why: "A rule that was right for the old form may disclose too much, or nothing, of the new one.",
        advice: "Ask the owner of the upstream what has changed, and look at the rule.",
    },
    Kind {
        name: "off-hours",
        severity: Low,
        title: "A contractor calls at an unusual hour",
        why: "It has never called in this hour of the week.",
        advice: "Look at what it asked for. Several of these in a row are worth a question.",
    },
    Kind {
        name: "field-vanished",
        severity: Low,
        title: "A disclosed field is no longer sent",
        why: "The contractor may miss it, and the rule may no longer be needed.",
        advice: "Ask the owner of the upstream. Take the field out of the rules where it is gone for good.",
    },
    Kind {
        name: "field-unused",
        severity: Low,
        title: "A permission is not used",
        why: "What nobody uses need not be allowed.",
        advice: "Take the field out of the rules; the alert says which line.",
    },
];

/// What is not known here, of another version.
const OTHER: Kind = Kind {
    name: "",
    severity: Medium,
    title: "A signal that this version has no words for",
    why: "Another version of Fieldgate has written it.",
    advice: "Look at the entries behind it.",
};

/// The kind with this name.
pub fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap_or(&OTHER)
}

/// Whether alerts of this kind can be muted.
pub fn can_be_muted(name: &str) -> bool {
    KINDS.iter().any(|kind| kind.name == name && kind.severity < Critical)
}

/// What happened, in a sentence.
pub fn sentence(name: &str, details: &Value) -> String {
    let number = |member: &str| details.get(member).and_then(Value::as_i64).unwrap_or_default();
    let text = |member: &str| details.get(member).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let list = |member: &str| {
        let list = details.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    match (name, details.get("pattern").and_then(Value::as_str)) {
        ("canary", _) => {
            format!("{} about planted customers left.", many(number("records"), "record", "records"))
        }
        ("enumeration", Some("not-found")) => {
            format!("{} of {} requests were for what is not there.", number("not_found"), number("requests"))
        }
        ("enumeration", _) => {
            format!("{} numbers that follow each other in steps of {}.", number("numbers"), number("step"))
        }
        ("harvest", _) => format!(
            "{} customers in an hour that it had not seen that day; usual are {}.",
            number("subjects"),
            number("median")
        ),
        ("dormant-credential", _) => format!(
            "It was {} for {}.",
            if details["used_before"] == Value::Bool(true) { "not used" } else { "there, and never used," },
            many(number("days"), "day", "days")
        ),
        ("new-field", _) => format!("Fields: {}.", list("fields")),
        ("new-network", _) => format!("Network: {}.", text("network")),
        ("off-hours", _) => format!("{}, the hour from {:02}:00 UTC.", text("weekday"), number("hour")),
        ("new-upstream-field", _) => {
            let by = details.get("disclosed_by").and_then(Value::as_str);
            let leaves = by.map_or("It is withheld".to_owned(), |rule| format!("It leaves by {rule}"));
            format!("{} ({}). {leaves}.", text("path"), list("types"))
        }
        ("field-retyped", _) => {
            format!("{} was {}, and is {}.", text("path"), list("from"), list("to"))
        }
        ("field-vanished", _) => {
            format!("{} was not in {}.", text("path"), many(number("answers"), "answer", "answers"))
        }
        ("field-unused", _) => {
            format!("Nobody got {} for {}.", text("path"), many(number("days"), "day", "days"))
        }
        (DAMAGED, _) => format!("{}. {}", many(number("errors"), "error", "errors"), list("first")),
        (UNWITNESSED, _) => {
            format!("{} of {} entries are witnessed.", number("witnessed"), number("size"))
        }
        (UNGATHERED, _) => text("error"),
        (UNWRITABLE, _) => "Entries are not made durable.".to_owned(),
        _ => "See the details.".to_owned(),
    }
}

fn many(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_detector_has_words_of_its_own() {
        let source = include_str!("../../signals/mod.rs");
        let names = source.lines().filter_map(|line| line.trim().split_once(" => \"")?.1.strip_suffix("\","));
        let names: Vec<&str> = names.collect();
        assert!(names.len() >= 10, "{names:?}");
        for name in names {
            assert_eq!(kind(name).name, name);
            assert!(can_be_muted(name));
            assert_ne!(sentence(name, &json!({})), "See the details.", "{name}");
        }
    }

    #[test]
    fn what_happened_is_said_with_its_numbers() {
        let details = json!({ "pattern": "sequential", "numbers": 20, "step": 1 });
        let said = sentence("enumeration", &details);
        assert_eq!(said, "20 numbers that follow each other in steps of 1.");
        let said = sentence("canary", &json!({ "records": 1 }));
        assert_eq!(said, "1 record about planted customers left.");
        assert!(!can_be_muted("canary") && !can_be_muted(DAMAGED) && !can_be_muted("unknown"));
    }
}
