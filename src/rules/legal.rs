//! Legal grants: a disclosure that the law or a court asks for, to whom it is named, until a day.
//!
//! `[task.legal]` is read here and held against its task. The customers that it names are never shown: what is
//! wrong where they are written is shown at the table.

use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;

use crate::diagnostic::Report;
use crate::diagnostic::codes::{self, Code};
use crate::diagnostic::table::{At, Table, Value};
use crate::filter::Origin;
use crate::model::{Admission, Basis, NamedSubjects};

use super::file::{self, Method, Written};

/// Longest text that each entry about a use repeats, in characters.
const LONGEST: usize = 200;
/// A grant that ends so soon is told.
const ENDING_DAYS: i32 = 14;
/// A grant that ends later than this is asked about.
const LONG_DAYS: i32 = 366;

/// Who asked for the disclosure, who approved it, about whom and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The reference of the case.
    pub case: String,
    /// The court or authority, or the law.
    pub authority: String,
    /// Two people of the company.
    pub approved_by: [String; 2],
    /// From this day on (UTC).
    pub effective: Option<Date>,
    /// From this day on (UTC) no more.
    pub expires: Date,
    pub subjects: Arc<NamedSubjects>,
    pub hold: Option<StatementHold>,
}

/// The customer is not told of the uses before a day (45 CFR 164.528(a)(2)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementHold {
    /// From this day on (UTC) the customer is told.
    pub until: Date,
    /// The written statement of the authority that asks for it.
    pub reference: String,
}

impl Grant {
    pub fn is_in_force(&self, today: Date) -> bool {
        self.effective.is_none_or(|effective| today >= effective) && today < self.expires
    }

    /// Whose records may leave.
    pub fn admission(&self) -> Arc<dyn Admission> {
        Arc::clone(&self.subjects) as Arc<dyn Admission>
    }
}

/// Reads `[task.legal]`, where it is written; it must be there for one basis, and not for the others. Its place is
/// that of `expires`.
pub fn read(table: &mut Table, basis: Option<&At<Basis>>, report: &mut Report) -> Option<At<Grant>> {
    let (task, written) = (table.at(()), table.get("legal"));
    let needed = basis.is_some_and(|basis| basis.value == Basis::LegalObligation);
    let Some(value) = written else {
        if let Some(basis) = basis.filter(|_| needed) {
            let help =
                "add case, authority, approved_by (two people), expires, and subjects: whom the grant names";
            report.add(codes::GRANT_MISSING, &basis.span, &basis.key, "needs a table [task.legal]", help);
        }
        return None;
    };
    let before = report.found.len();
    let mut lists = Vec::new();
    let grant = value.read_table(report, |table, report| {
        if let (Some(basis), false) = (basis, needed) {
            let message = format!("stands beside basis = \"{}\"", basis.value.as_str());
            let help =
                "a legal grant is for basis = \"legal-obligation\" alone; remove it, or change the basis";
            report.add(codes::GRANT_WITH_OTHER_BASIS, &table.at(()).span, &table.at(()).key, message, help);
        }
        grant(table, &mut lists, report)
    });
    let shown = [value.span(), task.span, 0..0];
    let safe = |span: Range<usize>| move_off(&lists, span, &shown, report);
    let spans: Vec<_> = report.found.iter().skip(before).map(|found| safe(found.span.clone())).collect();
    let grant = grant.map(|grant| At { span: safe(grant.span.clone()), ..grant });
    report.found.iter_mut().skip(before).zip(spans).for_each(|(found, span)| found.span = span);
    grant
}

/// The first of a place and of `others` that shows no line of a list of customers.
fn move_off(
    lists: &[Range<usize>],
    place: Range<usize>,
    others: &[Range<usize>],
    report: &Report,
) -> Range<usize> {
    let shows = |span: &Range<usize>| lists.iter().any(|list| report.shares_line(span, list));
    let mut places = std::iter::once(&place).chain(others);
    places.find(|span| !shows(span)).cloned().unwrap_or(0..0)
}

fn grant(table: &mut Table, lists: &mut Vec<Range<usize>>, report: &mut Report) -> Option<At<Grant>> {
    let mut line = |key, example| Some(table.require(report, key, example)?.parse(report, one_line)?.value);
    let case = line("case", "\"2026/1234\"");
    let authority = line("authority", "\"District Court of Amsterdam\"");
    let approved_by = table
        .require(report, "approved_by", "[\"A. Jansen\", \"B. de Vries\"]")
        .and_then(|value| approvers(&value, report));
    let days = days(table, report);
    let subjects = table.require(report, "subjects", "[\"c-10234\"]").map(|value| {
        lists.push(value.span());
        subjects(&value, report)
    });
    let hold = hold(table, report);
    let (effective, expires) = days;
    let grant = Grant {
        case: case.unwrap_or_default(),
        authority: authority.unwrap_or_default(),
        approved_by: approved_by.unwrap_or_default(),
        effective,
        expires: expires.value,
        subjects: Arc::new(subjects.unwrap_or_default()),
        hold: hold.flatten(),
    };
    Some(expires.map(|_| grant))
}

/// `effective`, which may be left out, and `expires`.
fn days(table: &mut Table, report: &mut Report) -> (Option<Date>, At<Date>) {
    let effective = table.get("effective").and_then(|value| value.date(report));
    let expires = table.require(report, "expires", "2026-12-31").and_then(|value| value.date(report));
    let expires = expires.unwrap_or_else(|| table.stand_in(Date::MAX));
    if let Some(effective) = effective.as_ref().filter(|effective| expires.value <= effective.value) {
        let help =
            format!("it begins on {}; write the first day on which it no longer holds", effective.value);
        report.add(
            codes::GRANT_ENDS_BEFORE_IT_BEGINS,
            &expires.span,
            &expires.key,
            "is not after `effective`",
            help,
        );
    }
    (effective.map(|at| at.value), expires)
}

/// What is written into each entry.
fn one_line(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.chars().count() <= LONGEST && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!("one line of at most {LONGEST} characters"))
    }
}

fn approvers(value: &Value, report: &mut Report) -> Option<[String; 2]> {
    let names: Option<Vec<String>> =
        value.list(report)?.iter().map(|name| Some(name.parse(report, one_line)?.value)).collect();
    let [first, second] = <[String; 2]>::try_from(names?)
        .map_err(|names| {
            let message = format!("names {} instead of two", names.len());
            report.add(
                codes::GRANT_APPROVERS,
                &value.span(),
                value.key(),
                message,
                "a legal grant is approved by two people",
            );
        })
        .ok()?;
    if same_person(&first, &second) {
        let help = "a legal grant is approved by two different people";
        report.add(codes::GRANT_APPROVERS, &value.span(), value.key(), "names one person twice", help);
    }
    Some([first, second])
}

fn same_person(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    plain(one) == plain(other)
}

/// The customers, each once.
fn subjects(value: &Value, report: &mut Report) -> NamedSubjects {
    let mut subjects = NamedSubjects::default();
    let list = value.list(report);
    for written in list.iter().flatten() {
        let Some(id) = written.name(report) else { continue };
        if !subjects.add(id) {
            let help = "list each customer once; a text and a number of the same digits are one";
            report.add(codes::GRANT_SUBJECT_TWICE, &written.span(), written.key(), "is listed twice", help);
        }
    }
    if list.is_some_and(|list| list.is_empty()) {
        let help = "list the customers whom the grant names, as the upstream names them";
        report.add(codes::GRANT_NAMES_NOBODY, &value.span(), value.key(), "names nobody", help);
    }
    subjects
}

/// `hold_until` and `hold_reference`: both or neither.
fn hold(table: &mut Table, report: &mut Report) -> Option<Option<StatementHold>> {
    let until = table.get("hold_until");
    let Some(until) = until else {
        if let Some(reference) = table.get("hold_reference") {
            let help = "add hold_until = 2027-06-30: the day from which on the customer is told";
            report.add(
                codes::GRANT_HOLD_WITHOUT_DAY,
                &reference.span(),
                reference.key(),
                "stands without `hold_until`",
                help,
            );
        }
        return Some(None);
    };
    let reference = table.require(report, "hold_reference", "\"letter of the court, 2026-11-02\"");
    let reference = reference.and_then(|value| value.parse(report, one_line));
    let until = until.date(report)?;
    Some(Some(StatementHold { until: until.value, reference: reference?.value }))
}

/// Holds the routes of a task against its grant, and says when the grant ends.
pub fn check(task: &file::Task, today: Date, report: &mut Report) {
    if task.basis.value == Basis::LegalObligation {
        task.routes.iter().for_each(|route| check_route(route, report));
    }
    let Some(grant) = task.legal.as_ref().filter(|grant| !grant.stands_in) else { return };
    let (span, key, expires) = (&grant.span, &grant.key, grant.value.expires);
    let days = today.until(expires).map_or(0, |span| span.get_days());
    if days <= 0 {
        let help = "remove the task, or renew the grant: two approvers, a new day";
        report.add(codes::GRANT_ENDED, span, key, "is past: nothing leaves by this task", help);
    } else if days <= ENDING_DAYS {
        let when = if days == 1 { "tomorrow".to_owned() } else { format!("in {days} days") };
        let help = "from that day on nothing leaves by this task; renew the grant if the case goes on";
        report.add(codes::GRANT_ENDS_SOON, span, key, format!("is {when}"), help);
    } else if days > LONG_DAYS {
        let help = "a grant is for one case: let it end with the case, and renew it if that goes on";
        report.add(codes::GRANT_LASTS_LONG, span, key, "is more than a year away", help);
    }
}

fn check_route(route: &file::Route, report: &mut Report) {
    for method in route.methods.iter().filter(|method| method.value != Method::Get) {
        let help = "a legal grant discloses what is there: leave `methods` out";
        report.add(
            codes::GRANT_WRITES,
            &method.span,
            &method.key,
            "writes, and the task is a legal grant",
            help,
        );
    }
    let help = "a legal grant discloses records of the customers whom it names: begin with `@`; \
                a link may leave with transform = \"rewrite-url\"";
    check_beside(route, codes::GRANT_BESIDE_RECORDS, help, report);
}

/// Beside the records stands what is about others, or about all.
pub fn check_beside(route: &file::Route, code: Code, help: &str, report: &mut Report) {
    let beside = |field: &&file::Field| {
        let is_link = field.treatment == Written::RewriteUrl;
        let has_records = route.records.as_ref().is_some_and(|records| !records.stands_in);
        has_records && field.path.origin == Origin::Body && !is_link
    };
    for field in route.disclose.value.iter().filter(beside) {
        report.add(code, &field.text.span, &field.text.key, "begins with `$`", help);
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use crate::diagnostic::Source;

    use super::*;

    const RULES: &str = r#"
[contractor]
id = "x"
name = "X"
service = "Accounting"
jurisdiction = "US"
contact = "x@x.example"
[contractor.agreement]
reference = "DPA"
effective = 2026-01-01
expires = 2099-01-01
[[contractor.credential]]
id = "c"
mtls_san = "URI:spiffe://x.example/x"
[[task]]
id = "court"
purpose = "Court order"
basis = "legal-obligation"
[task.legal]
case = "2026/1"
authority = "Court"
approved_by = ["Anna", "Bram"]
effective = 2026-02-01
expires = 2026-06-30
subjects = ["c-1"]
"#;

    fn said(today: Date) -> Vec<String> {
        let source = Source::new("rules/x.toml", RULES);
        let mut report = Report::new(Arc::clone(&source));
        let file = super::super::read::read(&source, &mut report).unwrap();
        assert!(report.found.is_empty(), "{:?}", report.found);
        check(&file.tasks[0], today, &mut report);
        report.found.iter().map(|found| found.message.clone()).collect()
    }

    #[test]
    fn a_grant_that_ends_soon_has_ended_or_lasts_long_is_told() {
        assert_eq!(said(date(2026, 6, 15)), Vec::<String>::new());
        assert_eq!(said(date(2026, 6, 16)), ["is in 14 days"]);
        assert_eq!(said(date(2026, 6, 29)), ["is tomorrow"]);
        for past in [date(2026, 6, 30), date(2027, 1, 1)] {
            assert_eq!(said(past), ["is past: nothing leaves by this task"]);
        }
        assert_eq!(said(date(2025, 6, 29)), Vec::<String>::new());
        assert_eq!(said(date(2025, 6, 28)), ["is more than a year away"]);
    }

    #[test]
    fn a_grant_is_in_force_from_its_first_day_to_the_one_before_its_end() {
        let grant = Grant {
            case: "1".into(),
            authority: "Court".into(),
            approved_by: ["a".into(), "b".into()],
            effective: Some(date(2026, 2, 1)),
            expires: date(2026, 6, 30),
            subjects: Arc::default(),
            hold: None,
        };
        let days = [date(2026, 1, 31), date(2026, 2, 1), date(2026, 6, 29), date(2026, 6, 30)];
        assert_eq!(days.map(|day| grant.is_in_force(day)), [false, true, true, false]);
        assert!(Grant { effective: None, ..grant }.is_in_force(date(2000, 1, 1)));
    }
}
