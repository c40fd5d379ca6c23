//! Codes of the gateway file, fieldgate.toml.

use super::{Code, code};

pub(super) const ALL: &[Code] = &[
    CRL_WITHOUT_CA,
    WITNESS_MISSING,
    WITNESS_TWICE,
    TOO_MANY_WITNESSES,
    TLS_DOES_NOT_FIT,
    URL_AND_URLS,
    ENDPOINT_COUNT,
    ENDPOINTS_DIFFER,
    HEALTH_MISSING,
    SECRET_PLACE,
    ADMIN_TLS,
    OIDC_WITHOUT_URL,
    OUTLET_CA,
    FEED_KEY,
    FEED_TWICE,
    FEED_SIGN_IN,
];

pub const CRL_WITHOUT_CA: Code = code(
    "E601",
    "revocation lists stand without a client CA",
    "A list revokes what a client CA signed. Without one, no certificate is taken at all.",
    r#"crl = ["certs/contractor-ca.crl"]"#,
    r#"client_ca = "certs/contractor-ca.pem"
crl       = ["certs/contractor-ca.crl"]"#,
);

pub const WITNESS_MISSING: Code = code(
    "E602",
    "a key is about witnesses and there is none",
    "Without a witness, nobody outside can say that the ledger was not rewritten.",
    r#"[ledger]
quorum = 2"#,
    r#"[[ledger.witness]]
url = "https://witness.example"
key = "NAME+ID+KEY""#,
);

pub const WITNESS_TWICE: Code = code(
    "E603",
    "one witness is listed twice",
    "Two signatures of one witness are worth one.",
    "# two [[ledger.witness]] with one key",
    "# each [[ledger.witness]] has its own key",
);

pub const TOO_MANY_WITNESSES: Code = code(
    "E604",
    "there are too many witnesses",
    "Each signed head waits for them.",
    "# 51 [[ledger.witness]]",
    "# at most 50 [[ledger.witness]]",
);

pub const TLS_DOES_NOT_FIT: Code = code(
    "E605",
    "a URL and its TLS keys do not fit",
    "An https server is checked against a named authority, and a plain one shows no certificate that could be checked. A certificate is shown with its key.",
    r#"url = "https://orders.internal""#,
    r#"url = "https://orders.internal"
ca  = "certs/internal-ca.pem""#,
);

pub const URL_AND_URLS: Code = code(
    "E606",
    "an upstream has both `url` and `urls`",
    "It would be unclear where requests go.",
    r#"url  = "http://127.0.0.1:9001"
urls = ["http://127.0.0.1:9002"]"#,
    r#"urls = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]"#,
);

pub const ENDPOINT_COUNT: Code = code(
    "E607",
    "an upstream has no endpoint, or too many",
    "Requests are spread over the endpoints that are listed.",
    "urls = []",
    r#"urls = ["http://127.0.0.1:9001"]"#,
);

pub const ENDPOINTS_DIFFER: Code = code(
    "E608",
    "the endpoints of an upstream do not fit together",
    "They serve the same requests, so they have one scheme and one path, and each is listed once.",
    r#"urls = ["http://10.0.0.1:9001", "https://10.0.0.2:9001"]"#,
    r#"urls = ["https://10.0.0.1:9001", "https://10.0.0.2:9001"]"#,
);

pub const HEALTH_MISSING: Code = code(
    "E609",
    "a health check has no path",
    "Its interval has no effect without the path that is asked.",
    r#"health_interval = "5s""#,
    r#"health          = "/healthz"
health_interval = "5s""#,
);

pub const SECRET_PLACE: Code = code(
    "E610",
    "a secret does not name one place",
    "A secret is read from a file or from the environment. It is never written into the configuration.",
    "bearer = {}",
    r#"bearer = { file = "secrets/orders.token" }"#,
);

pub const ADMIN_TLS: Code = code(
    "E651",
    "the admin side has half of what TLS needs",
    "Certificate and key go together, and client certificates are shown over TLS only.",
    r#"[admin]
address     = "127.0.0.1:8444"
certificate = "certs/admin.pem""#,
    r#"[admin]
address     = "127.0.0.1:8444"
certificate = "certs/admin.pem"
key         = "certs/admin.key""#,
);

pub const OIDC_WITHOUT_URL: Code = code(
    "E652",
    "sign-in with an identity provider needs the address that browsers come back to",
    "The provider sends a browser back to a URL that it knows beforehand. It must not depend on what a request says.",
    r#"[admin.oidc]
issuer = "https://id.example""#,
    r#"[admin]
url = "https://review.example:8444"

[admin.oidc]
issuer = "https://id.example""#,
);

pub const OUTLET_CA: Code = code(
    "E653",
    "a receiver of alerts, of a feed or of traces and its authority do not fit",
    "Over TLS a receiver is believed by the authority that you name, and by no other. Without TLS there is no certificate to check.",
    r#"[admin.syslog]
address = "tls://logs.example:6514""#,
    r#"[admin.syslog]
address = "tls://logs.example:6514"
ca      = "certs/company-ca.pem""#,
);

pub const FEED_KEY: Code = code(
    "E654",
    "a key does not belong to a feed of this kind",
    "A file has a path, an HTTP endpoint a URL, a syslog or NATS server an address. What a feed does not use would seem to hold.",
    r#"[[feed]]
name = "siem"
kind = "file"
path = "feed/events.jsonl"
key  = { file = "secrets/siem.key" }"#,
    r#"[[feed]]
name = "siem"
kind = "file"
path = "feed/events.jsonl""#,
);

pub const FEED_TWICE: Code = code(
    "E655",
    "two feeds have one name",
    "A feed keeps under its name how much of the ledger it has delivered. Two with one name would skip each other's entries.",
    r#"[[feed]]
name = "siem"

[[feed]]
name = "siem""#,
    r#"[[feed]]
name = "siem"

[[feed]]
name = "archive""#,
);

pub const FEED_SIGN_IN: Code = code(
    "E656",
    "a feed does not sign in to NATS in one way",
    "A NATS server takes a token, a user with a password, or credentials: the seed of an nkey, with a JWT where it does not know the key.",
    r#"[[feed]]
kind = "nats"
user = "fieldgate""#,
    r#"[[feed]]
kind     = "nats"
user     = "fieldgate"
password = { file = "secrets/nats.password" }"#,
);
