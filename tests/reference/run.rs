//! The filter, asked in each of the ways that there are.

use fieldgate::filter::{Fault, FieldCount, Filter, Format, Reduction, Tally, Verdict};
use fieldgate::model::Subjects;

/// What came of a text: whether it was one withheld record, what leaves, and the counts.
pub type Reduced = (Verdict, Vec<u8>, Counts);

/// A tally, and apart from it the subjects of its parts, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub tally: Tally,
    subjects: Vec<Subjects>,
}

impl PartialEq for Counts {
    fn eq(&self, other: &Self) -> bool {
        let (own, others) = (self.subjects.iter(), other.subjects.iter());
        self.tally == other.tally && own.flat_map(Subjects::iter).eq(others.flat_map(Subjects::iter))
    }
}

impl From<Tally> for Counts {
    fn from(mut tally: Tally) -> Self {
        let subjects = vec![std::mem::take(&mut tally.subjects)];
        Counts { tally, subjects }
    }
}

pub fn whole(filter: &Filter, text: &[u8]) -> Result<Reduced, Fault> {
    let mut reduction = Reduction::default();
    let verdict = reduction.reduce(filter, text)?;
    Ok((verdict, reduction.body().to_vec(), reduction.tally().clone().into()))
}

/// The same, of a text that arrives in pieces that end at `borders`. What may leave is taken out at once.
pub fn in_pieces(
    filter: &Filter,
    text: &[u8],
    borders: impl IntoIterator<Item = usize>,
) -> Result<Reduced, Fault> {
    fed(filter, Format::Json, text, borders)
}

/// Of a text of lines, each a text of its own.
pub fn lines(
    filter: &Filter,
    text: &[u8],
    borders: impl IntoIterator<Item = usize>,
) -> Result<Reduced, Fault> {
    fed(filter, Format::Lines, text, borders)
}

fn fed(
    filter: &Filter,
    format: Format,
    text: &[u8],
    borders: impl IntoIterator<Item = usize>,
) -> Result<Reduced, Fault> {
    let mut reduction = Reduction::new(filter, format);
    let (mut body, mut tally) = (Vec::new(), Counts::from(reduction.tally().clone()));
    let mut take = |part: &Reduction| {
        body.extend_from_slice(part.body());
        add(&mut tally, part.tally());
    };
    let mut from = 0;
    for border in borders.into_iter().take_while(|border| *border < text.len()).chain([text.len()]) {
        reduction.feed(filter, &text[from..border])?;
        from = border;
        reduction.cut();
        take(&reduction);
    }
    let verdict = reduction.finish(filter)?;
    take(&reduction);
    Ok((verdict, body, tally))
}

fn add(counts: &mut Counts, part: &Tally) {
    let sum = &mut counts.tally;
    for (sum, part) in sum.fields.iter_mut().zip(&part.fields) {
        let FieldCount { disclosed, withheld, drifted, masked } = part;
        sum.disclosed += disclosed;
        sum.withheld += withheld;
        sum.drifted += drifted;
        sum.masked.add(*masked);
    }
    sum.records_released += part.records_released;
    sum.records_withheld += part.records_withheld;
    sum.members_withheld += part.members_withheld;
    sum.without_subject += part.without_subject;
    counts.subjects.push(part.subjects.clone());
}

/// Both reduced a text to the same, or both refused it. Which of two reasons is met first depends on how
/// much of the text was there.
pub fn is_same(one: &Result<Reduced, Fault>, other: &Result<Reduced, Fault>) -> bool {
    match (one, other) {
        (Err(Fault::Syntax { offset }), Err(Fault::Syntax { offset: other })) => offset == other,
        (Err(Fault::NotUtf8 { offset }), Err(Fault::NotUtf8 { offset: other })) => offset == other,
        (Err(_), Err(_)) => true,
        (one, other) => one == other,
    }
}
