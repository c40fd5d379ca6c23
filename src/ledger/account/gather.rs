//! Entries in, groups of like disclosures out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::view::{Legal, View};
use super::dates;

/// Entries that a group keeps, the newest, so that their proofs can be asked for.
pub const ENTRIES_KEPT: usize = 1_000;

/// Responses in parts that are followed at a time. One whose last part is not about the customer shows no
/// end, so the one that has been silent longest is taken as ended.
const OPEN_KEPT: usize = 256;

/// Takes the entries about one customer.
///
/// Its memory grows with the number of groups, not of entries: a group keeps `ENTRIES_KEPT` entries.
#[derive(Debug, Default)]
pub struct Account {
    groups: BTreeMap<Ground, Tally>,
    /// Responses that leave in parts, by id.
    open: BTreeMap<String, Open>,
    /// Entries taken.
    clock: u64,
    /// When the account is given, microseconds since 1970-01-01T00:00:00Z.
    now: i64,
    /// Cases of which the customer must not be told, whatever their entries say.
    held_cases: BTreeSet<String>,
    /// Responses that the customer must not be told of yet, but those in parts.
    held: u64,
    /// The others, by id.
    held_in_parts: BTreeSet<String>,
}

/// What was disclosed, like disclosures together (45 CFR 164.528(b)(3)).
#[derive(Clone, Debug, Serialize)]
pub struct Accounting {
    /// Together by recipient. The recipient of the newest disclosure is first, and of its groups the newest.
    pub groups: Vec<Group>,
    /// All of them; a response in parts is one.
    pub disclosures: u64,
    /// Beside these: uses of legal grants that the customer must not be told of yet. For the company alone; no
    /// form of the account says it.
    #[serde(skip)]
    pub held: u64,
}

/// Disclosures that differ in their time only.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    #[serde(flatten)]
    pub ground: Ground,
    #[serde(flatten)]
    pub tally: Tally,
}

/// To whom, what for, on what ground, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ground {
    /// The contractor's id.
    pub recipient: String,
    pub task: Option<String>,
    pub purpose: Option<String>,
    pub basis: Option<String>,
    /// The case and the authority, where the law asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    pub agreement: Option<String>,
    /// ISO 3166-1, alpha-2.
    pub from_country: Option<String>,
    pub country: Option<String>,
    pub transfer: Option<String>,
    /// Those of which something was disclosed.
    pub fields: BTreeSet<Field>,
}

/// One field, as the rule writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    pub path: String,
    pub transform: Option<String>,
}

/// When and how often. Times are microseconds since 1970-01-01T00:00:00Z, and RFC 3339 in JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    pub count: u64,
    /// Of the count: responses that were about others too, so that the fields are those of them all.
    pub in_list: u64,
    #[serde(serialize_with = "dates::serialize")]
    pub first: i64,
    #[serde(serialize_with = "dates::serialize")]
    pub last: i64,
    /// All entries of the group; a response in parts has one for each part.
    pub entries_total: u64,
    /// The newest `ENTRIES_KEPT` of them, by their position in the ledger.
    #[serde(serialize_with = "entries")]
    pub entries: BTreeMap<u64, Entry>,
}

/// One entry of the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub id: String,
    #[serde(serialize_with = "dates::serialize")]
    pub time: i64,
}

/// One response, as far as its entries have come.
#[derive(Debug)]
struct Open {
    ground: Ground,
    tally: Tally,
    /// The clock at its last part.
    heard: u64,
}

impl Account {
    /// An account that is given at `now`, in microseconds since 1970-01-01T00:00:00Z.
    pub fn new(now: i64) -> Self {
        Account { now, ..Account::default() }
    }

    /// Keeps these cases out too: what they wait for was put off after their entries were written.
    #[must_use]
    pub fn without_cases(mut self, cases: BTreeSet<String>) -> Self {
        self.held_cases = cases;
        self
    }

    fn is_held(&self, entry: &View) -> bool {
        let held = |legal: &Legal| legal.is_held(self.now) || self.held_cases.contains(&*legal.case);
        entry.legal.as_ref().is_some_and(held)
    }

    /// Takes the next entry, oldest first. Only disclosures count.
    pub fn add(&mut self, position: u64, entry: &View) {
        if entry.kind != "disclosure" {
            return;
        }
        if self.is_held(entry) {
            return self.hold(entry);
        }
        self.clock += 1;
        let part = Open::new(position, entry, self.clock);
        let Some(stream) = entry.stream else {
            return self.settle(part);
        };
        match self.open.get_mut(entry.id.as_ref()) {
            Some(open) => open.join(part),
            None => self.follow(&entry.id, part),
        }
        if stream.last
            && let Some(whole) = self.open.remove(entry.id.as_ref())
        {
            self.settle(whole);
        }
    }

    pub fn finish(mut self) -> Accounting {
        for (_, open) in std::mem::take(&mut self.open) {
            self.settle(open);
        }
        let groups: Vec<_> = self.groups.into_iter().map(|(ground, tally)| Group { ground, tally }).collect();
        let disclosures = groups.iter().map(|group| group.tally.count).sum();
        let held = self.held + self.held_in_parts.len() as u64;
        Accounting { groups: newest_first(groups), disclosures, held }
    }

    fn hold(&mut self, entry: &View) {
        match entry.stream {
            None => self.held += 1,
            Some(_) => _ = self.held_in_parts.insert(entry.id.clone().into_owned()),
        }
    }

    fn follow(&mut self, id: &str, part: Open) {
        if self.open.len() >= OPEN_KEPT {
            let silent = self.open.iter().min_by_key(|(_, open)| open.heard).map(|(id, _)| id.clone());
            if let Some(open) = silent.and_then(|id| self.open.remove(&id)) {
                self.settle(open);
            }
        }
        self.open.insert(id.to_owned(), part);
    }

    /// A response is whole: only now its fields are known, and with them its group.
    fn settle(&mut self, whole: Open) {
        let group = self.groups.entry(whole.ground).or_default();
        let more = whole.tally;
        if group.count == 0 {
            *group = more;
            return;
        }
        group.count += more.count;
        group.in_list += more.in_list;
        group.take_entries(more);
    }
}

impl Open {
    fn new(position: u64, entry: &View, heard: u64) -> Open {
        let (id, time) = (entry.id.clone().into_owned(), entry.time);
        let tally = Tally {
            count: 1,
            in_list: u64::from(is_list(entry)),
            first: time,
            last: time,
            entries_total: 1,
            entries: BTreeMap::from([(position, Entry { id, time })]),
        };
        Open { ground: Ground::of(entry), tally, heard }
    }

    /// Another part of the same response.
    fn join(&mut self, part: Open) {
        self.heard = part.heard;
        self.ground.fields.extend(part.ground.fields);
        self.tally.in_list = self.tally.in_list.max(part.tally.in_list);
        self.tally.take_entries(part.tally);
    }
}

impl Tally {
    /// The entries and times of `more`; its counts are the caller's.
    fn take_entries(&mut self, more: Tally) {
        self.first = self.first.min(more.first);
        self.last = self.last.max(more.last);
        self.entries_total += more.entries_total;
        self.entries.extend(more.entries);
        while self.entries.len() > ENTRIES_KEPT {
            self.entries.pop_first();
        }
    }
}

impl Ground {
    fn of(entry: &View) -> Ground {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let disclosed = entry.fields.iter().filter(|field| field.disclosed > 0);
        let fields = disclosed.map(|field| Field {
            path: field.path.clone().into_owned(),
            transform: owned(field.transform.as_deref()),
        });
        Ground {
            recipient: entry.contractor.clone().unwrap_or_default().into_owned(),
            task: owned(entry.task.as_deref()),
            purpose: owned(entry.purpose.as_deref()),
            basis: owned(entry.basis.as_deref()),
            case: entry.legal.as_ref().map(|legal| legal.case.clone().into_owned()),
            authority: entry.legal.as_ref().map(|legal| legal.authority.clone().into_owned()),
            agreement: owned(entry.agreement.as_deref()),
            from_country: owned(entry.from_country()),
            country: owned(entry.country()),
            transfer: owned(entry.transfer.as_deref()),
            fields: fields.collect(),
        }
    }
}

/// The response was about others too. Where it does not say how many, more than one record may be of more
/// than one customer.
fn is_list(entry: &View) -> bool {
    entry.subjects_total.or(entry.records.map(|records| records.released)).is_some_and(|count| count > 1)
}

fn newest_first(mut groups: Vec<Group>) -> Vec<Group> {
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    for Group { ground, tally } in &groups {
        let last = newest.entry(ground.recipient.clone()).or_insert(tally.last);
        *last = tally.last.max(*last);
    }
    // The name keeps two recipients of the same moment apart.
    groups.sort_by_cached_key(|Group { ground, tally }| {
        let name = ground.recipient.clone();
        (std::cmp::Reverse(newest.get(&name).copied()), name, std::cmp::Reverse(tally.last))
    });
    groups
}

/// As a list: a name for each position would be text.
fn entries<S: serde::Serializer>(entries: &BTreeMap<u64, Entry>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct At<'a> {
        position: u64,
        #[serde(flatten)]
        entry: &'a Entry,
    }
    serializer.collect_seq(entries.iter().map(|(position, entry)| At { position: *position, entry }))
}
