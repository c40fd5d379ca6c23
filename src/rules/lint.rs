//! What can be kept, and is most likely not what its author meant: warnings and notes.

use jiff::civil::Date;

use crate::diagnostic::table::At;
use crate::diagnostic::{Report, codes};
use crate::filter::{Path, Selector};

use super::file::{Agreement, Field, Limits, Route, Task, Written};

/// An agreement that ends so soon is told.
const ENDING_DAYS: i32 = 30;

/// When the agreement begins and ends.
pub fn agreement(agreement: &Agreement, today: Date, report: &mut Report) {
    let Agreement { effective, expires, .. } = agreement;
    if effective.value > today {
        report.add(
            codes::AGREEMENT_NOT_BEGUN,
            &effective.span,
            &effective.key,
            "is to come: until then every request is refused",
            "nothing to do if that is meant",
        );
    }
    let days = today.until(expires.value).map_or(0, |span| span.get_days());
    if !expires.stands_in && (1..=ENDING_DAYS).contains(&days) {
        let when = if days == 1 { "tomorrow".to_owned() } else { format!("in {days} days") };
        report.add(
            codes::AGREEMENT_ENDS_SOON,
            &expires.span,
            &expires.key,
            format!("is {when}: from then on every request is refused"),
            "renew the agreement",
        );
    }
}

/// All tasks of one contractor.
pub fn tasks(tasks: &[Task], report: &mut Report) {
    for (at, task) in tasks.iter().enumerate() {
        if !task.says_limits {
            default_limits(task, report);
        }
        for route in &task.routes {
            let meets = |other: &Route| other.shares_requests_with(route) && !may_be_apart(other, route);
            let same = |earlier: &&Task| earlier.routes.iter().any(meets);
            if let Some(other) = tasks[..at].iter().find(same) {
                let message = format!("is served by the task {} too", other.id.value);
                let help = "the contractor must name the task in a Fieldgate-Task header; without it the request is \
                            refused (400)";
                report.add(codes::TASKS_OVERLAP, &route.path.span, &route.path.key, message, help);
            }
            lint_route(route, task.payment, report);
        }
    }
}

/// Their parameters may be such that no request serves both.
fn may_be_apart(one: &Route, other: &Route) -> bool {
    let pattern = |route: &Route, name: &str| {
        let own = route.params.iter().find(|param| param.value.0 == name)?;
        Some(own.value.1.as_str().to_owned())
    };
    let mut places = one.path.value.parameters().zip(other.path.value.parameters());
    places.any(|(name, other_name)| match (pattern(one, name), pattern(other, other_name)) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    })
}

fn default_limits(task: &Task, report: &mut Report) {
    let Limits { requests, burst, concurrent, subjects_per_day } = Limits::default();
    let help = format!(
        "these hold: requests = \"{}/s\", burst = {burst}, concurrent = {concurrent}, subjects_per_day = \
         {subjects_per_day}; write what the task needs",
        requests.count
    );
    report.add(codes::DEFAULT_LIMITS, &task.id.span, &task.id.key, "has no [task.limits]", help);
}

fn lint_route(route: &Route, payment: bool, report: &mut Report) {
    if let Some(when) = &route.when {
        match when.value.certain() {
            Some(true) => report.add(
                codes::ALWAYS_HOLDS,
                &when.span,
                &when.key,
                "always holds: it keeps nothing back",
                "leave it out if every record may leave, or mend it",
            ),
            Some(false) => report.add(
                codes::NEVER_HOLDS,
                &when.span,
                &when.key,
                "never holds: nothing leaves by this route",
                "mend it, or remove the route",
            ),
            None => {}
        }
    }
    let fields = &route.disclose.value;
    for field in fields {
        lint_path(&field.text, &field.path, report);
    }
    for path in route.accept.iter().flatten().chain(&route.records).chain(&route.subject) {
        lint_path(path, &path.value, report);
    }
    for field in fields {
        covered(field, fields, report);
        if !payment {
            card(field, report);
        }
    }
}

fn lint_path<T>(at: &At<T>, path: &Path, report: &mut Report) {
    if path.selects_nothing() {
        let help = "a slice is [first:behind the last], such as [0:2] for two elements";
        report.add(codes::SELECTS_NOTHING, &at.span, &at.key, "never selects anything", help);
    }
}

fn covered(field: &Field, fields: &[Field], report: &mut Report) {
    let covers = |other: &&Field| {
        let further = field.path.steps.len() > other.path.steps.len() || field.treatment == Written::Plain;
        other.treatment == Written::Whole && further && is_below(&field.path, &other.path)
    };
    if !matches!(field.treatment, Written::Plain | Written::Whole) {
        return;
    }
    if let Some(other) = fields.iter().find(covers) {
        let message = format!("is inside \"{}\", which leaves as a whole", other.text.value);
        let help = "remove it, or disclose single fields instead of the whole";
        report.add(codes::COVERED_BY_WHOLE, &field.text.span, &field.text.key, message, help);
    }
}

/// Each value that `path` selects is in one that `whole` selects, or is it.
fn is_below(path: &Path, whole: &Path) -> bool {
    let steps = path.steps.iter().zip(&whole.steps);
    let within = |taken: &Selector, by: &[Selector]| {
        by.contains(taken) || (by.contains(&Selector::Wildcard) && !matches!(taken, Selector::Filter(_)))
    };
    path.origin == whole.origin
        && path.steps.len() >= whole.steps.len()
        && steps.into_iter().all(|(own, other)| {
            own.descendant == other.descendant
                && own.selectors.iter().all(|selector| within(selector, &other.selectors))
        })
}

/// Card data by its name, where nothing hides it.
fn card(field: &Field, report: &mut Report) {
    use Written::{Last4, Mask, Pseudonym, Redact};
    if matches!(field.treatment, Last4 | Mask { .. } | Pseudonym | Redact) {
        return;
    }
    let names_card = |path: &Path| {
        let mut names = path.steps.iter().rev().filter_map(|step| match &step.selectors[..] {
            [Selector::Name(name)] => Some(plain(name)),
            _ => None,
        });
        let (last, before) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        CARD_NAMES.contains(&last.as_str())
            || (["number", "no", "num"].contains(&last.as_str()) && CARDS.contains(&before.as_str()))
    };
    if field.path.singles().iter().any(names_card) {
        let help = "hide it with transform = \"last4\", \"mask\" or \"redact\", leave it out, or say payment = true \
                    where the task is for payment";
        report.add(codes::CARD_NUMBER, &field.text.span, &field.text.key, "looks like card data", help);
    }
}

const CARDS: &[&str] = &["card", "creditcard", "debitcard", "paymentcard", "bankcard"];
const CARD_NAMES: &[&str] = &[
    "cardnumber",
    "cardno",
    "cardnum",
    "creditcardnumber",
    "debitcardnumber",
    "primaryaccountnumber",
    "pan",
    "cvv",
    "cvv2",
    "cvc",
    "cvc2",
    "cardsecuritycode",
    "cardverificationvalue",
];

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
