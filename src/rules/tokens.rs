//! The key `jwt` of a credential.

use std::path::PathBuf;
use std::time::Duration;

use crate::diagnostic::table::{At, Table, Value};
use crate::diagnostic::{Report, codes};
use crate::model::parse_duration;
use crate::token::{Algorithms, Source, TokenRule};

use super::file::Proof;

/// Between two fetches of a key set, where the rule does not say.
const REFRESH: Duration = Duration::from_secs(600);

/// Reads a token rule. Paths are as they are written: the plan knows their folder.
pub fn read(value: &Value, report: &mut Report) -> Option<At<Proof>> {
    let rule = value.read_table(report, rule)?;
    Some(value.at(Proof::Token(rule)))
}

fn rule(table: &mut Table, report: &mut Report) -> Option<TokenRule> {
    let mut text = |key, example| {
        let value = table.require(report, key, example)?;
        value.text(report).map(str::to_owned)
    };
    let issuer = text("issuer", "\"https://id.parcelco.example\"");
    let audience = text("audience", "\"fieldgate\"");
    let subject = text("subject", "\"gateway\"");
    let source = source(table, report);
    let algorithms = match table.get("algorithms") {
        Some(value) => algorithms(&value, report),
        None => Algorithms::all(),
    };
    let typed = table
        .get("type")
        .map(|value| value.word(report, &["at+jwt"], |word| (word == "at+jwt").then_some(())).is_some());
    let bound = table.get("bind").map(|value| {
        value.word(report, &["certificate"], |word| (word == "certificate").then_some(())).is_some()
    });
    let (source, refresh) = source?;
    Some(TokenRule {
        issuer: issuer?,
        audience: audience?,
        subject: subject?,
        source,
        refresh,
        algorithms,
        typed: typed.unwrap_or(false),
        bound: bound.unwrap_or(false),
    })
}

/// Where the keys are, and the time between two fetches.
fn source(table: &mut Table, report: &mut Report) -> Option<(Source, Duration)> {
    let jwks = table.require(report, "jwks", "\"certs/parcelco.jwks.json\"");
    let (ca, refresh) = (table.get("jwks_ca"), table.get("refresh"));
    let jwks = jwks?;
    let written = jwks.text(report)?;
    if written.starts_with("https://") {
        let url = jwks.parse(report, https_url);
        let Some(ca) = ca else {
            let help =
                "add jwks_ca = \"certs/id-ca.pem\": the authority that signed the server's certificate";
            report.add(
                codes::TOKEN_KEYS_WITHOUT_CA,
                &jwks.span(),
                jwks.key(),
                "is https and stands without `jwks_ca`",
                help,
            );
            return None;
        };
        let ca = ca.text(report).map(PathBuf::from);
        let refresh = refresh.map_or(Some(REFRESH), |value| value.parse(report, interval).map(|at| at.value));
        return Some((Source::Https { url: url?.value, ca: ca? }, refresh?));
    }
    if written.contains("://") {
        let help = "a file, or https:// with jwks_ca: keys from elsewhere prove nothing";
        report.add(
            codes::TOKEN_KEYS_UNPROTECTED,
            &jwks.span(),
            jwks.key(),
            "is neither a file nor https",
            help,
        );
        return None;
    }
    for value in [ca, refresh].into_iter().flatten() {
        report.add(
            codes::TOKEN_KEY_WITHOUT_EFFECT,
            &value.span(),
            value.key(),
            "has no effect on a file",
            "remove it, or give an https:// address in jwks",
        );
    }
    Some((Source::File(written.into()), REFRESH))
}

fn algorithms(value: &Value, report: &mut Report) -> Algorithms {
    let list = value.list(report);
    if list.as_ref().is_some_and(Vec::is_empty) {
        report.add(
            codes::EMPTY_LIST,
            &value.span(),
            value.key(),
            "lists no algorithm",
            "leave it out for all asymmetric ones",
        );
    }
    let known = |text: &str| {
        if Algorithms::knows(text) {
            return Ok(text.to_owned());
        }
        let all = Algorithms::WORDS.join(", ");
        Err(match text {
            "none" => format!("one of: {all}; a token without a signature proves nothing"),
            "HS256" | "HS384" | "HS512" => {
                format!("one of: {all}; whoever can verify a token under a shared secret can make one")
            }
            _ => format!("one of: {all}"),
        })
    };
    let words: Vec<String> =
        list.iter().flatten().filter_map(|word| word.parse(report, known)).map(|at| at.value).collect();
    Algorithms::of(words.iter().map(String::as_str))
}

fn https_url(text: &str) -> Result<String, &'static str> {
    const WRONG: &str =
        "https://, a host, and perhaps a port and a path, such as \"https://id.parcelco.example/keys\"";
    let uri: http::Uri = text.parse().map_err(|_| WRONG)?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(WRONG)?;
    if authority.host().is_empty() || text.contains('#') { Err(WRONG) } else { Ok(text.to_owned()) }
}

fn interval(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "a time from 10s to 12h, such as \"10m\"";
    let interval = parse_duration(text).map_err(|_| WRONG)?;
    if (Duration::from_secs(10)..=Duration::from_secs(43_200)).contains(&interval) {
        Ok(interval)
    } else {
        Err(WRONG)
    }
}
