//! Legal grants, compared: whom they name by number only, until when, and who approved them.

use crate::diagnostic::table::At;

use super::super::legal::{Grant, StatementHold};
use super::{Effect, Log};

pub fn compare(old: Option<&At<Grant>>, new: Option<&At<Grant>>, log: &mut Log) {
    match (old.map(|at| &at.value), new.map(|at| &at.value)) {
        (None, None) => {}
        (Some(_), None) => log.note(Effect::MayWiden, "there is no legal grant any more"),
        (None, Some(grant)) => added(grant, log),
        (Some(before), Some(after)) => changed(before, after, log),
    }
}

fn added(grant: &Grant, log: &mut Log) {
    let Grant { case, authority, approved_by: [first, second], expires, subjects, .. } = grant;
    let what = format!(
        "a legal grant for {}, until {expires}: case {case}, {authority}, approved by {first} and {second}",
        customers(subjects.len())
    );
    log.note(Effect::Widens, what);
    hold(None, grant.hold.as_ref(), log);
}

fn changed(old: &Grant, new: &Grant, log: &mut Log) {
    subjects(old, new, log);
    if old.expires != new.expires {
        let effect = Effect::of(new.expires > old.expires);
        log.note(effect, format!("the grant ends on {} instead of {}", new.expires, old.expires));
    }
    if old.effective != new.effective {
        let day = |grant: &Grant| grant.effective.map_or("at once".to_owned(), |day| format!("on {day}"));
        let effect = Effect::of(new.effective < old.effective);
        log.note(effect, format!("the grant begins {} instead of {}", day(new), day(old)));
    }
    let reference = |grant: &Grant| format!("case {}, {}", grant.case, grant.authority);
    if reference(old) != reference(new) {
        let what = format!("the grant is for {} instead of {}", reference(new), reference(old));
        log.note(Effect::Widens, what);
    }
    let approvers = |grant: &Grant| {
        let mut names = grant.approved_by.clone();
        names.sort();
        names.join(" and ")
    };
    if approvers(old) != approvers(new) {
        let what = format!("{} approved the grant instead of {}", approvers(new), approvers(old));
        log.note(Effect::Widens, what);
    }
    hold(old.hold.as_ref(), new.hold.as_ref(), log);
}

fn subjects(old: &Grant, new: &Grant, log: &mut Log) {
    let more = new.subjects.count_beyond(&old.subjects);
    let fewer = old.subjects.count_beyond(&new.subjects);
    if more > 0 {
        log.note(Effect::Widens, format!("the grant names {} more", customers(more)));
    }
    if fewer > 0 {
        log.note(Effect::Narrows, format!("the grant does not name {} any more", customers(fewer)));
    }
}

/// It changes what the customer is told, and not what the contractor gets; somebody must agree to a longer one.
fn hold(old: Option<&StatementHold>, new: Option<&StatementHold>, log: &mut Log) {
    let (before, after) = (old.map(|hold| hold.until), new.map(|hold| hold.until));
    match (before, after) {
        _ if before == after => {}
        (_, Some(until)) if before < after => {
            log.note(Effect::MayWiden, format!("the customers are told of its uses from {until} on only"));
        }
        (_, Some(until)) => {
            log.note(Effect::Narrows, format!("the customers are told of its uses from {until} on"));
        }
        (_, None) => log.note(Effect::Narrows, "the customers are told of its uses at once"),
    }
    if let (Some(old), Some(new)) = (old, new) {
        log.neutral("what asks to wait with that", &old.reference, &new.reference);
    }
}

fn customers(count: usize) -> String {
    if count == 1 { "1 customer".to_owned() } else { format!("{count} customers") }
}
