//! Builds the automaton from items (how far each path has come) by the usual subset construction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::automaton::{Action, Automaton, Elements, State, StateId, Treatment, taking};
use super::path::{Origin, Path, Selector, Step};

/// States are few and small; more than this is a rule file that nobody could review.
const MAX_STATES: usize = 4096;
/// Distinct index and slice selectors that may meet at one place: one bit each.
const MAX_INDEX_SELECTORS: usize = 64;
/// How far the elements of a list are looked at one by one for what selects them.
pub const MAX_INDEX: u64 = 4096;
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
    /// An index or a bound of a slice is over the limit, or the steps of slices are together.
    IndexTooLarge,
    /// Too many states, or too many index selectors at one place.
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

/// From which index on the sets repeat.
fn horizon(selectors: &[Selector]) -> u64 {
    let (mut last, mut period) = (0, 1u64);
    for selector in selectors {
        if let Selector::Slice { start, end, step } = *selector {
            last = last.max(start);
            if end == u64::MAX {
                period = period.saturating_mul(step.max(1));
            } else {
                last = last.max(end);
            }
        } else if let Selector::Index(index) = *selector {
            last = last.max(index);
        }
    }
    last.saturating_add(period)
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
        match self.wanted.fields[field].1 {
            Treatment::Plain => elements.then_some(Item::Element(field)),
            Treatment::Whole => Some(Item::Inside(field)),
            Treatment::Transformed(_) => None,
        }
    }

    fn state(&mut self, items: &Items) -> Result<State, Conflict> {
        let mut names = BTreeMap::new();
        for name in self.known_names(items) {
            let next = self.advance(items, false, &|selector| selector.takes_name(&name))?;
            names.insert(name, self.id(next)?);
        }
        let other = self.advance(items, false, &|selector| *selector == Selector::Wildcard)?;
        let other = self.id(other)?;
        Ok(State {
            names: names.into_iter().map(|(name, state)| (name.into_boxed_str(), state)).collect(),
            other,
            elements: self.elements(items)?,
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

    fn known_names(&self, items: &Items) -> BTreeSet<String> {
        let selectors = self.pending(items).flat_map(|(_, step, _)| &step.selectors);
        selectors
            .filter_map(|selector| match selector {
                Selector::Name(name) => Some(name.clone()),
                _ => None,
            })
            .collect()
    }

    fn elements(&mut self, items: &Items) -> Result<Elements, Conflict> {
        let mut selectors: Vec<Selector> = Vec::new();
        for selector in self.pending(items).flat_map(|(_, step, _)| &step.selectors) {
            if matches!(selector, Selector::Index(_) | Selector::Slice { .. })
                && !selectors.contains(selector)
            {
                selectors.push(selector.clone());
            }
        }
        if selectors.len() > MAX_INDEX_SELECTORS {
            return Err(Conflict::TooComplex);
        }
        let horizon = horizon(&selectors);
        if horizon > MAX_INDEX {
            return Err(Conflict::IndexTooLarge);
        }
        let sets: BTreeSet<u64> = (0..=horizon).map(|index| taking(&selectors, index)).collect();
        let mut states = Vec::new();
        for set in sets {
            let next = self.advance(items, true, &|selector| {
                let bit = selectors.iter().position(|own| own == selector);
                *selector == Selector::Wildcard || bit.is_some_and(|bit| set >> bit & 1 == 1)
            })?;
            states.push((set, self.id(next)?));
        }
        Ok(match states[..] {
            [(_, each)] => Elements::Each(each),
            _ => Elements::BySelector(selectors, states),
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
        self.treatments(items).any(|(_, treatment)| matches!(treatment, Treatment::Whole))
    }

    /// A plain path ends here, so an array's scalars leave. (Not for an element of such an array.)
    fn is_plain(&self, items: &Items) -> bool {
        self.completed(items).any(|owner| {
            matches!(owner, Owner::Field(field) if matches!(self.wanted.fields[field].1, Treatment::Plain))
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

/// The whole body as the one record.
static BODY: Path = Path { origin: Origin::Body, steps: Vec::new() };

fn agree<'t>(
    first: (usize, &'t Treatment),
    second: (usize, &'t Treatment),
) -> Result<(usize, &'t Treatment), Conflict> {
    match (first.1, second.1) {
        (Treatment::Transformed(a), Treatment::Transformed(b)) if a.same_as(b) => Ok(first),
        (Treatment::Transformed(_), _) | (_, Treatment::Transformed(_)) => {
            Err(Conflict::Treatments(first.0, second.0))
        }
        // A subtree that leaves as a whole contains what a plain path lets out.
        (Treatment::Plain, Treatment::Whole) => Ok(second),
        _ => Ok(first),
    }
}
