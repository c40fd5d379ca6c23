//! The reduction of one body while it arrives: pieces of an upstream's bytes in, pieces of what may leave
//! out. What is held of the body is the record in work, and where the rule needs it the whole.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::index::Index;
use super::lookahead::Lookahead;
use super::patterns::Patterns;
use super::projection::{Progress, Projection};
use super::simd;
use super::walk::Walk;
use super::{Fault, Filter, Tally};
use crate::model::Admission;

/// So much of a body that was walked through is taken away at once: moving the rest costs time.
const FORGET: usize = 64 << 10;

/// How a body is made of JSON texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One text (RFC 8259).
    #[default]
    Json,
    /// One text a line (NDJSON, JSON Lines); lines of white space only count for nothing.
    Lines,
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Reduced,
    /// The body is one record, and its condition does not hold.
    Withheld,
}

/// What may leave of one stretch of a body.
#[derive(Clone, Default)]
pub struct Part {
    pub body: Vec<u8>,
    pub tally: Tally,
}

/// A reduction, and the memory that it needs: used for one body after another, it is allocated once.
pub struct Reduction {
    format: Format,
    index: Index,
    projection: Projection,
    patterns: RefCell<Patterns>,
    /// What was cut off last.
    part: Part,
    /// What arrived and is not done with.
    text: Vec<u8>,
    /// Of that, bytes that are nothing but white space.
    seen: usize,
    /// The walk waits for a token that is longer than the text: it goes on when there is so much.
    wait: usize,
    /// The body has begun like JSON.
    begun: bool,
    done: bool,
}

/// The body is personal.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Part { body, tally } = self;
        f.debug_struct("Part").field("bytes", &body.len()).field("tally", tally).finish()
    }
}

/// The body is personal, and so is what was made of it.
impl fmt::Debug for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reduction { format, done, .. } = self;
        let mut shown = f.debug_struct("Reduction");
        shown.field("format", format).field("held", &self.held()).field("done", done).finish_non_exhaustive()
    }
}

impl Default for Reduction {
    fn default() -> Self {
        Reduction {
            format: Format::Json,
            index: Index::new(),
            projection: Projection::new(),
            patterns: RefCell::default(),
            part: Part::default(),
            text: Vec::new(),
            seen: 0,
            wait: 0,
            begun: false,
            done: false,
        }
    }
}

impl Reduction {
    pub fn new(filter: &Filter, format: Format) -> Self {
        let mut reduction = Reduction::default();
        reduction.begin(filter, format);
        reduction
    }

    /// Begins another body, in which every customer is let through; none where the filter needs to ask.
    pub fn begin(&mut self, filter: &Filter, format: Format) {
        self.begin_for(filter, format, None);
    }

    /// Begins another body, of which those records leave whose customers are let through.
    pub fn begin_for(&mut self, filter: &Filter, format: Format, admission: Option<Arc<dyn Admission>>) {
        self.format = format;
        self.projection.admission = admission;
        self.text.clear();
        (self.seen, self.wait, self.begun, self.done) = (0, 0, false, false);
        self.index.reset();
        self.projection.begin(filter);
        self.patterns.get_mut().clear();
        self.projection.out.clear();
        self.projection.tally.clear(filter.fields);
        self.part.body.clear();
        self.part.tally.clear(filter.fields);
    }

    /// Forgets the body and what was made of it; what was allocated stays.
    pub fn clear(&mut self) {
        self.text.clear();
        self.index.clear();
        self.patterns.get_mut().clear();
        self.projection.admission = None;
        self.projection.out.clear();
        self.projection.tally.clear(0);
        self.part.body.clear();
        self.part.tally.clear(0);
    }

    /// Bytes that what grows with the body has been given: its text, the reduction, marks and subjects.
    pub fn capacity(&self) -> usize {
        let subjects = self.projection.tally.subjects.capacity() + self.part.tally.subjects.capacity();
        let out = self.projection.out.capacity() + self.part.body.capacity();
        self.text.capacity() + out + self.index.capacity() + subjects
    }

    /// What [`capacity`](Self::capacity) will be, as far as it is known, when `coming` bytes more of the
    /// body are held.
    pub fn capacity_with(&self, coming: usize) -> usize {
        let (held, given) = (self.text.len() + coming, self.text.capacity());
        // Vectors grow to the double.
        let grown = if held > given { held.max(2 * given) } else { given };
        self.capacity() - given + grown
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// Where the body cannot be trusted to mean one thing. What was not taken out before is lost.
    pub fn feed(&mut self, filter: &Filter, bytes: &[u8]) -> Result<(), Fault> {
        match self.format {
            Format::Json => {
                self.text.extend_from_slice(bytes);
                self.advance(filter, false)
            }
            Format::Lines => self.lines(filter, bytes),
        }
    }

    /// The body has ended; what is left of its reduction is cut off.
    ///
    /// # Errors
    /// As [`Reduction::feed`], and where something is missing.
    pub fn finish(&mut self, filter: &Filter) -> Result<Verdict, Fault> {
        match self.format {
            Format::Json => self.advance(filter, true)?,
            Format::Lines => {
                let rest = std::mem::take(&mut self.text);
                let result = self.line(filter, &rest);
                self.text = rest;
                result?;
                self.cut();
                return Ok(Verdict::Reduced);
            }
        }
        if !self.done {
            return Err(Fault::Syntax { offset: self.text.len() });
        }
        let verdict = verdict(filter, &mut self.projection, 0)?;
        self.cut();
        Ok(verdict)
    }

    /// The whole of one body; its reduction is then cut off.
    ///
    /// # Errors
    /// Where the body cannot be trusted to mean one thing. The upstream is at fault.
    pub fn reduce(&mut self, filter: &Filter, body: &[u8]) -> Result<Verdict, Fault> {
        self.reduce_for(filter, body, None)
    }

    /// As [`reduce`](Self::reduce), of the records whose customers are let through.
    ///
    /// # Errors
    /// As there.
    pub fn reduce_for(
        &mut self,
        filter: &Filter,
        body: &[u8],
        admission: Option<Arc<dyn Admission>>,
    ) -> Result<Verdict, Fault> {
        self.begin_for(filter, Format::Json, admission);
        let verdict = self.whole(filter, body)?;
        self.cut();
        Ok(verdict)
    }

    /// Bytes of the reduction that may leave, whatever follows: nothing of them will be taken back.
    pub fn settled(&self) -> usize {
        match self.format {
            Format::Json => self.projection.settled(),
            Format::Lines => self.projection.out.len(),
        }
    }

    /// Bytes of the body that are held, and of its reduction.
    pub fn held(&self) -> usize {
        self.text.len() + self.projection.out.len()
    }

    /// Cuts off what is settled: [`body`](Self::body) and [`tally`](Self::tally) then are about it. At the
    /// end of the body that is done already.
    pub fn cut(&mut self) {
        self.projection.cut(&mut self.part.body, &mut self.part.tally);
    }

    /// The part of the reduction that was cut off last.
    pub fn body(&self) -> &[u8] {
        &self.part.body
    }

    /// What was done for that part.
    pub fn tally(&self) -> &Tally {
        &self.part.tally
    }

    /// The part that was cut off last.
    pub fn into_part(self) -> Part {
        self.part
    }

    /// Walks as far as the text goes.
    fn advance(&mut self, filter: &Filter, complete: bool) -> Result<(), Fault> {
        if !self.begun {
            let first = self.text[self.seen..].iter().find(|byte| !is_white(**byte));
            match first {
                Some(first) if begins_value(*first) => self.begun = true,
                Some(_) => return Err(Fault::NotJson),
                None if complete => return Err(Fault::NotJson),
                None => {
                    self.seen = self.text.len();
                    return Ok(());
                }
            }
        }
        // What is asked for by `$` may stand anywhere.
        if !complete && (filter.uses_body() || self.text.len() < self.wait) {
            return Ok(());
        }
        let before = self.index.before(&self.projection.cursor);
        self.done =
            walk(filter, &mut self.index, &mut self.projection, &self.patterns, &self.text, complete)?;
        let stands = self.index.before(&self.projection.cursor) == before;
        self.wait = if stands { self.text.len() / 2 * 3 } else { 0 };
        if !self.done {
            self.forget(filter);
        }
        Ok(())
    }

    /// Takes away what nobody needs any more.
    fn forget(&mut self, filter: &Filter) {
        let cursor = self.index.before(&self.projection.cursor);
        let done = self.projection.needs_text_from(filter, cursor) / simd::BLOCK * simd::BLOCK;
        if done >= FORGET && done >= self.text.len() / 2 {
            self.text.drain(..done);
            self.index.forget(done);
            self.projection.forget(done);
        }
    }

    /// Whole lines are reduced where they are; what is left waits for the rest of its line.
    fn lines(&mut self, filter: &Filter, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            if self.text.is_empty() {
                self.line(filter, line)?;
            } else {
                let mut begun = std::mem::take(&mut self.text);
                begun.extend_from_slice(line);
                let result = self.line(filter, &begun);
                begun.clear();
                self.text = begun;
                result?;
            }
            rest = behind;
        }
        self.text.extend_from_slice(rest);
        Ok(())
    }

    fn line(&mut self, filter: &Filter, line: &[u8]) -> Result<(), Fault> {
        if line.iter().all(|byte| is_white(*byte)) {
            return Ok(());
        }
        self.index.reset();
        self.projection.begin(filter);
        if self.whole(filter, line)? == Verdict::Reduced {
            self.projection.out.push(b'\n');
        }
        self.patterns.get_mut().end_text(line.len());
        Ok(())
    }

    /// Reduces a text that is all there, behind what was written before.
    fn whole(&mut self, filter: &Filter, text: &[u8]) -> Result<Verdict, Fault> {
        if !text.iter().find(|byte| !is_white(**byte)).is_some_and(|first| begins_value(*first)) {
            return Err(Fault::NotJson);
        }
        let begin = self.projection.out.len();
        if !walk(filter, &mut self.index, &mut self.projection, &self.patterns, text, true)? {
            // The end of the text is a token, so a text that is all there has one more to go to.
            return Err(Fault::Syntax { offset: text.len() });
        }
        verdict(filter, &mut self.projection, begin)
    }
}

/// Reads and walks in turn; true where the text came to its end.
fn walk(
    filter: &Filter,
    index: &mut Index,
    projection: &mut Projection,
    patterns: &RefCell<Patterns>,
    text: &[u8],
    complete: bool,
) -> Result<bool, Fault> {
    let mut lookahead = Lookahead::new(filter, text, patterns);
    while index.extend(text, complete, &mut projection.cursor)? {
        let walk = Walk { filter, text, index, projection, lookahead: &mut lookahead };
        if simd::at(index.level(), walk)? == Progress::Done {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a text that came to its end amounts to; `begin` is where its output begins.
fn verdict(filter: &Filter, projection: &mut Projection, begin: usize) -> Result<Verdict, Fault> {
    if projection.withheld {
        projection.out.truncate(begin);
        return Ok(Verdict::Withheld);
    }
    if !projection.kept && filter.fields > 0 {
        return Err(Fault::Shape);
    }
    if filter.fields == 0 {
        projection.out.extend_from_slice(b"{}");
    }
    Ok(Verdict::Reduced)
}

/// RFC 8259, section 2.
fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn begins_value(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}

#[cfg(test)]
mod tests;
