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

/// Not what is held of a body, nor what was made of it.
#[test]
fn nothing_of_a_body_shows_in_debug() {
    let filter = filter(Some("$.data[*]"), &["@.id", "@.text"]);
    let body = br#"{"data":[{"id":"ZZZ","text":"ZZZ","ok":1}"#;
    let mut reduction = Reduction::new(&filter, Format::Json);
    reduction.feed(&filter, body).unwrap();
    let held = format!("{reduction:?}");
    reduction.feed(&filter, b"]}").unwrap();
    reduction.finish(&filter).unwrap();
    assert!(reduction.body().windows(3).any(|bytes| bytes == b"ZZZ"));
    let done = format!("{reduction:?}");
    let part = format!("{:?}", reduction.into_part());
    let whole = filter.reduce(&[body.as_slice(), b"]}"].concat()).unwrap();
    for shown in [held, done, part, format!("{whole:?}")] {
        assert!(!shown.contains("ZZZ") && !shown.contains("90, 90"), "{shown}");
    }
}
