//! Examples beside the rules: what an upstream answers, and what may leave of it.
//!
//! `rules/fixtures/NAME/` holds `fixture.toml` (who calls what), `upstream.json`, and `expected.json`, or none
//! where nothing may leave.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::table::{Table, read_file};
use crate::diagnostic::{Diagnostic, Report, Source, codes};
use crate::filter::{Form, Outcome, Tally, Transform};

use super::plan::{Contractor, Plan, Route};
use super::template::RequestPath;

/// Bytes of a difference that are shown.
const SHOWN: usize = 60;

/// Who calls what.
#[derive(Clone, Debug)]
pub struct Call {
    pub contractor: String,
    pub path: String,
    pub method: String,
    /// Where several tasks serve the path.
    pub task: Option<String>,
}

/// Why a call has no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    #[error("there is no contractor {0}; there are: {1}")]
    Contractor(String, String),
    #[error("{0} is not a path")]
    Path(String),
    #[error("{0} has no route for {1} {2}")]
    Route(String, String, String),
    #[error("several tasks serve this path; name one of: {0}")]
    Tasks(String),
}

impl Call {
    /// The route that serves the call.
    ///
    /// # Errors
    /// Where none does, or it is not plain which.
    pub fn route<'p>(&self, plan: &'p Plan) -> Result<(&'p Contractor, &'p Route), NoRoute> {
        let known = plan.contractors.iter().find(|known| known.id.as_str() == self.contractor);
        let contractor = known.ok_or_else(|| {
            let ids: Vec<&str> = plan.contractors.iter().map(|known| known.id.as_str()).collect();
            NoRoute::Contractor(self.contractor.clone(), ids.join(", "))
        })?;
        let written = self.path.split('?').next().unwrap_or_default();
        let path = RequestPath::parse(written).map_err(|_| NoRoute::Path(self.path.clone()))?;
        let task = |route: &Route| contractor.tasks[route.task].id.as_str();
        let fits = |route: &&Route| {
            route.methods.iter().any(|method| method.as_str() == self.method)
                && self.task.as_ref().is_none_or(|wanted| wanted == task(route))
        };
        // What a grant discloses is looked at also before and after it is in force.
        let routes = contractor.routes_of(&path, |_| true).into_iter().map(|index| &contractor.routes[index]);
        let fitting: Vec<&Route> = routes.filter(fits).collect();
        match fitting[..] {
            [route] => Ok((contractor, route)),
            [] => Err(NoRoute::Route(self.contractor.clone(), self.method.clone(), self.path.clone())),
            _ => Err(NoRoute::Tasks(fitting.iter().map(|route| task(route)).collect::<Vec<_>>().join(", "))),
        }
    }
}

/// Runs all fixtures of a directory of rules; what does not come out as expected is an error.
///
/// # Errors
/// Where a file cannot be read.
pub fn run(rules: &Path, plan: &Plan) -> std::io::Result<(usize, Vec<Diagnostic>)> {
    let folder = rules.join("fixtures");
    let mut names: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => {
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(named(&folder, error)),
    };
    names.sort();
    let mut found = Vec::new();
    for fixture in &names {
        found.append(&mut one(fixture, plan)?);
    }
    Ok((names.len(), found))
}

fn one(fixture: &Path, plan: &Plan) -> std::io::Result<Vec<Diagnostic>> {
    let source = |name: &str, text: String| Source::new(fixture.join(name).display().to_string(), text);
    let read = |name: &str| {
        std::fs::read_to_string(fixture.join(name)).map_err(|error| named(&fixture.join(name), error))
    };
    let call_source = source("fixture.toml", read("fixture.toml")?);
    let upstream = read("upstream.json")?;
    let expected = match read("expected.json") {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut report = Report::new(Arc::clone(&call_source));
    let Some(call) = read_file(&call_source, &mut report, call) else { return Ok(report.found) };
    let (contractor, route) = match call.route(plan) {
        Ok(found) => found,
        Err(error) => {
            report.add(
                codes::FIXTURE_WITHOUT_ROUTE,
                &(0..0),
                "path",
                error.to_string(),
                "mend the fixture, or the rules",
            );
            return Ok(report.found);
        }
    };
    let admission = contractor.tasks[route.task].assumed();
    let asks = admission.is_some();
    let leaves = match route.filter.reduce_for(upstream.as_bytes(), admission) {
        Ok(Outcome::Reduced { body, tally }) => {
            lint(route, &tally, &mut report);
            Some(String::from_utf8_lossy(&body).into_owned())
        }
        Ok(Outcome::Withheld) => None,
        Err(fault) => {
            let mut report = Report::new(source("upstream.json", upstream));
            report.add(
                codes::FIXTURE_REFUSED,
                &(0..0),
                "",
                format!("is refused: {fault}"),
                "an upstream that answers so gets a 502",
            );
            return Ok(report.found);
        }
    };
    let mut found = report.found;
    found.extend(compare(leaves, expected, asks, |text| source("expected.json", text)));
    Ok(found)
}

/// What leaves may be as expected, and the rule not fit the upstream all the same.
fn lint(route: &Route, tally: &Tally, report: &mut Report) {
    for ((label, count), (_, treatment)) in
        route.fields.iter().zip(&tally.fields).zip(&route.selection.disclose)
    {
        if count.drifted > 0 {
            let message =
                format!("shows {} that \"{}\" does not disclose", values(count.drifted), label.path);
            let help = "they are not what the rule says: a plain path discloses no object, and `type`, \
                        `max_length` and `pattern` hold; name the members, or mend the example";
            report.add(codes::FIXTURE_DRIFTS, &(0..0), "", message, help);
        }
        let misfits = count.withheld - count.drifted;
        // The last page of a list has no next one.
        let is_link = matches!(treatment.form, Form::Transformed(Transform::RewriteUrl(_)));
        if let (Some(transform), false, 1..) = (label.treatment, is_link, misfits) {
            let message =
                format!("shows {} at \"{}\" that `{transform}` does not take", values(misfits), label.path);
            let help = "they are withheld; use another transform, or mend the example";
            report.add(codes::FIXTURE_WITHHOLDS, &(0..0), "", message, help);
        }
    }
    if route.selection.subject.is_some() && tally.subjects.is_empty() && tally.without_subject > 0 {
        let message = "shows records that leave, and `subject` is found in none of them";
        let help =
            "mend the path, or the example: the ledger could not tell whom these disclosures are about";
        report.add(codes::FIXTURE_WITHOUT_SUBJECT, &(0..0), "", message, help);
    }
}

fn values(count: u64) -> String {
    if count == 1 { "a value".to_owned() } else { format!("{count} values") }
}

/// Who calls what in a fixture, where its head can be read.
pub(super) fn call_of(fixture: &Path) -> Option<Call> {
    let file = fixture.join("fixture.toml");
    let source = Source::new(file.display().to_string(), std::fs::read_to_string(&file).ok()?);
    read_file(&source, &mut Report::new(Arc::clone(&source)), call)
}

fn compare(
    leaves: Option<String>,
    expected: Option<String>,
    asks: bool,
    source: impl Fn(String) -> Arc<Source>,
) -> Vec<Diagnostic> {
    let (expected, leaves) = match (expected, leaves) {
        (Some(expected), Some(leaves)) if expected.trim_end() == leaves => return Vec::new(),
        (None, None) => return Vec::new(),
        (Some(expected), Some(leaves)) => (expected, leaves),
        (Some(expected), None) => {
            let mut report = Report::new(source(expected));
            let help = "remove the file if nothing may leave, or mend the condition";
            let message = match asks {
                true => "nothing leaves: the condition does not hold, or the customer is not let through",
                false => "nothing leaves: the condition does not hold",
            };
            report.add(codes::FIXTURE_NOTHING_LEAVES, &(0..0), "", message, help);
            return report.found;
        }
        (None, Some(leaves)) => {
            let mut report = Report::new(source(String::new()));
            let help = format!("nothing is expected, and this leaves: {}", shown(&leaves, 0));
            report.add(codes::FIXTURE_UNEXPECTED, &(0..0), "", "is missing", help);
            return report.found;
        }
    };
    let same = expected.bytes().zip(leaves.bytes()).take_while(|(one, other)| one == other).count();
    let mut at = same.min(expected.len());
    while !expected.is_char_boundary(at) {
        at -= 1;
    }
    let mut report = Report::new(source(expected));
    let help = format!("what leaves goes on here with: {}", shown(&leaves, at));
    report.add(codes::FIXTURE_DIFFERS, &(at..at + 1), "", "is not what leaves", help);
    report.found
}

fn shown(text: &str, from: usize) -> String {
    let rest = text.get(from..).unwrap_or_default();
    let rest: String = rest.chars().take(SHOWN).collect();
    if rest.is_empty() { "the end".to_owned() } else { rest }
}

fn call(table: &mut Table, report: &mut Report) -> Option<Call> {
    let mut text = |key, example| table.require(report, key, example)?.text(report).map(str::to_owned);
    let contractor = text("contractor", "\"parcelco\"");
    let path = text("path", "\"/orders/504499\"");
    let method = table.get("method").map(|value| value.text(report).map(str::to_owned));
    let task = table.get("task").map(|value| value.text(report).map(str::to_owned));
    Some(Call {
        contractor: contractor?,
        path: path?,
        method: method.unwrap_or(Some("GET".to_owned()))?,
        task: task.flatten(),
    })
}

/// Writes a fixture, which must not be there yet.
///
/// # Errors
/// Where it is there, or cannot be written.
pub fn save(
    rules: &Path,
    name: &str,
    call: &Call,
    upstream: &[u8],
    expected: Option<&[u8]>,
) -> std::io::Result<PathBuf> {
    let folder = rules.join("fixtures").join(name);
    std::fs::create_dir_all(rules.join("fixtures"))?;
    std::fs::create_dir(&folder).map_err(|error| named(&folder, error))?;
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut head = format!("contractor = {}\npath = {}\n", quoted(&call.contractor), quoted(&call.path));
    if call.method != "GET" {
        head += &format!("method = {}\n", quoted(&call.method));
    }
    if let Some(task) = &call.task {
        head += &format!("task = {}\n", quoted(task));
    }
    std::fs::write(folder.join("fixture.toml"), head)?;
    std::fs::write(folder.join("upstream.json"), upstream)?;
    if let Some(expected) = expected {
        std::fs::write(folder.join("expected.json"), [expected, b"\n"].concat())?;
    }
    Ok(folder)
}

fn named(path: &Path, error: std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
