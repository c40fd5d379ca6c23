//! The reduction of one body while it arrives: pieces of an upstream's bytes in, pieces of what may leave
//! out. What is held of the body is the record in work, and where the rule needs it the whole.

use std::cell::RefCell;
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
#[derive(Clone, Debug, Default)]
pub struct Part {
    pub body: Vec<u8>,
    pub tally: Tally,
}

/// A reduction, and the memory that it needs: used for one body after another, it is allocated once.
#[derive(Debug)]
pub struct Reduction {
    format: Format,
    index: Index,
    projection: Projection,
    patterns: Patterns,
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

impl Default for Reduction {
    fn default() -> Self {
        Reduction {
            format: Format::Json,
            index: Index::new(),
            projection: Projection::new(),
            patterns: Patterns::default(),
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
        self.patterns.clear();
        self.projection.out.clear();
        self.projection.tally.clear(filter.fields);
        self.part.body.clear();
        self.part.tally.clear(filter.fields);
    }

    /// Forgets the body and what was made of it; what was allocated stays.
    pub fn clear(&mut self) {
        self.text.clear();
        self.patterns.clear();
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
            walk(filter, &mut self.index, &mut self.projection, &mut self.patterns, &self.text, complete)?;
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
        self.patterns.end_text(line.len());
        Ok(())
    }

    /// Reduces a text that is all there, behind what was written before.
    fn whole(&mut self, filter: &Filter, text: &[u8]) -> Result<Verdict, Fault> {
        if !text.iter().find(|byte| !is_white(**byte)).is_some_and(|first| begins_value(*first)) {
            return Err(Fault::NotJson);
        }
        let begin = self.projection.out.len();
        if !walk(filter, &mut self.index, &mut self.projection, &mut self.patterns, text, true)? {
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
    patterns: &mut Patterns,
    text: &[u8],
    complete: bool,
) -> Result<bool, Fault> {
    let shared = RefCell::new(std::mem::take(patterns));
    let mut lookahead = Lookahead::new(filter, text, &shared);
    let mut walk = || {
        while index.extend(text, complete, &mut projection.cursor)? {
            let walk = Walk { filter, text, index, projection, lookahead: &mut lookahead };
            if simd::at(index.level(), walk)? == Progress::Done {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let done = walk();
    *patterns = shared.into_inner();
    done
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
mod tests {
    use super::super::{Condition, Path, Selection, Treatment};
    use super::*;
    use crate::model::Subject;

    fn filter(records: Option<&str>, disclose: &[&str]) -> Filter {
        Filter::compile(&Selection {
            records: records.map(|path| Path::parse(path).unwrap()),
            subject: Some(Path::parse("@.id").unwrap()),
            when: Some(Condition::parse("@.ok").unwrap()),
            disclose: disclose.iter().map(|path| (Path::parse(path).unwrap(), Treatment::plain())).collect(),
            ..Selection::default()
        })
        .unwrap()
    }

    fn list(records: usize) -> String {
        let record = |n: usize| {
            let ok = if n.is_multiple_of(3) { "" } else { ",\"ok\":1" };
            format!("{{\"id\":{n},\"text\":\"{}\",\"dead\":[{{\"a\":[[]]}},{n}]{ok}}}", "é\\n".repeat(n % 70))
        };
        let list: Vec<String> = (0..records).map(record).collect();
        format!("{{ \"data\" : [{}],\n\"next\":\"/x\"}} ", list.join(" , "))
    }

    #[test]
    fn a_body_in_pieces_gives_what_it_gives_as_a_whole() {
        let filter = filter(Some("$.data[*]"), &["@.id", "@.text", "$.next"]);
        let body = list(700);
        let mut whole = Reduction::default();
        assert_eq!(whole.reduce(&filter, body.as_bytes()), Ok(Verdict::Reduced));
        for piece in [1, 7, 63, 64, 65, 1000, 8192, 100_000] {
            let mut reduction = Reduction::new(&filter, Format::Json);
            let (mut out, mut released, mut subjects) = (Vec::new(), 0, 0);
            let (mut disclosed, mut withheld) = (0, 0);
            for bytes in body.as_bytes().chunks(piece) {
                reduction.feed(&filter, bytes).unwrap();
                reduction.cut();
                out.extend(reduction.body());
                released += reduction.tally().records_released;
                subjects += reduction.tally().subjects.len();
                disclosed += reduction.tally().fields[1].disclosed;
                withheld += reduction.tally().members_withheld;
            }
            assert_eq!(reduction.finish(&filter), Ok(Verdict::Reduced));
            out.extend(reduction.body());
            let (last, all) = (reduction.tally(), whole.tally());
            assert_eq!(std::str::from_utf8(&out), std::str::from_utf8(whole.body()), "{piece}");
            assert_eq!(released + last.records_released, all.records_released);
            assert_eq!(subjects + last.subjects.len(), all.subjects.len());
            assert_eq!(disclosed + last.fields[1].disclosed, all.fields[1].disclosed);
            assert_eq!(withheld + last.members_withheld, all.members_withheld);
        }
    }

    /// Also where a member that is not looked at is longer than what is read at once.
    #[test]
    fn long_members_in_pieces_give_what_they_give_as_a_whole() {
        let filter = filter(Some("$.data[*]"), &["@.id", "@.text"]);
        let (long, digits) = ("x\\\"é{[".repeat(6000), "7".repeat(30_000));
        let members = [
            format!("\"dead\":\"{long}\""),
            format!("\"d\\u0065ad2\" : {digits} "),
            format!("\"dead3\":  {}{{\"in\":[\"{long}\"]}}", " ".repeat(20_000)),
            format!("\"text\":\"{long}\""),
            format!("\"{}\":true", "n".repeat(20_000)),
        ];
        let records = (0..members.len()).map(|at| {
            let (first, second) = (&members[at], &members[(at + 3) % members.len()]);
            format!("{{{first},\"ok\":1,{second},\"id\":{at}}}")
        });
        let body = format!("{{\"data\":[{}]}}", records.collect::<Vec<_>>().join(","));
        let mut whole = Reduction::default();
        assert_eq!(whole.reduce(&filter, body.as_bytes()), Ok(Verdict::Reduced));
        assert_eq!(whole.tally().records_released, 5);
        for piece in [61, 64, 1000, 8192, 40_000] {
            let mut reduction = Reduction::new(&filter, Format::Json);
            let (mut out, mut withheld) = (Vec::<u8>::new(), 0);
            for bytes in body.as_bytes().chunks(piece) {
                reduction.feed(&filter, bytes).unwrap();
                reduction.cut();
                out.extend(reduction.body());
                withheld += reduction.tally().members_withheld;
            }
            assert_eq!(reduction.finish(&filter), Ok(Verdict::Reduced));
            out.extend(reduction.body());
            assert!(out == whole.body(), "{piece}");
            assert_eq!(withheld + reduction.tally().members_withheld, whole.tally().members_withheld);
        }
    }

    /// Lets one customer through.
    #[derive(Debug)]
    struct Only(&'static str);

    impl Admission for Only {
        fn admits(&self, subject: Option<Subject>) -> bool {
            subject == Some(Subject::new(self.0))
        }
    }

    #[test]
    fn records_of_customers_that_are_not_let_through_vanish_and_are_counted() {
        let body = br#"{"data":[{"id":1,"ok":1},{"id":"2","ok":1},{"ok":1},{"id":2,"ok":1},{"id":2}]}"#;
        let asking = |needs_admission| {
            Filter::compile(&Selection {
                records: Some(Path::parse("$.data[*]").unwrap()),
                subject: Some(Path::parse("@.id").unwrap()),
                when: Some(Condition::parse("@.ok").unwrap()),
                disclose: vec![
                    (Path::parse("@.id").unwrap(), Treatment::plain()),
                    (Path::parse("@.ok").unwrap(), Treatment::plain()),
                ],
                needs_admission,
            })
            .unwrap()
        };
        for needs in [false, true] {
            let mut reduction = Reduction::default();
            reduction.reduce_for(&asking(needs), body, Some(Arc::new(Only("2")))).unwrap();
            assert_eq!(reduction.body(), br#"{"data":[{"id":"2","ok":1},{"id":2,"ok":1}]}"#);
            let tally = reduction.tally();
            assert_eq!((tally.records_released, tally.records_withheld, tally.not_admitted), (2, 3, 2));
            assert_eq!((tally.subjects.len(), tally.without_subject, tally.fields[0].disclosed), (2, 0, 2));
        }
        let mut reduction = Reduction::default();
        reduction.reduce(&asking(true), body).unwrap();
        assert_eq!((reduction.body(), reduction.tally().not_admitted), (&br#"{"data":[]}"#[..], 4));
    }

    #[test]
    fn a_body_about_a_customer_that_is_not_let_through_is_withheld_whole() {
        let filter = filter(None, &["@.id"]);
        let body = br#"{"id":7,"ok":1}"#;
        let reduce = |only| Reduction::default().reduce_for(&filter, body, Some(Arc::new(Only(only))));
        assert_eq!((reduce("7"), reduce("8")), (Ok(Verdict::Reduced), Ok(Verdict::Withheld)));
    }

    #[test]
    fn what_is_held_does_not_grow_with_the_body() {
        let filter = filter(Some("$.data[*]"), &["@.id"]);
        let mut reduction = Reduction::new(&filter, Format::Json);
        reduction.feed(&filter, b"{\"dead\":[").unwrap();
        let mut most = 0;
        let mut feed = |bytes: &[u8]| {
            reduction.feed(&filter, bytes).unwrap();
            most = most.max(reduction.held());
            reduction.cut();
        };
        for _ in 0..3000 {
            feed(&b"[{\"x\":[1,2,{}]},[]],".repeat(50));
        }
        feed(b"0],\"long\":\"");
        for _ in 0..3000 {
            feed(&b"no end, ".repeat(100));
        }
        feed(b"\",\"data\":[");
        for _ in 0..3000 {
            feed(&b"{\"ok\":1,\"id\":7,\"rest\":[[],{}]},".repeat(30));
        }
        feed(b"{\"l\\u006fng\":");
        for _ in 0..3000 {
            feed(&b"1234567890".repeat(100));
        }
        feed(b",\"ok\":1,\"id\":7},0]}");
        assert!(most < 3 * FORGET, "{most}");
        assert_eq!(reduction.finish(&filter), Ok(Verdict::Reduced));
    }

    /// The bounds of patterns of the data are those of the body, so they too do not see the pieces.
    #[test]
    fn patterns_of_the_data_are_counted_over_the_whole_body() {
        let when = |when: Option<&str>, records: Option<&str>, path: &str| {
            Filter::compile(&Selection {
                records: records.map(|path| Path::parse(path).unwrap()),
                subject: None,
                when: when.map(|text| Condition::parse(text).unwrap()),
                disclose: vec![(Path::parse(path).unwrap(), Treatment::plain())],
                ..Selection::default()
            })
            .unwrap()
        };
        let record = |n: usize| format!("{{\"id\":{n},\"s\":\"x{n}\",\"p\":\"x{}\"}}", n % 400);
        let records: Vec<String> = (0..800).map(record).collect();
        let list = format!("{{\"data\":[{}]}}", records.join(",\n"));
        let lines = records.join("\n");
        for (filter, format, body) in [
            (when(Some("match(@.s, @.p)"), Some("$.data[*]"), "@.id"), Format::Json, &list),
            (when(None, None, "$.data[?match(@.s, @.p)].id"), Format::Json, &list),
            (when(Some("match(@.s, @.p)"), None, "@.id"), Format::Lines, &lines),
        ] {
            let reduced = |piece: usize| {
                let mut reduction = Reduction::new(&filter, format);
                let mut out = Vec::new();
                for bytes in body.as_bytes().chunks(piece) {
                    reduction.feed(&filter, bytes).unwrap();
                    reduction.cut();
                    out.extend(reduction.body());
                }
                reduction.finish(&filter).unwrap();
                out.extend(reduction.body());
                String::from_utf8(out).unwrap()
            };
            let whole = reduced(usize::MAX);
            // So many patterns were compiled, and no more.
            assert_eq!(whole.matches("\"id\"").count(), 256);
            for piece in [10, 100, 1000, 10_000] {
                assert_eq!(reduced(piece), whole, "{piece}");
            }
        }
    }

    #[test]
    fn lines_are_records_of_their_own() {
        let filter = filter(None, &["@.id"]);
        let body = "{\"id\":1,\"ok\":1,\"x\":2}\n{\"id\":2}\n\n \r\n{\"id\":3,\"ok\":0}\r\n{\"ok\":1}";
        for piece in [1, 5, 1000] {
            let mut reduction = Reduction::new(&filter, Format::Lines);
            for bytes in body.as_bytes().chunks(piece) {
                reduction.feed(&filter, bytes).unwrap();
            }
            assert_eq!(reduction.finish(&filter), Ok(Verdict::Reduced));
            assert_eq!(reduction.body(), b"{\"id\":1}\n{\"id\":3}\n{}\n");
            assert_eq!((reduction.tally().records_released, reduction.tally().records_withheld), (3, 1));
        }
        let mut reduction = Reduction::new(&filter, Format::Lines);
        assert_eq!(
            reduction.feed(&filter, b"{\"id\":1}\n{\"id\":\n2}\n").unwrap_err(),
            Fault::Syntax { offset: 6 }
        );
    }

    #[test]
    fn a_body_that_breaks_off_is_refused_at_its_end() {
        let filter = filter(Some("$.data[*]"), &["@.id"]);
        let body = list(4);
        let end = body.trim_end().len();
        for length in 0..end {
            let mut reduction = Reduction::new(&filter, Format::Json);
            reduction.feed(&filter, &body.as_bytes()[..length]).unwrap();
            assert!(reduction.finish(&filter).is_err(), "{length}");
        }
    }
}
