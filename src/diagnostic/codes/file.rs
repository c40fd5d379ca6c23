//! Codes of any file: its TOML, keys and types.

use super::{Code, code};

pub(super) const ALL: &[Code] = &[
    NOT_TOML,
    MISSING_KEY,
    UNKNOWN_KEY,
    EMPTY_TEXT,
    NOT_UNDERSTOOD,
    OUT_OF_RANGE,
    WRONG_TYPE,
    EMPTY_LIST,
    LISTED_TWICE,
];

pub const NOT_TOML: Code = code(
    "E101",
    "the file is not TOML",
    "The text breaks the format, so nothing in it can be trusted to mean what it seems to. No rule of the file is used until it is mended.",
    "name = ParcelCo",
    r#"name = "ParcelCo""#,
);

pub const MISSING_KEY: Code = code(
    "E102",
    "a key is missing",
    "The gateway does not guess what an author left out: a guess would be a decision about personal data that nobody took.",
    r#"[contractor]
id = "parcelco""#,
    r#"[contractor]
id           = "parcelco"
name         = "ParcelCo Logistics B.V."
service      = "Packaging and shipping"
jurisdiction = "NL"
contact      = "privacy@parcelco.example""#,
);

pub const UNKNOWN_KEY: Code = code(
    "E103",
    "a key is not known",
    "A key that nobody reads would be a restriction that its author believes in and that does not hold. Mostly it is a slip of the pen.",
    r#"discloze = ["@.order_id"]"#,
    r#"disclose = ["@.order_id"]"#,
);

pub const EMPTY_TEXT: Code = code(
    "E104",
    "a text is empty",
    "An empty text says nothing to a reviewer, and the ledger would repeat it with every disclosure.",
    r#"purpose = """#,
    r#"purpose = "Deliver the customer's parcel""#,
);

pub const NOT_UNDERSTOOD: Code = code(
    "E105",
    "a value is not understood",
    "The value has the right type, but not one of the forms that this key takes. The help line under the message lists them.",
    r#"basis = "contractual""#,
    r#"basis = "contract""#,
);

pub const OUT_OF_RANGE: Code = code(
    "E106",
    "a number is out of range",
    "The number is smaller or larger than what this key can take. The help line under the message gives both ends.",
    "concurrent = 0",
    "concurrent = 32",
);

pub const WRONG_TYPE: Code = code(
    "E107",
    "a value is of the wrong type",
    "TOML tells texts, numbers, days, lists and tables apart. A day, for example, stands without quotes.",
    r#"expires = "2027-12-31""#,
    "expires = 2027-12-31",
);

pub const EMPTY_LIST: Code = code(
    "E108",
    "a list is empty",
    "An empty list could be read as nothing at all or as everything. Leave the key out where the default is meant.",
    "methods = []",
    r#"methods = ["GET"]"#,
);

pub const LISTED_TWICE: Code = code(
    "E109",
    "a value is listed twice",
    "The second one has no effect, so one of them is probably meant to be another.",
    r#"encodings = ["gzip", "gzip"]"#,
    r#"encodings = ["gzip", "br"]"#,
);
