//! Codes of contractor, agreement and credentials.

use super::{Code, code};

pub(super) const ALL: &[Code] = &[
    CONTRACTOR_TAKEN,
    CREDENTIAL_ID_TAKEN,
    CREDENTIAL_USED_TWICE,
    CREDENTIAL_WITHOUT_PROOF,
    CREDENTIAL_WITH_SEVERAL_PROOFS,
    TRANSFER_WITHOUT_MECHANISM,
    AGREEMENT_ENDS_BEFORE_IT_BEGINS,
    TOKEN_KEYS_WITHOUT_CA,
    TOKEN_KEYS_UNPROTECTED,
    TOKEN_KEY_WITHOUT_EFFECT,
    CANARY_TWICE,
    NETWORK_MAPPED,
    NETWORK_BITS,
    AGREEMENT_ENDED,
    CANARIES_WITHOUT_SUBJECT,
    NO_CREDENTIAL,
    DEROGATION_FOR_SERVICE,
];

pub const CONTRACTOR_TAKEN: Code = code(
    "E201",
    "two files are about the same contractor",
    "All that a contractor may see stands in one file, so that a reviewer need not search for more.",
    r#"# rules/a.toml and rules/b.toml
id = "parcelco""#,
    r#"# rules/b.toml
id = "helpline""#,
);

pub const CREDENTIAL_ID_TAKEN: Code = code(
    "E202",
    "two credentials have one id",
    "The ledger names the credential that each request came with. With one id for two, nobody could tell which was used.",
    r#"id = "parcelco-gateway"
# and again
id = "parcelco-gateway""#,
    r#"id = "parcelco-gateway"
# and
id = "parcelco-batch""#,
);

pub const CREDENTIAL_USED_TWICE: Code = code(
    "E203",
    "one proof is used by two credentials",
    "What proves two contractors proves neither: one of them would get what is meant for the other. This is checked across all files.",
    r#"# in two files
mtls_san = "DNS:gateway.parcelco.example""#,
    r#"# in the second file
mtls_san = "DNS:gateway.helpline.example""#,
);

pub const CREDENTIAL_WITHOUT_PROOF: Code = code(
    "E204",
    "a credential does not say how it is recognised",
    "Without a proof, nobody could use it, or anybody.",
    r#"[[contractor.credential]]
id = "parcelco-gateway""#,
    r#"[[contractor.credential]]
id       = "parcelco-gateway"
mtls_san = "DNS:gateway.parcelco.example""#,
);

pub const CREDENTIAL_WITH_SEVERAL_PROOFS: Code = code(
    "E205",
    "a credential is recognised in several ways",
    "It would be unclear whether one of them is enough or all are needed. A second way is a second credential.",
    r#"mtls_san       = "DNS:gateway.parcelco.example"
api_key_sha256 = "9f86d081…""#,
    r#"mtls_san = "DNS:gateway.parcelco.example""#,
);

pub const TRANSFER_WITHOUT_MECHANISM: Code = code(
    "E206",
    "data crosses a border without a transfer mechanism",
    "Personal data may go to another country only on a declared ground (GDPR, chapter V). It stands in the agreement and in every entry of the ledger.",
    r#"jurisdiction = "NL"   # and the gateway stands in the US"#,
    r#"[contractor.agreement]
transfer = "scc""#,
);

pub const AGREEMENT_ENDS_BEFORE_IT_BEGINS: Code = code(
    "E207",
    "an agreement ends before it begins",
    "There would be no day on which it holds. `expires` is the first day on which it no longer does.",
    r#"effective = 2026-01-01
expires   = 2025-12-31"#,
    r#"effective = 2026-01-01
expires   = 2027-12-31"#,
);

pub const TOKEN_KEYS_WITHOUT_CA: Code = code(
    "E208",
    "a token issuer's keys have no authority",
    "Whoever can pose as the server of these keys can issue tokens for this contractor. So the server's certificate is checked against one named authority.",
    r#"jwks = "https://id.parcelco.example/jwks.json""#,
    r#"jwks    = "https://id.parcelco.example/jwks.json"
jwks_ca = "certs/id-ca.pem""#,
);

pub const TOKEN_KEYS_UNPROTECTED: Code = code(
    "E209",
    "a token issuer's keys come over an open line",
    "Keys that anybody on the way can replace prove nothing.",
    r#"jwks = "http://id.parcelco.example/jwks.json""#,
    r#"jwks = "certs/parcelco.jwks.json""#,
);

pub const TOKEN_KEY_WITHOUT_EFFECT: Code = code(
    "E210",
    "a key of a token has no effect",
    "It concerns keys that are fetched, and these are in a file.",
    r#"jwks    = "certs/parcelco.jwks.json"
jwks_ca = "certs/id-ca.pem""#,
    r#"jwks = "certs/parcelco.jwks.json""#,
);

pub const CANARY_TWICE: Code = code(
    "E211",
    "a planted customer is listed twice",
    "One of the two is probably meant to be another customer, and would then raise no alert.",
    r#"canaries = ["900001", 900001]"#,
    r#"canaries = ["900001", "900002"]"#,
);

pub const NETWORK_MAPPED: Code = code(
    "E212",
    "a network is IPv4 in the form of IPv6",
    "Addresses are compared in the form of IPv4, so this network would never match.",
    r#"networks = ["::ffff:192.0.2.0/120"]"#,
    r#"networks = ["192.0.2.0/24"]"#,
);

pub const NETWORK_BITS: Code = code(
    "E213",
    "a network has bits behind its prefix",
    "It is unclear whether one address is meant or the whole network.",
    r#"networks = ["192.0.2.7/24"]"#,
    r#"networks = ["192.0.2.0/24"]"#,
);

pub const AGREEMENT_ENDED: Code = code(
    "W201",
    "the agreement has ended",
    "From the day `expires` on, every request of the contractor is refused.",
    "expires = 2020-12-31",
    "expires = 2027-12-31",
);

pub const CANARIES_WITHOUT_SUBJECT: Code = code(
    "W202",
    "planted customers cannot be recognised",
    "A planted customer is recognised by the subject of a record, and no route says where that stands. No alert would ever be raised.",
    r#"canaries = ["900001"]   # and no route has a subject"#,
    r#"subject = "@.customer.id""#,
);

pub const NO_CREDENTIAL: Code = code(
    "W203",
    "a contractor has no credential",
    "Nobody can prove to be this contractor, so nobody can use these rules.",
    "# no [[contractor.credential]]",
    r#"[[contractor.credential]]
id       = "parcelco-gateway"
mtls_san = "DNS:gateway.parcelco.example""#,
);

pub const DEROGATION_FOR_SERVICE: Code = code(
    "W211",
    "a service rests on a derogation",
    "GDPR, Article 49, allows transfers in specific situations: with the customer's explicit consent, for a contract with the customer, for a legal claim. A service that goes on and on is not one; document which situation it is, or agree on another mechanism.",
    r#"transfer = "derogation"  # of a contractor with basis = "contract""#,
    r#"transfer = "scc""#,
);
