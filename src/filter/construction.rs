//! Builds the automaton from items (how far each path has come) by the usual subset construction.

use std::collections::{BTreeSet, HashMap};

use super::automaton::{Action, Automaton, Beginnings, Branch, Name, State, StateId};
use super::path::{Origin, Path, Selector, Step};
use super::treatment::{Form, Treatment};

/// States are few and small; more than this is a rule file that nobody could review.
const MAX_STATES: usize = 4096;
/// Distinct index, slice and filter selectors that may meet at one place: one bit each.
const MAX_SELECTORS: usize = 64;
/// Of those, the ones that say nothing of each other: filters, steps, and what counts from the end. Each
/// set of them may lead to a state of its own.
const MAX_FREE: usize = 6;
/// Items that may be looked at while compiling: seconds at the most.
const MAX_WORK: usize = 3_000_000;

/// Everything that the paths of one route ask for.
pub struct Wanted<'a> {
    pub records: Option<&'a Path>,
    /// Captured queries, in slot order.
    pub captures: Vec<&'a Path>,
    pub fields: Vec<(&'a Path, &'a Treatment)>,
}

/// Why the paths of a rule cannot be compiled together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Two fields reach one value and treat it differently.
    Treatments(usize, usize),
    /// Too many states, or too many selectors at one place.
    TooComplex,
}

/// Whose path an item follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Owner {
    Records,
    Capture(usize),
    Field(usize),
}

/// How far one path has come at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Item {
    /// Before step `step`; `searching`: below the place where a `..` began.
    At { owner: Owner, step: usize, searching: bool },
    /// Inside a subtree that leaves as a whole.
    Inside(usize),
    /// An element of an array that a plain path selected.
    Element(usize),
}

type Items = BTreeSet<Item>;

/// Compiles all paths of a route together.
///
/// # Errors
/// Where they contradict each other, or are too many.
pub fn compile(wanted: &Wanted) -> Result<Automaton, Conflict> {
    let mut builder = Builder { wanted, ids: HashMap::new(), queue: Vec::new(), work: 0 };
    builder.id(Items::new())?;
    builder.id(builder.start())?;
    let mut states = Vec::new();
    while let Some(items) = builder.queue.get(states.len()).cloned() {
        states.push(builder.state(&items)?);
    }
    Ok(Automaton::new(states))
}

/// The selectors that a child must be shown to, at one place.
struct Shown {
    selectors: Vec<Selector>,
    /// Each set of the free ones.
    free: Vec<u64>,
    /// Bits of the filters among them.
    filters: u64,
}

impl Shown {
    fn new<'s>(all: impl Iterator<Item = &'s Selector>) -> Result<Shown, Conflict> {
        let mut selectors: Vec<Selector> = Vec::new();
        for selector in all {
            let by_itself = matches!(selector, Selector::Name(_) | Selector::Wildcard);
            if !by_itself && !selectors.contains(selector) {
                selectors.push(selector.clone());
            }
        }
        let bits = |wanted: fn(&Selector) -> bool| {
            let bits = selectors.iter().enumerate().filter(|(_, selector)| wanted(selector));
            bits.map(|(bit, _)| 1u64 << bit).collect::<Vec<_>>()
        };
        let free = bits(Selector::is_free);
        if selectors.len() > MAX_SELECTORS || free.len() > MAX_FREE {
            return Err(Conflict::TooComplex);
        }
        let sets = (0..1u64 << free.len()).map(|choice| {
            let chosen = free.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1);
            chosen.fold(0, |set, (_, bit)| set | bit)
        });
        let filters = bits(|selector| matches!(selector, Selector::Filter(_))).into_iter().sum();
        Ok(Shown { free: sets.collect(), filters, selectors })
    }

    /// Each set that can take a member.
    fn of_members(&self) -> BTreeSet<u64> {
        self.free.iter().map(|set| set & self.filters).collect()
    }

    /// Each set that can take an element. The others are indexes and slices of step 1: what takes an
    /// element changes only where one of them begins or ends.
    fn of_elements(&self) -> BTreeSet<u64> {
        let fixed = |index: u64| {
            let taking = self
                .selectors
                .iter()
                .enumerate()
                .filter(|(_, selector)| !selector.is_free() && selector.takes_index(index, None));
            taking.fold(0, |set, (bit, _)| set | 1u64 << bit)
        };
        let mut edges = BTreeSet::from([0]);
        for selector in self.selectors.iter().filter(|selector| !selector.is_free()) {
            match *selector {
                Selector::Index(index) => edges.extend([index, index + 1]),
                Selector::Slice { start, end, .. } => edges.extend([start, end].into_iter().flatten()),
                Selector::Name(_) | Selector::Wildcard | Selector::Filter(_) => {}
            }
        }
        let fixed: BTreeSet<u64> =
            edges.into_iter().filter_map(|edge| u64::try_from(edge).ok()).map(fixed).collect();
        fixed.iter().flat_map(|fixed| self.free.iter().map(move |free| fixed | free)).collect()
    }

    fn has(&self, set: u64, selector: &Selector) -> bool {
        set & self.bit(selector) != 0
    }

    /// The set of the selector alone; empty where it need not be shown a child.
    fn bit(&self, selector: &Selector) -> u64 {
        self.selectors.iter().position(|own| own == selector).map_or(0, |bit| 1 << bit)
    }
}

struct Builder<'a> {
    wanted: &'a Wanted<'a>,
    ids: HashMap<Items, StateId>,
    queue: Vec<Items>,
    work: usize,
}

impl Builder<'_> {
    fn id(&mut self, items: Items) -> Result<StateId, Conflict> {
        if let Some(id) = self.ids.get(&items) {
            return Ok(*id);
        }
        if self.queue.len() >= MAX_STATES {
            return Err(Conflict::TooComplex);
        }
        let id = StateId(self.queue.len() as u32);
        self.queue.push(items.clone());
        self.ids.insert(items, id);
        Ok(id)
    }

    fn path(&self, owner: Owner) -> &Path {
        match owner {
            Owner::Records => self.wanted.records.unwrap_or(&BODY),
            Owner::Capture(slot) => self.wanted.captures[slot],
            Owner::Field(field) => self.wanted.fields[field].0,
        }
    }

    fn owners(&self) -> impl Iterator<Item = Owner> + use<> {
        let captures = (0..self.wanted.captures.len()).map(Owner::Capture);
        captures.chain((0..self.wanted.fields.len()).map(Owner::Field))
    }

    fn start(&self) -> Items {
        let mut items = Items::new();
        self.reach(&mut items, Owner::Records, 0, false);
        let from_body: Vec<_> =
            self.owners().filter(|owner| self.path(*owner).origin == Origin::Body).collect();
        for owner in from_body {
            self.reach(&mut items, owner, 0, false);
        }
        items
    }

    /// Adds an item; where it completes the records path, the paths from `@` begin here.
    fn reach(&self, items: &mut Items, owner: Owner, step: usize, searching: bool) {
        items.insert(Item::At { owner, step, searching });
        if owner == Owner::Records && step == self.path(owner).steps.len() {
            let from_record: Vec<_> =
                self.owners().filter(|owner| self.path(*owner).origin == Origin::Record).collect();
            for owner in from_record {
                self.reach(items, owner, 0, false);
            }
        }
    }

    /// The items at the children that `taken` says a selector takes.
    fn advance(
        &mut self,
        items: &Items,
        elements: bool,
        taken: &dyn Fn(&Selector) -> bool,
    ) -> Result<Items, Conflict> {
        self.work += items.len();
        if self.work > MAX_WORK {
            return Err(Conflict::TooComplex);
        }
        let mut next = Items::new();
        for item in items {
            match *item {
                Item::At { owner, step, .. } => {
                    let steps = &self.path(owner).steps;
                    match steps.get(step) {
                        Some(current) => {
                            if current.descendant {
                                self.reach(&mut next, owner, step, true);
                            }
                            if current.selectors.iter().any(taken) {
                                self.reach(&mut next, owner, step + 1, false);
                            }
                        }
                        None => next.extend(self.below_leaf(owner, elements)),
                    }
                }
                Item::Inside(field) => {
                    next.insert(Item::Inside(field));
                }
                Item::Element(_) => {}
            }
        }
        Ok(next)
    }

    /// What a completed path says about the children of its value.
    fn below_leaf(&self, owner: Owner, elements: bool) -> Option<Item> {
        let Owner::Field(field) = owner else {
            return None;
        };
        match self.wanted.fields[field].1.form {
            Form::Plain => elements.then_some(Item::Element(field)),
            Form::Whole => Some(Item::Inside(field)),
            Form::Transformed(_) => None,
        }
    }

    fn state(&mut self, items: &Items) -> Result<State, Conflict> {
        let selectors: Vec<Selector> =
            self.pending(items).flat_map(|(_, step, _)| step.selectors.iter().cloned()).collect();
        let shown = Shown::new(selectors.iter())?;
        let mut names = Vec::new();
        for name in known_names(&selectors) {
            let branch = self.branch(items, false, shown.of_members(), |set, selector| {
                selector.takes_name(&name) || shown.has(set, selector)
            })?;
            names.push((Name::new(name), branch));
        }
        let taken = |set, selector: &Selector| *selector == Selector::Wildcard || shown.has(set, selector);
        let other = self.branch(items, false, shown.of_members(), taken)?;
        let elements = self.branch(items, true, shown.of_elements(), taken)?;
        Ok(State {
            beginnings: Beginnings::new(&names),
            names,
            other,
            elements,
            filters: shown.filters,
            filter_slots: self.filter_slots(items, &shown),
            needs_length: shown.selectors.iter().any(Selector::needs_length),
            selectors: shown.selectors,
            action: self.action(items)?,
            captures: self
                .completed(items)
                .filter_map(|owner| match owner {
                    Owner::Capture(slot) => Some(slot),
                    _ => None,
                })
                .collect(),
            record: self.completed(items).any(|owner| owner == Owner::Records),
            emits_object: self.emits(items, Selector::meets_objects) || self.is_whole(items),
            emits_array: self.emits(items, Selector::meets_arrays)
                || self.is_whole(items)
                || self.is_plain(items),
            keeps_object: self.keeps(items, Selector::meets_objects),
            keeps_array: self.keeps(items, Selector::meets_arrays) || self.is_plain(items),
            looks_below: self.pending(items).any(|(owner, _, _)| !matches!(owner, Owner::Field(_))),
        })
    }

    fn filter_slots(&self, items: &Items, shown: &Shown) -> Vec<(u64, usize)> {
        let mut slots = Vec::new();
        for (owner, step, _) in self.pending(items) {
            let Owner::Capture(slot) = owner else { continue };
            let filters = step.selectors.iter().filter(|selector| matches!(selector, Selector::Filter(_)));
            slots.extend(filters.map(|filter| (shown.bit(filter), slot)));
        }
        slots
    }

    /// Where a child leads, by the set of selectors that take it.
    fn branch(
        &mut self,
        items: &Items,
        elements: bool,
        sets: BTreeSet<u64>,
        taken: impl Fn(u64, &Selector) -> bool,
    ) -> Result<Branch, Conflict> {
        let mut states = Vec::new();
        for set in sets {
            let next = self.advance(items, elements, &|selector| taken(set, selector))?;
            states.push((set, self.id(next)?));
        }
        Ok(match states[..] {
            [(_, first), ref rest @ ..] if rest.iter().all(|(_, state)| *state == first) => {
                Branch::One(first)
            }
            _ => Branch::BySet(states),
        })
    }

    /// Paths that have further to go: their owner, the step before them, and whether they search.
    fn pending<'s>(&'s self, items: &'s Items) -> impl Iterator<Item = (Owner, &'s Step, bool)> {
        items.iter().filter_map(|item| match *item {
            Item::At { owner, step, searching } => {
                Some((owner, self.path(owner).steps.get(step)?, searching))
            }
            _ => None,
        })
    }

    /// Paths that end here.
    fn completed<'s>(&'s self, items: &'s Items) -> impl Iterator<Item = Owner> {
        items.iter().filter_map(|item| match *item {
            Item::At { owner, step, .. } if step == self.path(owner).steps.len() => Some(owner),
            _ => None,
        })
    }

    fn emits(&self, items: &Items, meets: fn(&Selector) -> bool) -> bool {
        self.pending(items).any(|(owner, step, _)| {
            self.discloses(owner) && (step.descendant || step.selectors.iter().any(meets))
        })
    }

    /// The owner's path leads to something that leaves: a field, or records with fields in them.
    fn discloses(&self, owner: Owner) -> bool {
        match owner {
            Owner::Field(_) => true,
            Owner::Capture(_) => false,
            Owner::Records => self.wanted.fields.iter().any(|(path, _)| path.origin == Origin::Record),
        }
    }

    /// A container stays empty where a path names it; not where a search only passes through.
    fn keeps(&self, items: &Items, meets: fn(&Selector) -> bool) -> bool {
        let named = self.pending(items).any(|(owner, step, searching)| {
            let on_the_way = step.descendant || step.selectors.iter().any(meets);
            self.discloses(owner) && !searching && on_the_way
        });
        named || self.is_whole(items)
    }

    fn is_whole(&self, items: &Items) -> bool {
        self.treatments(items).any(|(_, treatment)| matches!(treatment.form, Form::Whole))
    }

    /// A plain path ends here, so an array's scalars leave. (Not for an element of such an array.)
    fn is_plain(&self, items: &Items) -> bool {
        self.completed(items).any(|owner| {
            matches!(owner, Owner::Field(field) if matches!(self.wanted.fields[field].1.form, Form::Plain))
        })
    }

    fn treatments<'s>(&'s self, items: &'s Items) -> impl Iterator<Item = (usize, &'s Treatment)> {
        items.iter().filter_map(|item| {
            let field = match *item {
                Item::At { owner: Owner::Field(field), step, .. } => {
                    (step == self.path(Owner::Field(field)).steps.len()).then_some(field)?
                }
                Item::At { .. } => return None,
                Item::Inside(field) | Item::Element(field) => field,
            };
            Some((field, self.wanted.fields[field].1))
        })
    }

    /// What all fields that reach this place agree on.
    fn action(&self, items: &Items) -> Result<Option<Action>, Conflict> {
        let mut agreed: Option<(usize, &Treatment)> = None;
        let mut all: Vec<_> = self.treatments(items).collect();
        all.sort_by_key(|(field, _)| *field);
        for (field, treatment) in all {
            agreed = Some(match agreed {
                None => (field, treatment),
                Some(first) => agree(first, (field, treatment))?,
            });
        }
        Ok(agreed.map(|(field, treatment)| Action { field, treatment: treatment.clone() }))
    }
}

fn known_names(selectors: &[Selector]) -> BTreeSet<String> {
    let names = selectors.iter().filter_map(|selector| match selector {
        Selector::Name(name) => Some(name.clone()),
        _ => None,
    });
    names.collect()
}

/// The whole body as the one record.
static BODY: Path = Path { origin: Origin::Body, steps: Vec::new() };

/// What two fields that reach one value make of it together.
fn agree<'t>(
    first: (usize, &'t Treatment),
    second: (usize, &'t Treatment),
) -> Result<(usize, &'t Treatment), Conflict> {
    // A subtree that leaves as a whole contains what a plain path lets out.
    match first.1.merge(second.1) {
        Some(merged) if std::ptr::eq(merged, second.1) => Ok(second),
        Some(_) => Ok(first),
        None => Err(Conflict::Treatments(first.0, second.0)),
    }
}
