//! Codes of what can be meant and most likely is not.

use super::{Code, code};

pub(super) const ALL: &[Code] = &[
    AGREEMENT_ENDS_SOON,
    AGREEMENT_NOT_BEGUN,
    DEFAULT_LIMITS,
    TASKS_OVERLAP,
    ALWAYS_HOLDS,
    NEVER_HOLDS,
    SELECTS_NOTHING,
    COVERED_BY_WHOLE,
    CARD_NUMBER,
    FIXTURE_DRIFTS,
    FIXTURE_WITHHOLDS,
    FIXTURE_WITHOUT_SUBJECT,
    LARGE_BODIES,
];

pub const AGREEMENT_ENDS_SOON: Code = code(
    "W221",
    "the agreement ends within 30 days",
    "From the day `expires` on, every request of the contractor is refused. To renew an agreement takes time.",
    "expires = 2026-12-01   # and today is 2026-11-26",
    "expires = 2027-12-01",
);

pub const AGREEMENT_NOT_BEGUN: Code = code(
    "W222",
    "the agreement has not begun",
    "Until the day `effective`, every request of the contractor is refused.",
    "effective = 2099-01-01",
    "effective = 2026-01-01",
);

pub const DEFAULT_LIMITS: Code = code(
    "N321",
    "a task does not say how much it may ask for",
    "The defaults are generous: enough for a batch. Limits near to what the task needs make it plain when somebody harvests.",
    "# no [task.limits]",
    r#"[task.limits]
requests         = "50/s"
subjects_per_day = 20_000"#,
);

pub const TASKS_OVERLAP: Code = code(
    "W421",
    "two tasks serve one request",
    "The gateway does not choose the purpose of a disclosure: the contractor must name the task in a Fieldgate-Task header, and a request without it is refused.",
    r#"path = "/orders/{order_id}"
# and in another task of the same contractor
path = "/orders/{order_id}""#,
    r#"path = "/orders/{order_id}"
# and in another task of the same contractor
path = "/returns/{order_id}""#,
);

pub const ALWAYS_HOLDS: Code = code(
    "W422",
    "a condition always holds",
    "It looks as if it kept records back, and keeps none.",
    r#"when = "@.status != 'open' || @.status != 'held'""#,
    r#"when = "@.status != 'open' && @.status != 'held'""#,
);

pub const NEVER_HOLDS: Code = code(
    "W423",
    "a condition never holds",
    "No record can fulfil it, so nothing ever leaves by this route.",
    r#"when = "@.status == 'open' && @.status == 'held'""#,
    r#"when = "@.status == 'open' || @.status == 'held'""#,
);

pub const SELECTS_NOTHING: Code = code(
    "W424",
    "a path never selects anything",
    "A slice ends before it begins, has the step 0, or a filter never holds (RFC 9535, section 2.3.4.2.2). The end of a slice is the first element that is not taken.",
    r#""@.items[2:1]""#,
    r#""@.items[1:3]""#,
);

pub const COVERED_BY_WHOLE: Code = code(
    "W425",
    "a path adds nothing to one with `whole`",
    "The subtree leaves with all that is in it. Who reads the shorter path may think that it is the limit.",
    r#"disclose = [{ path = "@.address", whole = true }, "@.address.city"]"#,
    r#"disclose = ["@.address.city"]"#,
);

pub const CARD_NUMBER: Code = code(
    "W426",
    "card data leaves a task that is not for payment",
    "By its name the value is a card number or its security code. The gateway masks card numbers in texts, not those that are written as numbers, and no security code.",
    r#""@.payment.card_number""#,
    r#"{ path = "@.payment.card_number", transform = "last4" }"#,
);

pub const FIXTURE_DRIFTS: Code = code(
    "W511",
    "an example shows values that are not what the rule says",
    "A plain path met an object, or a value has another type, length or pattern than the rule says. It is withheld, and an alert says so; with the real upstream that would be for every record.",
    r#""@.recipient"                # and the example has {"recipient": {"name": "A."}}"#,
    r#""@.recipient.name""#,
);

pub const FIXTURE_WITHHOLDS: Code = code(
    "W512",
    "an example shows values that a transform does not take",
    "A transform that meets a value of another type, or one that is too short for it, withholds it. The contractor would never see the field.",
    r#"{ path = "@.phone", transform = "last4" }   # and the example has {"phone": 12}"#,
    r#"{ path = "@.phone", transform = "last4" }   # and the example has {"phone": "+31612345678"}"#,
);

pub const FIXTURE_WITHOUT_SUBJECT: Code = code(
    "W513",
    "an example shows records whose subject is not found",
    "The entries in the ledger would not say whom they are about.",
    r#"subject = "@.customer_id"   # and the example has {"customer": {"id": 7}}"#,
    r#"subject = "@.customer.id""#,
);

pub const LARGE_BODIES: Code = code(
    "W611",
    "a few answers use up the memory for bodies",
    "An answer that does not leave in parts is held as a whole, with what is made of it. Where six of the largest take more than [limits] body_memory, the next requests wait or are refused.",
    r#"[limits]
body_memory = "256MiB"
[upstream.orders]
max_body = "64MiB""#,
    r#"[limits]
body_memory = "256MiB"
[upstream.orders]
max_body = "16MiB""#,
);
