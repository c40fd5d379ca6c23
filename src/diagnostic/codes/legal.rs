//! Codes of legal grants.

use super::{Code, code};

pub(super) const ALL: &[Code] = &[
    GRANT_MISSING,
    GRANT_WITH_OTHER_BASIS,
    GRANT_ENDS_BEFORE_IT_BEGINS,
    GRANT_APPROVERS,
    GRANT_SUBJECT_TWICE,
    GRANT_NAMES_NOBODY,
    GRANT_HOLD_WITHOUT_DAY,
    GRANT_WRITES,
    GRANT_BESIDE_RECORDS,
    GRANT_ENDED,
    GRANT_ENDS_SOON,
    GRANT_LASTS_LONG,
];

pub const GRANT_MISSING: Code = code(
    "E311",
    "a task is required by law and does not say by what",
    "A disclosure that the law requires has a case, an authority, two approvers, an end, and names whose data it is about. Without these it would be a disclosure without a ground.",
    r#"basis = "legal-obligation""#,
    r#"basis = "legal-obligation"
[task.legal]
case        = "2026/1234"
authority   = "District Court of Amsterdam"
approved_by = ["A. Jansen", "B. de Vries"]
expires     = 2026-12-31
subjects    = ["c-10234"]"#,
);

pub const GRANT_WITH_OTHER_BASIS: Code = code(
    "E312",
    "a legal grant stands beside another basis",
    "The ledger and the customer's account name one basis for each disclosure. With both, nobody could tell which of them was the ground.",
    r#"basis = "contract"
[task.legal]"#,
    r#"basis = "legal-obligation"
[task.legal]"#,
);

pub const GRANT_ENDS_BEFORE_IT_BEGINS: Code = code(
    "E313",
    "a legal grant ends before it begins",
    "It would never be in force. `expires` is the first day (UTC) on which it no longer holds.",
    r#"effective = 2026-12-31
expires   = 2026-01-01"#,
    r#"effective = 2026-01-01
expires   = 2026-12-31"#,
);

pub const GRANT_APPROVERS: Code = code(
    "E314",
    "a legal grant is not approved by two different people",
    "What the law is said to require is agreed to by two people, so that nobody can open customers' data alone with a letter that one has written oneself.",
    r#"approved_by = ["A. Jansen", "a. jansen"]"#,
    r#"approved_by = ["A. Jansen", "B. de Vries"]"#,
);

pub const GRANT_SUBJECT_TWICE: Code = code(
    "E315",
    "a legal grant names a customer twice",
    "It may be a slip for another customer, who would then be missing. A text and a number of the same digits are one customer.",
    r#"subjects = ["10234", 10234]"#,
    r#"subjects = ["10234"]"#,
);

pub const GRANT_NAMES_NOBODY: Code = code(
    "E316",
    "a legal grant names no customer",
    "A grant lets out the records of the customers whom it names, and no others. Without names nothing would leave.",
    "subjects = []",
    r#"subjects = ["c-10234"]"#,
);

pub const GRANT_HOLD_WITHOUT_DAY: Code = code(
    "E317",
    "a reason to keep a use from the customer stands without its last day",
    "What is kept out of the customer's account is kept out until a day, never for ever.",
    r#"hold_reference = "letter of the court, 2026-11-02""#,
    r#"hold_reference = "letter of the court, 2026-11-02"
hold_until     = 2027-06-30"#,
);

pub const GRANT_WRITES: Code = code(
    "E318",
    "a legal grant has a route that writes",
    "A grant discloses what is there. It does not let anybody change it.",
    r#"methods = ["POST"]"#,
    r#"methods = ["GET"]"#,
);

pub const GRANT_BESIDE_RECORDS: Code = code(
    "E319",
    "a legal grant discloses what stands beside the records",
    "What is beside the records may be about other customers than those whom the grant names.",
    r#"records  = "$.data[*]"
disclose = ["$.summary", "@.order_id"]"#,
    r#"records  = "$.data[*]"
disclose = ["@.order_id"]"#,
);

pub const GRANT_ENDED: Code = code(
    "W311",
    "a legal grant has ended",
    "Nothing leaves by this task any more. It can be removed, or renewed with two approvers and a new day.",
    "expires = 2025-12-31",
    "expires = 2026-12-31",
);

pub const GRANT_ENDS_SOON: Code = code(
    "W312",
    "a legal grant ends within two weeks",
    "From that day on nothing leaves by this task. If the case goes on, the grant must be renewed before.",
    "expires = 2026-01-10  # today is 2026-01-01",
    "expires = 2026-06-30",
);

pub const GRANT_LASTS_LONG: Code = code(
    "W313",
    "a legal grant ends in more than a year",
    "A grant is for one case and should end with it. One that lasts longer than anybody looks at it is a standing permission.",
    "expires = 2036-01-01",
    "expires = 2026-12-31",
);
