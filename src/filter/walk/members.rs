//! Members of an object: what their names say, and where they lead.

use std::borrow::Cow;

use super::super::automaton::{Branch, DEAD, Listed, State};
use super::super::index::{Cursor, Skipping};
use super::super::projection::{Skipped, Step};
use super::super::sensitive::{self, Kinds};
use super::super::{Fault, text};
use super::{Walk, copy, opens};

/// A member, as far as it was read.
#[derive(Clone, Copy)]
struct Member {
    /// The opening and the closing quote of its name.
    quote: usize,
    end: usize,
    /// What follows its name, or its value where that is a scalar.
    token: usize,
    /// The place of its name among those that the rule lists.
    known: Option<usize>,
}

impl<'r> Walk<'_, 'r, '_> {
    /// Members, of one object after the other, up to where something else comes.
    #[inline(always)]
    pub(super) fn members(&mut self) -> Result<bool, Fault> {
        while self.projection.step == Step::Member {
            let filter = self.filter;
            let (place, emits) = (self.frame().place, self.frame().emits);
            if !self.members_of(filter.automaton.state(place), emits)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Members of the innermost object, up to its end or to a container that is entered.
    #[inline(always)]
    fn members_of(&mut self, state: &'r State, emits: bool) -> Result<bool, Fault> {
        let (text, index) = (self.text, self.index);
        let others_are_dead = state.other.only() == Some(DEAD);
        let mut cursor = self.projection.cursor;
        loop {
            let mut begin = cursor;
            let Some(mut quote) = index.take(&mut cursor) else { return self.pause(begin, Step::Member) };
            // Of those that nobody looks at, scalars follow each other name by name.
            let (next, listed) = loop {
                let Some(next) = index.peek(&mut cursor) else {
                    return self.unended(state, emits, quote, (begin, cursor));
                };
                let escaped = index.has_backslashes() && index.has_backslash(quote, next);
                let listed = if escaped { Listed::Perhaps } else { state.listed(&text[quote + 1..]) };
                if !others_are_dead || listed != Listed::No || text[next] != b'"' {
                    break (next, listed);
                }
                self.projection.tally.members_withheld += u64::from(emits);
                begin = cursor;
                cursor.advance();
                quote = next;
            };
            if others_are_dead && listed == Listed::No {
                self.projection.tally.members_withheld += u64::from(emits);
                if opens(text[next]) {
                    cursor.advance();
                    let mut skipping = Skipping { depth: 1 };
                    if index.skip(&mut cursor, Some(next), &mut skipping).is_none() {
                        return self.pause(cursor, Step::Skip(skipping, Skipped::Dead));
                    }
                }
            } else {
                self.projection.cursor = cursor;
                if !self.member(state, emits, (quote, next), listed)? {
                    if self.projection.step == Step::Member {
                        self.projection.cursor = begin;
                    }
                    return Ok(false);
                }
                if self.projection.step != Step::Next {
                    return Ok(true);
                }
                cursor = self.projection.cursor;
            }
            match index.peek(&mut cursor) {
                None => return self.pause(cursor, Step::Next),
                Some(end) if text[end] == b'}' => {
                    self.projection.cursor = cursor;
                    self.close(end)?;
                    return if self.projection.depth == 0 { Ok(true) } else { self.next() };
                }
                Some(_) => {}
            };
        }
    }

    /// One member that may be wanted; its name begins at the first place, and the token behind that is the
    /// second one, at the cursor. Where the marks end before anything of it was done, the step stays.
    #[inline(always)]
    fn member(
        &mut self,
        state: &'r State,
        emits: bool,
        (quote, token): (usize, usize),
        listed: Listed,
    ) -> Result<bool, Fault> {
        self.projection.step = Step::Member;
        if let Listed::At(known) = listed {
            let (name, branch) = &state.names[known];
            let end = quote + 1 + name.as_bytes().len();
            let member = Member { quote, end, token, known: Some(known) };
            return self.named(state, emits, branch, Some(name.as_bytes()), member);
        }
        // The marks have the name's end, as they have what follows it.
        let (end, name) = name_at(self.text, quote + 1).ok_or(Fault::Syntax { offset: quote })?;
        let (branch, known) = state.member(name.as_deref().unwrap_or(&self.text[quote + 1..end]));
        self.named(state, emits, branch, name.as_deref(), Member { quote, end, token, known })
    }

    /// A member that the marks end in. Where nobody looks at its value, that need not be held until it ends.
    #[cold]
    fn unended(
        &mut self,
        state: &'r State,
        emits: bool,
        quote: usize,
        (begin, behind): (Cursor, Cursor),
    ) -> Result<bool, Fault> {
        let known = &self.text[..self.index.end().min(self.text.len())];
        let Some((end, name)) = name_at(known, quote + 1) else { return self.pause(begin, Step::Member) };
        let (branch, _) = state.member(name.as_deref().unwrap_or(&known[quote + 1..end]));
        if branch.only() != Some(DEAD) {
            return self.pause(begin, Step::Member);
        }
        self.projection.tally.members_withheld += u64::from(emits);
        self.pause(behind, Step::Passed)
    }

    /// Goes past the value of such a member: an opening bracket behind a name is its value, anything else is
    /// what follows it.
    pub(super) fn passed(&mut self) -> Result<bool, Fault> {
        let Some(next) = self.peek() else { return Ok(false) };
        self.projection.step = Step::Next;
        if !opens(self.text[next]) {
            return Ok(true);
        }
        self.take();
        self.dead(next)
    }

    /// The same, when its name is known; `None` is a name that has no meaning.
    #[inline(always)]
    fn named(
        &mut self,
        state: &'r State,
        emits: bool,
        branch: &Branch,
        name: Option<&[u8]>,
        member: Member,
    ) -> Result<bool, Fault> {
        let start = member_value(self.text, member.end);
        if branch.only() == Some(DEAD) {
            self.projection.tally.members_withheld += u64::from(emits);
            self.projection.step = Step::Next;
            return self.dead_member(start);
        }
        let Some(next) = self.branch(branch, state, 0, start)? else { return Ok(false) };
        let name = name.ok_or(Fault::LoneSurrogate)?;
        let projection = &mut *self.projection;
        let frame = &mut projection.frames[projection.depth - 1];
        if !frame.names.is_new(name, member.known, &projection.hasher) {
            return Err(Fault::Duplicate);
        }
        // A name that no rule lists is data: it is not written with a card number in it.
        let unfit = member.known.is_none() && emits && self.filter.masks_names && has_card_number(name);
        if next == DEAD || unfit {
            projection.tally.members_withheld += u64::from(emits);
            projection.step = Step::Next;
            return self.dead_member(start);
        }
        frame.before = projection.out.len();
        let mut from = start;
        if emits {
            let comma = frame.any.then_some(b',');
            from = lead(&mut projection.out, self.text, comma, &member, start);
        }
        projection.step = Step::Value(next);
        let state = self.filter.automaton.state(next);
        if opens(self.text[start]) {
            copy(&mut self.projection.out, self.text, from, start);
            return self.container(next, state, start);
        }
        self.scalar(state, from, start, member.token).map(|()| true)
    }

    /// Goes past a member's value that nobody looks at. A scalar is no token.
    #[inline(always)]
    fn dead_member(&mut self, start: usize) -> Result<bool, Fault> {
        if !opens(self.text[start]) {
            return Ok(true);
        }
        self.take();
        self.dead(start)
    }
}

/// Where the copy of a member begins whose value is at `start`: where there is no white space in it, its name and a
/// comma in front of it are copied together with the value, and else they are written here.
#[inline(always)]
fn lead(out: &mut Vec<u8>, text: &[u8], comma: Option<u8>, member: &Member, start: usize) -> usize {
    let mut from = member.quote;
    if let Some(comma) = comma {
        if text.get(from.wrapping_sub(1)) == Some(&comma) {
            from -= 1;
        } else {
            out.push(comma);
        }
    }
    if start == member.end + 2 {
        return from;
    }
    copy(out, text, from, member.end + 1);
    out.push(b':');
    start
}

/// The closing quote of the name whose text begins at `start`, and the name; `None` where the text ends before, and
/// for a name that has no meaning.
#[inline(always)]
fn name_at(text: &[u8], start: usize) -> Option<(usize, Option<Cow<'_, [u8]>>)> {
    let (mut end, mut escaped) = (start, false);
    loop {
        match text.get(end)? {
            b'"' => break,
            b'\\' => (end, escaped) = (end + 2, true),
            _ => end += 1,
        }
    }
    let raw = &text[start..end];
    Some((end, if escaped { text::unescape(raw).map(bytes) } else { Some(Cow::Borrowed(raw)) }))
}

/// Where the value begins of the member whose name ends at `quote`.
#[inline(always)]
fn member_value(text: &[u8], quote: usize) -> usize {
    let mut start = quote + 1;
    if let Some([b':', first]) = text.get(start..start + 2)
        && *first > b' '
    {
        return start + 1;
    }
    while matches!(text[start], b':' | b' ' | b'\t' | b'\n' | b'\r') {
        start += 1;
    }
    start
}

fn has_card_number(name: &[u8]) -> bool {
    sensitive::may_hold(name, Kinds::PAN)
        && std::str::from_utf8(name).is_ok_and(|name| sensitive::mask(name, Kinds::PAN).is_some())
}

fn bytes(text: Cow<str>) -> Cow<[u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Filter, Outcome, Path, Selection, Treatment};
    use super::*;

    fn reduce(names: &[&str], body: &str) -> Result<String, Fault> {
        let path = |name: &&str| {
            let name = serde_json::to_string(name).unwrap();
            (Path::parse(&format!("$[{name}]")).unwrap(), Treatment::plain())
        };
        let disclose = names.iter().map(path).collect();
        let filter = Filter::compile(&Selection { disclose, ..Selection::default() }).unwrap();
        match filter.reduce(body.as_bytes())? {
            Outcome::Reduced { body, .. } => Ok(String::from_utf8(body).unwrap()),
            Outcome::Withheld => panic!("nothing withholds it"),
        }
    }

    const NAMES: &[&str] = &[
        "",
        "a",
        "ab",
        "abc",
        "abd",
        "abcdefg",
        "abcdefgh",
        "abcdefghi",
        "abcdefghijklmno",
        "abcdefghijklmnop",
        "abcdefghijklmnopq",
        "é",
        "a\"b",
        "a\\",
        "a b",
        "\u{1F600}",
    ];

    /// Names are found by their first bytes: also the short ones, those that begin alike, and with white space
    /// and escapes.
    #[test]
    fn each_name_is_found_and_no_other() {
        for known in NAMES {
            for name in NAMES {
                let quoted = serde_json::to_string(name).unwrap();
                let escaped: String = name.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                for text in [quoted.clone(), format!("\"{escaped}\"")] {
                    for colon in [":", " :", "\t:\n", "\r\n : "] {
                        for value in ["1", "\"x\"", "true", "[1]"] {
                            let body = format!("{{\"zz\":{{}},{text}{colon}{value} , \"zy\":0}}");
                            let found = format!("{{{text}:{value}}}");
                            let expected = if name == known { found } else { "{}".to_owned() };
                            assert_eq!(reduce(&[known, "w"], &body), Ok(expected), "{known:?} in {body}");
                        }
                    }
                }
            }
        }
    }

    /// Whose text is that of several members.
    #[test]
    fn a_name_with_a_quote_is_not_taken_for_text_that_looks_like_it() {
        for (name, body) in [
            ("a\":1,\"b", r#"{"a":1,"b":2}"#),
            ("a\":1,\"b", r#"{"a":1,"b":{"c":2}}"#),
            ("a\":\"b", r#"{"a":"b" ,"c":3}"#),
            ("a\\", r#"{"a\\b":1}"#),
        ] {
            assert_eq!(reduce(&[name, "w"], body), Ok("{}".to_owned()), "{name} in {body}");
        }
        let escaped = r#"{"a\":1,\"b":2}"#;
        assert_eq!(reduce(&["a\":1,\"b"], escaped), Ok(escaped.to_owned()));
    }

    #[test]
    fn a_name_that_comes_twice_is_a_duplicate_however_it_is_written() {
        for name in NAMES {
            let quoted = serde_json::to_string(name).unwrap();
            let escaped: String = name.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            let body = format!("{{{quoted}:1,\"x\":2,\"{escaped}\" :3}}");
            assert_eq!(reduce(NAMES, &body), Err(Fault::Duplicate), "{body}");
        }
    }

    /// Of more names than the first bytes can tell apart.
    #[test]
    fn each_of_many_names_is_found() {
        let names: Vec<String> = (0..400).map(|n| format!("name{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for n in [0, 7, 63, 253, 254, 255, 399] {
            let body = format!("{{\"name{n}\":1,\"name{n}x\":2,\"nam\":3}}");
            assert_eq!(reduce(&names, &body), Ok(format!("{{\"name{n}\":1}}")));
        }
    }
}
