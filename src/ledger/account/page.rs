//! The accounting as a page for the customer. Askama escapes every value, because the template is HTML.

use askama::Template;

use super::gather::{Accounting, Field, Group, Tally};
use super::{Frame, Recipients, dates, words};

/// Entries that the page names for a group; the others are in the JSON.
const ENTRIES_SHOWN: usize = 8;

/// The page could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the accounting could not be written as a page")]
pub struct PageError(#[from] askama::Error);

#[derive(Template)]
#[template(path = "account.html", config = ".askama.toml")]
struct Page<'a> {
    company: &'a str,
    subject: &'a str,
    prepared: Day,
    period: String,
    disclosed: String,
    companies: String,
    sections: Vec<Section<'a>>,
    /// Something can be missing.
    limited: bool,
    deleted_before: Option<Day>,
    lost_epochs: u32,
    tree_size: String,
    root: &'a str,
}

/// Everything about one recipient.
struct Section<'a> {
    name: &'a str,
    service: &'a str,
    country: &'a str,
    contact: &'a str,
    times: String,
    last: Day,
    cards: Vec<Card<'a>>,
}

/// One group.
struct Card<'a> {
    purpose: &'a str,
    once: bool,
    times: String,
    first: Day,
    last: Day,
    fields: Vec<Line<'a>>,
    list: Option<String>,
    to: &'a str,
    from: Option<&'a str>,
    basis: String,
    agreement: &'a str,
    transfer: Option<&'a str>,
    entries: String,
}

struct Line<'a> {
    name: String,
    how: Option<&'a str>,
}

struct Day {
    date: String,
    exact: String,
}

/// One self-contained file: it loads nothing, runs nothing, and prints on A4 and Letter.
///
/// # Errors
/// Where the page cannot be written; no account is known to cause that.
pub fn html(accounting: &Accounting, recipients: &Recipients, frame: &Frame) -> Result<String, PageError> {
    let by_recipient = accounting.groups.chunk_by(|one, next| one.ground.recipient == next.ground.recipient);
    let sections: Vec<_> = by_recipient.filter_map(|groups| Section::new(groups, recipients)).collect();
    let page = Page {
        company: frame.company,
        subject: frame.subject,
        prepared: Day::new(frame.prepared),
        period: period(frame),
        disclosed: words::times(accounting.disclosures),
        companies: companies(sections.len()),
        sections,
        limited: frame.is_limited(),
        deleted_before: frame.deleted_before().map(Day::new),
        lost_epochs: frame.not_readable_epochs,
        tree_size: words::number(frame.tree_size),
        root: frame.root,
    };
    Ok(page.render()?)
}

impl<'a> Section<'a> {
    /// `groups` are all of one recipient, the newest first.
    fn new(groups: &'a [Group], recipients: &'a Recipients) -> Option<Section<'a>> {
        let id = groups.first()?.ground.recipient.as_str();
        let known = recipients.0.get(id);
        let last = groups.iter().map(|group| group.tally.last).max()?;
        Some(Section {
            name: known.map_or(if id.is_empty() { "Not recorded" } else { id }, |known| &known.name),
            service: known.map_or("", |known| &known.service),
            country: known.map_or("", |known| words::country(&known.country)),
            contact: known.and_then(|known| known.contact.as_deref()).unwrap_or_default(),
            times: words::times(groups.iter().map(|group| group.tally.count).sum()),
            last: Day::new(last),
            cards: groups.iter().map(Card::new).collect(),
        })
    }

    /// Each country that data went to, as the entries say.
    fn countries(&self) -> String {
        let mut all: Vec<_> = self.cards.iter().map(|card| card.to).collect();
        all.sort_unstable();
        all.dedup();
        all.join(", ")
    }
}

impl<'a> Card<'a> {
    fn new(Group { ground, tally }: &'a Group) -> Card<'a> {
        Card {
            purpose: recorded(ground.purpose.as_deref()),
            once: tally.count == 1,
            times: words::times(tally.count),
            first: Day::new(tally.first),
            last: Day::new(tally.last),
            fields: lines(ground.fields.iter().collect()),
            list: list(tally),
            to: recorded(ground.country.as_deref().map(words::country)),
            from: ground.from_country.as_deref().map(words::country),
            basis: recorded(Some(&super::basis_words(ground))).to_owned(),
            agreement: recorded(ground.agreement.as_deref()),
            transfer: ground.transfer.as_deref().map(words::transfer),
            entries: entries(tally),
        }
    }

    fn one_day(&self) -> bool {
        self.first.date == self.last.date
    }
}

impl Day {
    fn new(micros: i64) -> Day {
        Day { date: dates::date(micros), exact: dates::exact(micros) }
    }
}

/// What is of the record (`@`) before what is of the whole response (`$`).
fn lines<'a>(mut fields: Vec<&'a Field>) -> Vec<Line<'a>> {
    fields.sort_by_key(|field| field.path.starts_with('$'));
    let line = |field: &'a Field| Line {
        name: words::field(&field.path),
        how: field.transform.as_deref().map(words::transform),
    };
    fields.into_iter().map(line).collect()
}

/// The fields are counted over all that a list holds, so that is said; how many others, never.
fn list(Tally { count, in_list, .. }: &Tally) -> Option<String> {
    let which = match in_list {
        0 => return None,
        all if all == count => String::new(),
        some => format!(" {} of {} times", words::number(*some), words::number(*count)),
    };
    Some(format!("Fields disclosed in a list with others{which}, so not all of them need be about you."))
}

/// The newest entries, by their number.
fn entries(Tally { entries, entries_total, .. }: &Tally) -> String {
    let newest: Vec<_> = entries.keys().rev().take(ENTRIES_SHOWN).map(u64::to_string).collect();
    let text = newest.join(", ");
    match entries_total.saturating_sub(newest.len() as u64) {
        0 => text,
        more => format!("{text} and {} earlier", words::number(more)),
    }
}

fn period(frame: &Frame) -> String {
    // A date is not broken over two lines.
    let date = |micros| dates::date(micros).replace(' ', "\u{a0}");
    let until = date(frame.until.unwrap_or(frame.prepared));
    match frame.since {
        Some(since) => format!("{} to {until}", date(since)),
        None => format!("All on record until {until}"),
    }
}

fn companies(count: usize) -> String {
    match count {
        1 => "one company".to_owned(),
        _ => format!("{} companies", words::number(count as u64)),
    }
}

fn recorded(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty()).unwrap_or("Not recorded")
}
