//! Codes of tasks, their limits and hours.

use super::{Code, code};

pub(super) const ALL: &[Code] = &[TASK_TAKEN, HOURS_EMPTY, CONSENT_BESIDE_RECORDS, NO_TASK];

pub const TASK_TAKEN: Code = code(
    "E301",
    "two tasks have one id",
    "The ledger names the task, its purpose and its legal basis with each disclosure. With one id for two, nobody could tell which was meant.",
    r#"id = "deliver-order"
# and again
id = "deliver-order""#,
    r#"id = "deliver-order"
# and
id = "return-order""#,
);

// E302 was for bases that an earlier version could not keep.

pub const HOURS_EMPTY: Code = code(
    "E303",
    "a task's hours begin when they end",
    "It is unclear whether the task is always open or never.",
    r#"hours = { from = "07:00", to = "07:00" }"#,
    r#"hours = { from = "07:00", to = "19:00" }"#,
);

pub const NO_TASK: Code = code(
    "W301",
    "a contractor has no task",
    "Access is given by tasks only, so this contractor sees nothing.",
    "# no [[task]]",
    r#"[[task]]
id      = "deliver-order"
purpose = "Deliver the customer's parcel"
basis   = "contract""#,
);

pub const CONSENT_BESIDE_RECORDS: Code = code(
    "E320",
    "a task on consent discloses what stands beside the records",
    "What is beside the records may be about customers who have not consented: a sum, a summary, a list of names.",
    r#"records  = "$.data[*]"
disclose = ["$.summary", "@.email"]"#,
    r#"records  = "$.data[*]"
disclose = ["@.email"]"#,
);
