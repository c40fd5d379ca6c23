//! Diagnostics as SARIF 2.1.0, which code hosts show beside the lines of a change.

use std::path::{Component, Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::diagnostic::codes::{self, Code};
use crate::diagnostic::{Diagnostic, Severity};

/// What stays as it is in a path of a URI (RFC 3986, section 3.3).
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One log with one run. Paths are relative to `home`, where they lie below it.
pub fn log(diagnostics: &[Diagnostic], home: &Path) -> Value {
    let rules: Vec<Value> = codes::all().map(rule).collect();
    let results: Vec<Value> = diagnostics.iter().map(|diagnostic| result(diagnostic, home)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "fieldgate",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    severity.word()
}

fn rule(code: &Code) -> Value {
    let help = format!("{}\n\nWrong:\n{}\n\nRight:\n{}", code.explanation(), code.wrong(), code.right());
    json!({
        "id": code.id(),
        "shortDescription": { "text": code.title() },
        "fullDescription": { "text": code.explanation() },
        "help": { "text": help },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn result(diagnostic: &Diagnostic, home: &Path) -> Value {
    let uri = uri(&diagnostic.source.name, home);
    let subject = match diagnostic.key.as_str() {
        "" => String::new(),
        key => format!("`{key}` "),
    };
    let text = format!("{subject}{}: {}", diagnostic.message, diagnostic.help);
    let (line, column) = diagnostic.position();
    let (end_line, end_column) = diagnostic.end();
    json!({
        "ruleId": diagnostic.code.id(),
        "ruleIndex": codes::all().position(|code| *code == diagnostic.code),
        "level": level(diagnostic.severity()),
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri },
            "region": {
                "startLine": line, "startColumn": column,
                "endLine": end_line, "endColumn": end_column,
            },
        } }],
        "partialFingerprints": { "fieldgate/v1": fingerprint(diagnostic, &uri) },
    })
}

/// The same for the same fault wherever its line moves to.
fn fingerprint(diagnostic: &Diagnostic, uri: &str) -> String {
    let text = [diagnostic.code.id(), uri, &diagnostic.key, &diagnostic.message].join("\n");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn uri(name: &str, home: &Path) -> String {
    let path = Path::new(name);
    let parts = path.strip_prefix(home).unwrap_or(path).components();
    let parts = parts.filter(|part| *part != Component::CurDir);
    let path: std::path::PathBuf = parts.collect();
    utf8_percent_encode(&path.to_string_lossy(), PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Report, Source};

    #[test]
    fn a_result_has_a_relative_uri_its_region_and_a_fingerprint_that_outlives_its_line() {
        let found = |text: &str| {
            let at = text.find("\"wrö").unwrap();
            let mut report = Report::new(Source::new("/home/rules/a b.toml", text));
            report.add(codes::NOT_UNDERSTOOD, &(at..at + 6), "name", "is wrong", "write \"right\"");
            log(&report.found, Path::new("/home"))["runs"][0]["results"][0].clone()
        };
        let (first, moved) = (found("name = \"wrö\"\n"), found("\nname = \"wrö\"\n"));
        let place = &first["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "rules/a%20b.toml");
        assert_eq!(
            place["region"],
            json!({ "startLine": 1, "startColumn": 8, "endLine": 1, "endColumn": 13 })
        );
        assert_eq!(first["partialFingerprints"], moved["partialFingerprints"]);
        assert_eq!(first["ruleId"], "E105");
    }
}
