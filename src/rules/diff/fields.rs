//! Disclosed fields, compared by what they select, not by how they are grouped.

use crate::filter::{Kinds, Origin, Path, Shape};

use super::super::file::{Field, Route, Written as Form};
use super::{Effect, Log};

/// One field of a route, unions taken apart.
struct Shown<'f> {
    /// As the rule writes it.
    text: &'f str,
    /// In one form of writing, where it has one.
    path: Path,
    field: &'f Field,
}

/// Everything that a new route discloses.
pub fn added(route: &Route, log: &mut Log) {
    for shown in shown(route) {
        new_field(&shown, log);
    }
}

pub fn compare(old: &Route, new: &Route, log: &mut Log) {
    let (old, new) = (shown(old), shown(new));
    for field in &old {
        if !new.iter().any(|known| covers(known, field)) {
            log.note_field(
                Effect::Narrows,
                format!("{} is not disclosed any more", name(field)),
                Some(field.text),
            );
        }
    }
    for field in &new {
        match old.iter().find(|known| known.path == field.path) {
            Some(before) => treatment(before, field, log),
            None => match old.iter().find(|known| covers(known, field)) {
                Some(before) => treatment(before, field, log),
                None => new_field(field, log),
            },
        }
    }
}

fn new_field(shown: &Shown, log: &mut Log) {
    let how = match shown.field.treatment {
        Form::Plain => String::new(),
        Form::Whole => ", with all that is in it".to_owned(),
        other => format!(", as {}", word(other)),
    };
    log.note_field(Effect::Widens, format!("{} is disclosed{how}", name(shown)), Some(shown.text));
}

fn treatment(old: &Shown, new: &Shown, log: &mut Log) {
    let (before, after) = (old.field, new.field);
    if before.treatment != after.treatment {
        let what =
            format!("{} is {} instead of {}", name(new), state(after.treatment), state(before.treatment));
        log.note_field(of_forms(before.treatment, after.treatment), what, Some(new.text));
    }
    shape(before.shape.as_ref(), after.shape.as_ref(), new, log);
    let less = |a: bool, b: bool| a && !b;
    let (was, is) = (before.scan, after.scan);
    if was != is {
        let lost = less(was.pan, is.pan)
            || less(was.iban, is.iban)
            || less(was.email, is.email)
            || less(was.phone, is.phone);
        let what = format!("its text is searched for {} instead of {}", kinds(is), kinds(was));
        log.note_field(Effect::of(lost), format!("{}: {what}", name(new)), Some(new.text));
    }
}

/// Of two transforms it is rarely plain which shows more.
fn of_forms(old: Form, new: Form) -> Effect {
    match (old, new) {
        (_, Form::Whole) | (Form::Redact, _) => Effect::Widens,
        (Form::Whole, _) | (_, Form::Redact) => Effect::Narrows,
        (Form::RewriteUrl, Form::Plain) | (Form::Plain, Form::RewriteUrl) => Effect::MayWiden,
        (_, Form::Plain) => Effect::Widens,
        (Form::Plain, _) => Effect::Narrows,
        (Form::Mask { keep_first: a, keep_last: b }, Form::Mask { keep_first: c, keep_last: d }) => {
            if c <= a && d <= b { Effect::Narrows } else { Effect::Widens }
        }
        (Form::Truncate { length: old }, Form::Truncate { length: new }) => Effect::of(new > old),
        _ => Effect::MayWiden,
    }
}

fn shape(old: Option<&Shape>, new: Option<&Shape>, field: &Shown, log: &mut Log) {
    let words = |shape: Option<&Shape>| format!("{shape:?}");
    if words(old) == words(new) {
        return;
    }
    let (effect, what) = match (old, new) {
        (None, _) => (Effect::Narrows, "what it must be is said"),
        (_, None) => (Effect::Widens, "it may be anything"),
        _ => (Effect::MayWiden, "it must be something else"),
    };
    log.note_field(effect, format!("{}: {what}", name(field)), Some(field.text));
}

/// Whether `wide` shows all places that `narrow` does, whatever the treatment.
fn covers(wide: &Shown, narrow: &Shown) -> bool {
    wide.path == narrow.path
        || (wide.field.treatment == Form::Whole
            && wide.path.origin == narrow.path.origin
            && narrow.path.steps.starts_with(&wide.path.steps))
}

fn shown(route: &Route) -> Vec<Shown<'_>> {
    let fields = route.disclose.value.iter();
    fields
        .flat_map(|field| {
            let paths = field.path.singles().into_iter();
            // Without `records`, the record is the body.
            let origin = |origin| if route.records.is_none() { Origin::Record } else { origin };
            paths.map(move |path| Shown {
                text: &field.text.value,
                path: Path { origin: origin(path.origin), ..path },
                field,
            })
        })
        .collect()
}

/// As a person writes it.
fn name(shown: &Shown) -> String {
    shown.path.plain_name().unwrap_or_else(|| shown.text.to_owned())
}

fn state(form: Form) -> String {
    match form {
        Form::Plain => "as it is".to_owned(),
        Form::Whole => "a whole subtree".to_owned(),
        other => format!("{} only", word(other)),
    }
}

fn word(form: Form) -> String {
    match form {
        Form::Plain => "it is".to_owned(),
        Form::Whole => "a whole subtree".to_owned(),
        Form::Last4 => "last4".to_owned(),
        Form::Mask { keep_first, keep_last } => format!("mask ({keep_first} first, {keep_last} last)"),
        Form::Initials => "initials".to_owned(),
        Form::EmailDomain => "email-domain".to_owned(),
        Form::Year => "year".to_owned(),
        Form::Truncate { length } => format!("truncate ({length})"),
        Form::Pseudonym => "pseudonym".to_owned(),
        Form::Redact => "redact".to_owned(),
        Form::RewriteUrl => "rewrite-url".to_owned(),
    }
}

fn kinds(kinds: Kinds) -> String {
    let all = [("pan", kinds.pan), ("iban", kinds.iban), ("email", kinds.email), ("phone", kinds.phone)];
    let names: Vec<&str> = all.into_iter().filter_map(|(name, is)| is.then_some(name)).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
