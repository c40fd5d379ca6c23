//! Bodies and rules that are made to be slow, each at two sizes: time per byte has to stay the same.

use anyhow::{Context, Result, ensure};
use serde::de::IgnoredAny;

use crate::measure::{Effort, kept, rate};
use crate::ours::{self, MAX_DEPTH, Ours, Rule};

const SIZES: [usize; 2] = [1 << 20, 4 << 20];

struct Hard {
    name: &'static str,
    rule: Rule<'static>,
    body: fn(usize) -> String,
}

/// The allowed member is `a`; what makes a body hard stands in `z`.
const A: Rule = Rule { records: None, when: None, disclose: &["$.a"], whole: false };
const A_ANYWHERE: Rule = Rule { disclose: &["$..a"], ..A };
const ALL_OF_Z: Rule = Rule { disclose: &["$.z"], whole: true, ..A };
const MEMBERS: Rule = Rule { disclose: &["$.*"], ..A };

#[rustfmt::skip]
const HARD: [Hard; 25] = [
    Hard { name: "nested arrays, left out", rule: A, body: nested_arrays },
    Hard { name: "nested arrays, $..a", rule: A_ANYWHERE, body: nested_arrays },
    Hard { name: "nested arrays, kept whole", rule: ALL_OF_Z, body: nested_arrays },
    Hard { name: "nested objects, $..a.b.c", rule: Rule { disclose: &["$..a.b.c"], ..A }, body: nested_objects },
    Hard { name: "empty containers, left out", rule: A, body: empty },
    Hard { name: "empty containers, $..a", rule: A_ANYWHERE, body: empty },
    Hard { name: "empty containers, kept whole", rule: ALL_OF_Z, body: empty },
    Hard { name: "escapes only, left out", rule: A, body: escapes },
    Hard { name: "escapes only, kept", rule: ALL_OF_Z, body: escapes },
    Hard { name: "backslashes only, left out", rule: A, body: backslashes },
    Hard { name: "backslashes only, kept", rule: ALL_OF_Z, body: backslashes },
    Hard { name: "one string of backslashes, kept", rule: ALL_OF_Z, body: one_string },
    Hard { name: "characters of four bytes, kept", rule: ALL_OF_Z, body: wide },
    Hard { name: "one object of many names, $..a", rule: A_ANYWHERE, body: many_names },
    Hard { name: "one object of many names, $.*", rule: MEMBERS, body: many_names },
    Hard { name: "many escaped names, $.*", rule: MEMBERS, body: escaped_names },
    Hard { name: "names that differ late, two listed", rule: Rule { disclose: &[LATE_FIRST, LATE_SECOND], ..A }, body: late },
    Hard { name: "names that differ late, $.*", rule: MEMBERS, body: late },
    Hard { name: "white space in long runs", rule: A, body: white_space },
    Hard { name: "white space between all tokens", rule: ALL_OF_Z, body: spaced },
    Hard { name: "numbers of one digit, left out", rule: A, body: digits },
    Hard { name: "long numbers, left out", rule: A, body: numbers },
    Hard { name: "long numbers, kept", rule: ALL_OF_Z, body: numbers },
    Hard { name: "small kept records", rule: RECORDS, body: records },
    Hard { name: "records all withheld by when", rule: Rule { when: Some("@.s == 'open'"), ..RECORDS }, body: records },
];

const RECORDS: Rule = Rule { records: Some("$.z[*]"), disclose: &["@.a", "@.b"], ..A };

/// Measures the bodies whose names are `wanted`.
pub fn measure(effort: Effort, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let hard: Vec<&Hard> = HARD.iter().filter(|hard| wanted(hard.name)).collect();
    if hard.is_empty() {
        return Ok(());
    }
    println!("\nHard inputs: Fieldgate at 1 and 4 MiB, the quickest of {} rounds;", effort.rounds);
    println!("'growth' is time per byte at 4 MiB over that at 1 MiB.");
    println!(
        "'serde_json' reads and drops the same 4 MiB; 'leaves' is the output in percent of the input.\n"
    );
    println!(
        "{:36}{:>8}{:>10}{:>10}{:>8}{:>8}{:>12}",
        "", "leaves", "1 MiB", "4 MiB", "4 MiB", "growth", "serde_json"
    );
    println!("{:36}{:>8}{:>10}{:>10}{:>8}{:>8}{:>12}", "", "%", "ns/byte", "ns/byte", "MB/s", "", "MB/s");
    for hard in hard {
        measure_one(effort, hard).with_context(|| hard.name)?;
    }
    Ok(())
}

fn measure_one(effort: Effort, hard: &Hard) -> Result<()> {
    let filter = ours::compile(&hard.rule)?;
    let [small, large] = SIZES.map(hard.body);
    let [mut first, mut second] = [Ours::default(), Ours::default()];
    let reduced = first.document(&filter, large.as_bytes())?;
    ensure!(serde_json::from_slice::<IgnoredAny>(&reduced).is_ok(), "the output is not JSON");
    let times = effort.in_turn(&mut [
        &mut kept(|| first.document(&filter, small.as_bytes())),
        &mut kept(|| second.document(&filter, large.as_bytes())),
        &mut kept(|| Ok(serde_json::from_slice::<IgnoredAny>(large.as_bytes())?)),
    ])?;
    let lengths = [small.len(), large.len(), large.len()];
    let per_byte = |place: usize| times[place].least() * 1e9 / lengths[place] as f64;
    println!(
        "{:36}{:>8.1}{:>10.3}{:>10.3}{:>8.0}{:>8.2}{:>12.0}",
        hard.name,
        reduced.len() as f64 * 100.0 / large.len() as f64,
        per_byte(0),
        per_byte(1),
        rate(lengths[1], times[1].least()),
        per_byte(1) / per_byte(0),
        rate(lengths[2], times[2].least()),
    );
    Ok(())
}

// ---- bodies ----

/// `before`, pieces with commas between them up to `size`, `after`.
fn repeated(before: &str, piece: impl Fn(usize) -> String, after: &str, size: usize) -> String {
    let mut body = String::with_capacity(size + (4 << 10));
    body.push_str(before);
    let mut count = 0;
    while body.len() < size {
        if count > 0 {
            body.push(',');
        }
        body.push_str(&piece(count));
        count += 1;
    }
    body + after
}

fn elements(size: usize, piece: impl Fn(usize) -> String) -> String {
    repeated("{\"a\":1,\"z\":[", piece, "]}", size)
}

/// What `z` may still nest below its elements.
const DEPTH: usize = MAX_DEPTH - 2;

fn nested_arrays(size: usize) -> String {
    elements(size, |_| "[".repeat(DEPTH) + &"]".repeat(DEPTH))
}

fn nested_objects(size: usize) -> String {
    let open: String = (0..DEPTH).map(|depth| ["{\"a\":", "{\"b\":", "{\"c\":"][depth % 3]).collect();
    elements(size, |_| open.clone() + "1" + &"}".repeat(DEPTH))
}

fn empty(size: usize) -> String {
    elements(size, |count| ["[]", "{}"][count % 2].to_owned())
}

fn escapes(size: usize) -> String {
    elements(size, |_| format!("\"{}\"", "\\u00e9\\n\\ud83d\\ude00\\\"".repeat(64)))
}

fn backslashes(size: usize) -> String {
    elements(size, |count| format!("\"{}\"", "\\\\".repeat(count % 97)))
}

fn one_string(size: usize) -> String {
    format!("{{\"a\":1,\"z\":\"{}\"}}", "\\\\".repeat(size / 2))
}

fn wide(size: usize) -> String {
    elements(size, |_| format!("\"{}\"", "📦".repeat(64)))
}

fn many_names(size: usize) -> String {
    repeated("{\"a\":1,", |count| format!("\"{count:08}\":0"), "}", size)
}

fn escaped_names(size: usize) -> String {
    repeated("{\"a\":1,", |count| format!("\"\\u006e{count:08}\":0"), "}", size)
}

const LATE_FIRST: &str = "$['a-name-that-is-the-same-in-all-members-up-to-its-last-few-digits-00000001']";
const LATE_SECOND: &str = "$['a-name-that-is-the-same-in-all-members-up-to-its-last-few-digits-00000002']";

fn late(size: usize) -> String {
    let name = "a-name-that-is-the-same-in-all-members-up-to-its-last-few-digits";
    repeated("{", |count| format!("\"{name}-{count:08}\":0"), "}", size)
}

fn white_space(size: usize) -> String {
    elements(size, |_| " \t\r\n".repeat(256) + "0")
}

fn spaced(size: usize) -> String {
    elements(size, |_| " { \"b\" : [ 0 , 1 ] } ".to_owned())
}

fn digits(size: usize) -> String {
    elements(size, |count| (count % 10).to_string())
}

fn numbers(size: usize) -> String {
    elements(size, |count| format!("-{count}.123456789012345678901234567890e-12"))
}

fn records(size: usize) -> String {
    elements(size, |count| format!("{{\"a\":{count},\"b\":\"value\",\"s\":\"closed\"}}"))
}
