//! Whether the entries, read one after the other, tell a story without gaps.
//!
//! What it holds grows with the contractors, the rule sets and the responses that are on their way, not
//! with the entries.

use std::collections::{HashMap, HashSet};

use super::super::view::Stream;
use super::facts::{Facts, Item, Kind, Names};
use super::report::{Check, Finding, Findings};

/// Microseconds that a time may lie before that of the entry before it.
const BACK: i64 = 60_000_000;
/// Responses in parts that are followed at once.
const STREAMS: usize = 1 << 20;

pub struct Story<'n> {
    names: &'n Names,
    /// The number of the next entry.
    next: u64,
    /// Entries so far that cannot be read: pruned or damaged.
    hidden: u64,
    after_hidden: bool,
    pub pruned: u64,
    contractors: HashMap<u32, Seen>,
    /// Numbers of contractors' entries that are missing so far.
    missing: u64,
    announced: HashSet<u32>,
    /// Digests that may have been announced by an entry that was pruned.
    perhaps: HashSet<u32>,
    time: Option<i64>,
    response: Option<Response>,
    streams: HashMap<u64, Following>,
    /// Some were given up: there were too many.
    forgot: bool,
}

struct Seen {
    sequence: u64,
    /// `hidden` at that entry.
    hidden: u64,
}

/// A response with several entries, of which more must follow.
struct Response {
    id: u64,
    at: u64,
    next: u64,
    parts: u64,
}

struct Following {
    next: u64,
    hidden: u64,
    at: u64,
}

impl<'n> Story<'n> {
    pub fn new(names: &'n Names) -> Self {
        Story {
            names,
            next: 0,
            hidden: 0,
            after_hidden: false,
            pruned: 0,
            contractors: HashMap::new(),
            missing: 0,
            announced: HashSet::new(),
            perhaps: HashSet::new(),
            time: None,
            response: None,
            streams: HashMap::new(),
            forgot: false,
        }
    }

    /// By their numbers among names.
    pub fn contractors(&self) -> impl Iterator<Item = u32> {
        self.contractors.keys().copied()
    }

    /// The next entry.
    pub fn take(&mut self, item: Item, findings: &mut Findings) {
        let at = self.next;
        self.next += 1;
        match item {
            Item::Entry(facts) => {
                self.entry(at, &facts, findings);
                self.after_hidden = false;
            }
            Item::Pruned => {
                self.pruned += 1;
                self.hide();
            }
            Item::Damaged => self.hide(),
            Item::Unreadable(place) => {
                let what = format!("is not an entry that can be read ({place})");
                findings.add(Finding::error(Check::Kind, at, what));
                self.hide();
            }
        }
    }

    /// There are no more.
    pub fn end(&mut self, findings: &mut Findings) {
        if let Some(Response { at, next, parts, .. }) = self.response.take() {
            let what = format!("part {next} of {parts} is not there yet: the copy ends before it");
            findings.add(Finding::warning(Check::Parts, at, what));
        }
    }

    /// Nothing is known of an entry.
    fn hide(&mut self) {
        self.hidden += 1;
        self.after_hidden = true;
        if let Some(response) = &mut self.response {
            response.next += 1;
            if response.next > response.parts {
                self.response = None;
            }
        }
    }

    fn entry(&mut self, at: u64, facts: &Facts, findings: &mut Findings) {
        if facts.index != at {
            let what = format!("says that it is entry {}", facts.index);
            findings.add(Finding::error(Check::Number, at, what));
        }
        if facts.kind == Kind::Unknown {
            let what = "is of a kind that is not known here: verify with a newer version".to_owned();
            findings.add(Finding::error(Check::Kind, at, what));
        }
        self.time(at, facts.time, findings);
        self.parts(at, facts, findings);
        self.sequence(at, facts, findings);
        match facts.kind {
            Kind::Rules => self.announced.extend(facts.rules),
            Kind::Disclosure => {
                self.rules(at, facts.rules, findings);
                if let Some(what) = facts.grant {
                    findings.add(Finding::error(Check::Grant, at, what.to_owned()));
                }
                if let Some(stream) = facts.stream {
                    self.stream(at, facts.id, stream, findings);
                }
            }
            Kind::Refusal => {
                self.rules(at, facts.rules, findings);
                // Of a response that was interrupted it is the last.
                self.streams.remove(&facts.id);
            }
            // What was on its way is not any more.
            Kind::Started => self.streams.clear(),
            _ => {}
        }
    }

    fn time(&mut self, at: u64, time: i64, findings: &mut Findings) {
        if let Some(back) = self.time.map(|before| before - time).filter(|back| *back > BACK) {
            let what =
                format!("is {} s older than the entry before it: a clock was set back", back / 1_000_000);
            findings.add(Finding::warning(Check::Time, at, what));
        }
        self.time = Some(time);
    }

    fn sequence(&mut self, at: u64, facts: &Facts, findings: &mut Findings) {
        let is_numbered =
            matches!(facts.kind, Kind::Disclosure | Kind::Subjects | Kind::Refusal | Kind::Signal);
        let (contractor, sequence) = match (facts.contractor, facts.sequence) {
            (Some(contractor), Some(sequence)) => (contractor, sequence),
            _ if is_numbered => {
                let what = "does not say whose entry it is, or the how manieth".to_owned();
                return findings.add(Finding::error(Check::Sequence, at, what));
            }
            _ => return,
        };
        let seen = self.contractors.entry(contractor).or_insert(Seen { sequence: 0, hidden: 0 });
        let expected = seen.sequence + 1;
        let hidden = self.hidden - seen.hidden;
        *seen = Seen { sequence, hidden: self.hidden };
        if sequence == expected {
            return;
        }
        let missing = sequence.saturating_sub(expected);
        // What was pruned left its place: no more can be missing than that.
        if missing > 0 && missing <= hidden && self.missing + missing <= self.hidden {
            self.missing += missing;
            return;
        }
        let name = self.names.name(contractor);
        let what = format!("is number {sequence} of contractor {name}, and number {expected} should come");
        findings.add(Finding::error(Check::Sequence, at, what));
    }

    fn rules(&mut self, at: u64, digest: Option<u32>, findings: &mut Findings) {
        let Some(digest) = digest else {
            let what = "does not say by which rules it was decided".to_owned();
            return findings.add(Finding::error(Check::Rules, at, what));
        };
        if self.announced.contains(&digest) {
            return;
        }
        let name: String = self.names.name(digest).chars().take(16).collect();
        if self.hidden == 0 {
            let what = format!("was decided by rules {name}… that no entry before it announces");
            findings.add(Finding::error(Check::Rules, at, what));
        } else if self.perhaps.insert(digest) {
            let what = format!("was decided by rules {name}… that only a pruned entry can have announced");
            findings.add(Finding::warning(Check::Rules, at, what));
        }
    }

    /// The entries about one response stand one after the other.
    fn parts(&mut self, at: u64, facts: &Facts, findings: &mut Findings) {
        let open = self.response.take();
        if facts.kind == Kind::Subjects {
            let part = facts.part.unwrap_or_default();
            let expected = match &open {
                Some(open) if open.id == facts.id && open.parts == facts.parts => Some(open.next),
                // Its beginning was pruned.
                None if self.after_hidden => Some(part),
                _ => None,
            };
            let begin = open.as_ref().filter(|open| open.id == facts.id).map_or(at, |open| open.at);
            if expected != Some(part) {
                let what = match expected {
                    Some(expected) => {
                        format!("is part {part} of {}, and part {expected} should come", facts.parts)
                    }
                    None => format!("is part {part} of {}, and the part before it is missing", facts.parts),
                };
                findings.add(Finding::error(Check::Parts, at, what));
            }
            if part < facts.parts {
                self.response =
                    Some(Response { id: facts.id, at: begin, next: part + 1, parts: facts.parts });
            }
            return;
        }
        if let Some(open) = open {
            let what = format!("has {} parts, and part {} does not follow", open.parts, open.next);
            findings.add(if facts.kind == Kind::Started {
                Finding::warning(
                    Check::Parts,
                    open.at,
                    format!("{what}: the gateway died before it released it"),
                )
            } else {
                Finding::error(Check::Parts, open.at, what)
            });
        }
        if facts.kind == Kind::Disclosure && facts.parts > 1 {
            self.response = Some(Response { id: facts.id, at, next: 2, parts: facts.parts });
        }
    }

    /// The parts of a response that left in parts; other entries stand between them.
    fn stream(&mut self, at: u64, id: u64, stream: Stream, findings: &mut Findings) {
        let (expected, hidden) = match self.streams.get(&id) {
            Some(known) => (known.next, self.hidden - known.hidden),
            // Where some were given up, this may be one of them.
            None if self.forgot => (stream.part, 0),
            None => (1, self.hidden),
        };
        let missing = stream.part.saturating_sub(expected);
        if stream.part < expected || missing > hidden {
            let what = format!("is part {} of its response, and part {expected} should come", stream.part);
            findings.add(Finding::error(Check::Stream, at, what));
        }
        if stream.last {
            self.streams.remove(&id);
        } else {
            self.streams.insert(id, Following { next: stream.part + 1, hidden: self.hidden, at });
        }
        if self.streams.len() > STREAMS {
            self.forget_half();
        }
    }

    /// Of a response whose receiver went away no last part comes.
    fn forget_half(&mut self) {
        let mut places: Vec<u64> = self.streams.values().map(|known| known.at).collect();
        let (_, middle, _) = places.select_nth_unstable(STREAMS / 2);
        let middle = *middle;
        self.streams.retain(|_, known| known.at > middle);
        self.forgot = true;
    }
}
