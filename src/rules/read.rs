//! Reads a rule file key by key. What is wrong is reported, and the rest is read all the same.

use jiff::civil::Date;
use regex::{Regex, RegexBuilder};

use crate::diagnostic::table::{At, Table, Value, read_file};
use crate::diagnostic::{Report, Source, codes};
use crate::filter::{Condition, Kinds, Path, PathError, Pattern, Shape, Type};
use crate::model::{Basis, Canaries, ContractorId, Country, CredentialId, Rate, TaskId, TransferMechanism};

use super::access::Access;
use super::category;
use super::file::{Agreement, Credential, Field, Limits, Method, Proof, Route, RuleFile, Task, Written};
use super::template::PathTemplate;
use super::{legal, tokens};

const TRANSFORMS: &[&str] =
    &["last4", "mask", "initials", "email-domain", "year", "truncate", "pseudonym", "redact", "rewrite-url"];

/// Reads one file. What is wrong with it goes into `report`, and something that stands in for it comes
/// back, so that what is right is held against the rest: there is no plan then. Nothing comes back where the
/// file is not TOML.
pub fn read(source: &Source, report: &mut Report) -> Option<RuleFile> {
    read_file(source, report, |top, report| {
        let head = top.require(report, "contractor", "a table [contractor]");
        let head = head.and_then(|value| value.read_table(report, contractor));
        let tasks = top.tables(report, "task", task);
        if tasks.is_empty() && top.get("task").is_none() {
            report.add(
                codes::NO_TASK,
                &(0..0),
                "task",
                "is missing",
                "without a [[task]] this contractor sees nothing",
            );
        }
        Some(RuleFile { tasks, ..head.unwrap_or_else(|| no_head(top)) })
    })
}

/// In the place of `[contractor]`.
fn no_head(top: &Table) -> RuleFile {
    RuleFile {
        id: top.stand_in(ContractorId::stand_in()),
        name: String::new(),
        service: String::new(),
        jurisdiction: top.stand_in(Country::UNKNOWN),
        contact: String::new(),
        agreement: no_agreement(top),
        credentials: vec![no_credential(top)],
        canaries: Canaries::default(),
        tasks: Vec::new(),
    }
}

/// In the place of `[contractor.agreement]`.
fn no_agreement(table: &Table) -> Agreement {
    Agreement {
        reference: String::new(),
        effective: table.stand_in(Date::MIN),
        expires: table.stand_in(Date::MAX),
        transfer: Some(table.stand_in(TransferMechanism::StandardContractualClauses)),
    }
}

/// In the place of a `[[contractor.credential]]`.
fn no_credential(table: &Table) -> Credential {
    Credential { id: table.stand_in(CredentialId::stand_in()), proof: table.stand_in(Proof::ApiKey([0; 32])) }
}

fn contractor(table: &mut Table, report: &mut Report) -> Option<RuleFile> {
    let id = table.require(report, "id", "\"parcelco\"").and_then(|v| v.parse(report, ContractorId::new));
    let name = text(table, report, "name", "\"ParcelCo Logistics B.V.\"");
    let service = text(table, report, "service", "\"Packaging and shipping\"");
    let jurisdiction =
        table.require(report, "jurisdiction", "\"NL\"").and_then(|v| v.parse(report, Country::new));
    let contact = text(table, report, "contact", "\"privacy@parcelco.example\"");
    let agreement = table
        .require(report, "agreement", "a table [contractor.agreement]")
        .and_then(|value| value.read_table(report, agreement));
    let before = report.found.len();
    let mut credentials = table.tables(report, "credential", credential);
    if credentials.is_empty() && report.found.len() > before {
        credentials.push(no_credential(table));
    }
    let canaries = canaries(table, report);
    Some(RuleFile {
        id: id.unwrap_or_else(|| table.stand_in(ContractorId::stand_in())),
        name: name.unwrap_or_default(),
        service: service.unwrap_or_default(),
        jurisdiction: jurisdiction.unwrap_or_else(|| table.stand_in(Country::UNKNOWN)),
        contact: contact.unwrap_or_default(),
        agreement: agreement.unwrap_or_else(|| no_agreement(table)),
        credentials,
        canaries,
        tasks: Vec::new(),
    })
}

/// The planted customers, each once. What is wrong is shown at the table and named by its key: a line of these
/// ids must not get into a log.
fn canaries(table: &mut Table, report: &mut Report) -> Canaries {
    let mut canaries = Canaries::default();
    let Some(value) = table.get("canaries") else { return canaries };
    let before = report.found.len();
    for written in value.list(report).unwrap_or_default() {
        let Some(id) = written.name(report) else { continue };
        if !canaries.add(id) {
            let help = "list each planted customer once; a text and a number of the same digits are one";
            report.add(codes::CANARY_TWICE, &written.span(), written.key(), "is listed twice", help);
        }
    }
    let head = table.at(()).span;
    report.found.iter_mut().skip(before).for_each(|found| found.span = head.clone());
    canaries
}

fn agreement(table: &mut Table, report: &mut Report) -> Option<Agreement> {
    let reference = text(table, report, "reference", "\"DPA-2026-014\"");
    let effective = table.require(report, "effective", "2026-01-01").and_then(|v| v.date(report));
    let expires = table.require(report, "expires", "2027-12-31").and_then(|v| v.date(report));
    let transfer = table.get("transfer").map(|value| {
        let word = value.word(report, TransferMechanism::WORDS, TransferMechanism::new);
        word.unwrap_or_else(|| value.stand_in(TransferMechanism::StandardContractualClauses))
    });
    let effective = effective.unwrap_or_else(|| table.stand_in(Date::MIN));
    let expires = expires.unwrap_or_else(|| table.stand_in(Date::MAX));
    if expires.value <= effective.value {
        report.add(
            codes::AGREEMENT_ENDS_BEFORE_IT_BEGINS,
            &expires.span,
            &expires.key,
            "is not after `effective`",
            "write the first day on which it no longer holds",
        );
    }
    Some(Agreement { reference: reference.unwrap_or_default(), effective, expires, transfer })
}

fn credential(table: &mut Table, report: &mut Report) -> Option<Credential> {
    const ONE: &str = "one of mtls_san, mtls_sha256, api_key_sha256, jwt";
    let id =
        table.require(report, "id", "\"parcelco-gateway\"").and_then(|v| v.parse(report, CredentialId::new));
    let proofs = [
        table.get("mtls_san").map(|v| v.parse(report, san)),
        table.get("mtls_sha256").map(|v| v.parse(report, |text| sha256(text).map(Proof::Fingerprint))),
        table.get("api_key_sha256").map(|v| v.parse(report, |text| sha256(text).map(Proof::ApiKey))),
        table.get("jwt").map(|v| tokens::read(&v, report)),
    ];
    let mut given = proofs.into_iter().flatten();
    let Some(proof) = given.next() else {
        let at = table.at(());
        report.add(
            codes::CREDENTIAL_WITHOUT_PROOF,
            &at.span,
            &at.key,
            "does not say how it is recognised",
            format!("add {ONE}"),
        );
        return Some(Credential {
            id: id.unwrap_or_else(|| no_credential(table).id),
            ..no_credential(table)
        });
    };
    if given.next().is_some() {
        let at = table.at(());
        report.add(
            codes::CREDENTIAL_WITH_SEVERAL_PROOFS,
            &at.span,
            &at.key,
            "says in several ways how it is recognised",
            format!("keep {ONE}; a second way is a second credential"),
        );
    }
    let none = no_credential(table);
    Some(Credential { id: id.unwrap_or(none.id), proof: proof.unwrap_or(none.proof) })
}

fn san(text: &str) -> Result<Proof, &'static str> {
    match text.split_once(':') {
        Some(("URI", uri)) if uri.contains(':') => Ok(Proof::SanUri(uri.to_owned())),
        Some(("DNS", name)) if !name.is_empty() && !name.contains('*') => {
            Ok(Proof::SanDns(name.to_ascii_lowercase()))
        }
        _ => Err(
            "\"URI:\" or \"DNS:\" and the name in the certificate, such as \"URI:spiffe://parcelco.example/gateway\"; no wildcard",
        ),
    }
}

/// 64 hexadecimal digits, with or without colons.
fn sha256(text: &str) -> Result<[u8; 32], &'static str> {
    const WRONG: &str = "SHA-256 as 64 hexadecimal digits";
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(WRONG);
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| WRONG)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| WRONG)?;
    }
    Ok(hash)
}

fn task(table: &mut Table, report: &mut Report) -> Option<Task> {
    let id = table.require(report, "id", "\"deliver-order\"").and_then(|v| v.parse(report, TaskId::new));
    let purpose = text(table, report, "purpose", "\"Deliver the customer's parcel\"");
    let basis =
        table.require(report, "basis", "\"contract\"").and_then(|v| v.word(report, Basis::WORDS, Basis::new));
    let consent = table.get("consent").and_then(|value| value.parse(report, TaskId::new));
    let legal = legal::read(table, basis.as_ref(), report);
    let payment = table.get("payment").is_some_and(|value| value.boolean(report) == Some(true));
    let limits = table.get("limits").map(|value| value.read_table(report, limits).unwrap_or_default());
    let says_limits = limits.is_some();
    let routes = table.tables(report, "route", route);
    let (limits, access) = limits.unwrap_or_default();
    Some(Task {
        id: id.unwrap_or_else(|| table.stand_in(TaskId::stand_in())),
        purpose: purpose.unwrap_or_default(),
        basis: basis.unwrap_or_else(|| table.stand_in(Basis::Contract)),
        legal,
        consent: consent.map(|at| at.value),
        payment,
        says_limits,
        limits,
        access,
        routes,
    })
}

/// What is wrong is reported and stands at its default, so that the rest is looked at too.
fn limits(table: &mut Table, report: &mut Report) -> Option<(Limits, Access)> {
    let mut limits = Limits::default();
    if let Some(requests) = table.get("requests").and_then(|value| value.parse(report, Rate::parse)) {
        limits.requests = requests.value;
        limits.burst = limits.requests.count.get();
    }
    let mut count = |key, most| table.get(key).and_then(|value| value.integer(report, 1..=most));
    // What refills slowly cannot be large: it is counted in nanoseconds, and a year is enough.
    const YEAR: u128 = 31_536_000_000_000_000;
    let one = (limits.requests.per / limits.requests.count.get()).as_nanos().max(1);
    let most = u64::try_from(YEAR / one).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
    if let Some(burst) = count("burst", most) {
        limits.burst = burst as u32;
    }
    if let Some(concurrent) = count("concurrent", 100_000) {
        limits.concurrent = concurrent as usize;
    }
    if let Some(subjects) = count("subjects_per_day", 1_000_000_000_000) {
        limits.subjects_per_day = subjects;
    }
    Some((limits, Access::read(table, report)))
}

fn route(table: &mut Table, report: &mut Report) -> Option<Route> {
    let path = table
        .require(report, "path", "\"/orders/{order_id}\"")
        .and_then(|v| v.parse(report, PathTemplate::parse));
    let methods = match table.get("methods") {
        Some(value) => methods(&value, report),
        None => vec![table.at(Method::Get)],
    };
    let upstream = table
        .require(report, "upstream", "the name of an [upstream.…] of fieldgate.toml")
        .and_then(|v| v.text(report).map(|text| v.at(text.to_owned())));
    let query = table.get("query").map_or_else(Vec::new, |value| texts(&value, report));
    let params = table.get("params").map_or_else(Vec::new, |value| params(&value, report));
    let accept = table.get("accept").map(|value| paths(&value, report));
    let mut located_path = |key, any| {
        let value = table.get(key)?;
        path_value(&value, report).or_else(|| Some(value.stand_in(Path::parse(any).ok()?)))
    };
    let records = located_path("records", "$[*]");
    let subject = located_path("subject", "@.id");
    let when = table.get("when").and_then(|value| located(&value, report, Condition::parse));
    let disclose = match table.require(report, "disclose", "[\"@.order_id\"]") {
        Some(value) => fields(&value, accept.is_some(), report),
        None => table.at(Vec::new()),
    };
    Some(Route {
        path: path.unwrap_or_else(|| table.stand_in(PathTemplate::stand_in())),
        methods,
        upstream: upstream.unwrap_or_else(|| table.stand_in(String::new())),
        query,
        params,
        accept,
        records,
        subject,
        when,
        disclose,
    })
}

/// A list with something wrong in it comes back without that, so that the rest is looked at too.
fn fields(value: &Value, accepts: bool, report: &mut Report) -> At<Vec<Field>> {
    let list = value.list(report);
    if list.as_ref().is_some_and(Vec::is_empty) && !accepts {
        report.add(
            codes::NOTHING_DISCLOSED,
            &value.span(),
            value.key(),
            "is empty: this route gives nothing",
            "list what may leave",
        );
    }
    value.at(list.iter().flatten().filter_map(|written| field(written, report)).collect())
}

fn methods(value: &Value, report: &mut Report) -> Vec<At<Method>> {
    let Some(list) = value.list(report) else { return vec![value.stand_in(Method::Get)] };
    if list.is_empty() {
        report.add(
            codes::EMPTY_LIST,
            &value.span(),
            value.key(),
            "lists no method",
            "leave it out for [\"GET\"]",
        );
        return vec![value.stand_in(Method::Get)];
    }
    let method = |written: &Value| {
        let word = written.word(report, Method::WORDS, Method::new);
        word.unwrap_or_else(|| written.stand_in(Method::Get))
    };
    list.iter().map(method).collect()
}

fn params(value: &Value, report: &mut Report) -> Vec<At<(String, Regex)>> {
    value.read_map(report, |name, pattern, report| {
        // Alone first: a pattern that closes a bracket of ours must not pass.
        let anchored = |text: &str| {
            let whole = || RegexBuilder::new(&format!(r"\A(?:{text})\z")).size_limit(1 << 18).build();
            let regex = Regex::new(text).and_then(|_| whole());
            regex.map_err(|_| "a regular expression for the whole value, such as \"[0-9]{1,12}\"")
        };
        let regex = pattern.parse(report, anchored)?;
        Some(regex.map(|regex| (name.to_owned(), regex)))
    })
}

fn paths(value: &Value, report: &mut Report) -> Vec<At<Path>> {
    let list = value.list(report).unwrap_or_default();
    list.iter().filter_map(|path| path_value(path, report)).collect()
}

fn path_value(value: &Value, report: &mut Report) -> Option<At<Path>> {
    located(value, report, Path::parse)
}

/// Parses a path or a condition, pointing into its text where it is wrong.
fn located<T>(
    value: &Value,
    report: &mut Report,
    parse: impl FnOnce(&str) -> Result<T, PathError>,
) -> Option<At<T>> {
    let text = value.text(report)?;
    match parse(text) {
        Ok(parsed) => Some(value.at(parsed)),
        Err(error) => {
            let mut span = value.span();
            // Inside a one-line string without escapes, text and file go step by step.
            if error.offset > 0 && span.len() == text.len() + 2 {
                span.start += 1 + error.offset.min(text.len().saturating_sub(1));
                span.end = span.start + 1;
            }
            let help =
                "JSONPath is RFC 9535: names .a or ['a','b'], [*], [0], [-1], [1:3], [?@.a == 1], one `..`";
            report.add(codes::PATH_NOT_UNDERSTOOD, &span, value.key(), error.to_string(), help);
            None
        }
    }
}

fn field(value: &Value, report: &mut Report) -> Option<Field> {
    if !value.is_table() {
        let path = path_value(value, report)?;
        return Some(Field {
            text: value.at(value.text(report)?.to_owned()),
            path: path.value,
            treatment: Written::Plain,
            shape: None,
            scan: Kinds::default(),
            category: None,
        });
    }
    value.read_table(report, |table, report| {
        let path = table.require(report, "path", "\"@.recipient.phone\"");
        let treatment = treatment(table, report);
        let shape = shape(table, report);
        let scan = scan(table, report, treatment);
        let category = table.get("category").and_then(|value| value.parse(report, category::parse));
        let path = path?;
        let parsed = path_value(&path, report)?;
        Some(Field {
            text: path.at(path.text(report)?.to_owned()),
            path: parsed.value,
            treatment: treatment?,
            shape,
            scan,
            category: category.map(|at| at.value),
        })
    })
}

/// What the field must be: `type`, `max_length`, `pattern`.
fn shape(table: &mut Table, report: &mut Report) -> Option<Shape> {
    let types = match table.get("type") {
        Some(value) if value.is_list() => {
            let list = value.list(report).unwrap_or_default();
            list.iter().filter_map(|word| word.word(report, Type::WORDS, Type::new)).collect()
        }
        Some(value) => value.word(report, Type::WORDS, Type::new).into_iter().collect(),
        None => Vec::new(),
    };
    let types: Vec<Type> = types.into_iter().map(|at: At<Type>| at.value).collect();
    let max_length = table.get("max_length").and_then(|value| value.integer(report, 1..=1_000_000_000));
    let pattern = table.get("pattern").and_then(|value| value.parse(report, Pattern::parse));
    let shape = Shape { types, max_length, pattern: pattern.map(|at| at.value) };
    (shape != Shape::default()).then_some(shape)
}

/// What is looked for in free text.
fn scan(table: &mut Table, report: &mut Report, treatment: Option<Written>) -> Kinds {
    const WORDS: &[&str] = &["pan", "iban", "email", "phone"];
    let mut kinds = Kinds::default();
    let Some(value) = table.get("scan") else { return kinds };
    for word in &value.list(report).unwrap_or_default() {
        match word.word(report, WORDS, |text| WORDS.iter().position(|word| *word == text)).map(|at| at.value)
        {
            Some(0) => kinds.pan = true,
            Some(1) => kinds.iban = true,
            Some(2) => kinds.email = true,
            Some(_) => kinds.phone = true,
            None => {}
        }
    }
    let keeps_text = matches!(
        treatment,
        Some(Written::Plain | Written::Whole | Written::Mask { .. } | Written::Truncate { .. })
    );
    if treatment.is_some() && !keeps_text {
        report.add(
            codes::SCAN_WITHOUT_TEXT,
            &value.span(),
            value.key(),
            "stands beside a transform that keeps no text",
            "scan the text as it is, or with \"mask\" or \"truncate\"",
        );
    }
    kinds
}

fn treatment(table: &mut Table, report: &mut Report) -> Option<Written> {
    let whole = table.get("whole").map(|value| value.boolean(report));
    let transform = table
        .get("transform")
        .map(|v| v.word(report, TRANSFORMS, |text| TRANSFORMS.contains(&text).then(|| text.to_owned())));
    let treatment = match (whole, transform) {
        (None | Some(Some(false)), None) => Written::Plain,
        (Some(Some(true)), None) => Written::Whole,
        (Some(_), Some(_)) => {
            let at = table.at(());
            report.add(
                codes::WHOLE_AND_TRANSFORM,
                &at.span,
                &at.key,
                "has both `whole` and `transform`",
                "a transform works on one value, not on a subtree; keep one",
            );
            return None;
        }
        (Some(None), None) | (None, Some(None)) => {
            // Of a transform that is not understood, nobody knows which of these belong to it.
            for key in ["keep_first", "keep_last", "length"] {
                table.get(key);
            }
            return None;
        }
        (None, Some(Some(name))) => match name.value.as_str() {
            "last4" => Written::Last4,
            "mask" => {
                let mut keep = |key| count(table, report, key, 0);
                let (keep_first, keep_last) = (keep("keep_first"), keep("keep_last"));
                Written::Mask { keep_first: keep_first?, keep_last: keep_last? }
            }
            "initials" => Written::Initials,
            "email-domain" => Written::EmailDomain,
            "year" => Written::Year,
            "truncate" => {
                table.require(report, "length", "10")?;
                Written::Truncate { length: count(table, report, "length", 0)? }
            }
            "pseudonym" => Written::Pseudonym,
            "redact" => Written::Redact,
            _ => Written::RewriteUrl,
        },
    };
    Some(treatment)
}

fn count(table: &mut Table, report: &mut Report, key: &'static str, default: usize) -> Option<usize> {
    match table.get(key) {
        Some(value) => value.integer(report, 0..=10_000).map(|count| count as usize),
        None => Some(default),
    }
}

fn text(table: &mut Table, report: &mut Report, key: &'static str, example: &str) -> Option<String> {
    table.require(report, key, example)?.text(report).map(str::to_owned)
}

fn texts(value: &Value, report: &mut Report) -> Vec<String> {
    let list = value.list(report).unwrap_or_default();
    list.iter().filter_map(|text| text.text(report).map(str::to_owned)).collect()
}
