//! What a reduction allocates: nothing once it has run, and never much more than what leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use allocation_counter::measure;
use fieldgate::filter::{
    Condition, Filter, Format, Kinds, Path, Reduction, Selection, Transform, Treatment, Verdict,
};

fn filter(records: Option<&str>, when: Option<&str>, disclose: &[(&str, Treatment)]) -> Filter {
    let disclose = disclose
        .iter()
        .map(|(path, treatment)| (Path::parse(path).unwrap(), treatment.clone().with_scan(Kinds::PAN)));
    Filter::compile(&Selection {
        records: records.map(|path| Path::parse(path).unwrap()),
        subject: Some(Path::parse("@.customer.id").unwrap()),
        when: when.map(|when| Condition::parse(when).unwrap()),
        disclose: disclose.collect(),
        ..Selection::default()
    })
    .unwrap()
}

fn order(n: usize) -> String {
    format!(
        r#"{{"order_id":{n},"carrier":"parcelco","customer":{{"id":"c-{n}","email":"a@example.com"}},"recipient":{{"name":"Zoë Jansen","phone":"+31 6 1234 5678"}},"items":[{{"sku":"A-1","price":4.5,"tags":[]}},{{"sku":"B-2","price":1e2}}],"since":"2020-01-02"}}"#
    )
}

#[test]
fn a_reduction_that_has_run_once_allocates_nothing() {
    let fields = [
        ("@.order_id", Treatment::plain()),
        ("@.recipient.name", Treatment::plain()),
        ("@.items[*].sku", Treatment::plain()),
        ("@.recipient.phone", Treatment::transformed(Transform::Last4)),
        ("@.customer.email", Treatment::transformed(Transform::EmailDomain)),
        ("@.since", Treatment::transformed(Transform::Year)),
    ];
    let when = Some("@.carrier == 'parcelco' && count(@.items[*]) > 1");
    let list: Vec<String> = (0..300).map(order).collect();
    let list = format!("{{\"data\":[{}]}}", list.join(","));
    for (filter, body) in
        [(filter(None, None, &fields), order(7)), (filter(Some("$.data[*]"), None, &fields), list.clone())]
    {
        let mut reduction = Reduction::default();
        // What was cut off and what is next take turns with their memory.
        reduction.reduce(&filter, body.as_bytes()).unwrap();
        reduction.reduce(&filter, body.as_bytes()).unwrap();
        let again = measure(|| {
            assert_eq!(reduction.reduce(&filter, body.as_bytes()), Ok(Verdict::Reduced));
        });
        assert_eq!(again.count_total, 0, "{again:?}");
    }
    // A count is compared as a number of any length: that one allocates, for each record.
    let filter = filter(Some("$.data[*]"), when, &fields);
    let mut reduction = Reduction::default();
    reduction.reduce(&filter, list.as_bytes()).unwrap();
    let again = measure(|| {
        assert_eq!(reduction.reduce(&filter, list.as_bytes()), Ok(Verdict::Reduced));
    });
    assert!(again.count_total <= 300 * 4, "{again:?}");
}

/// Bytes of a body that nobody allows much of, and the rule.
#[test]
fn no_body_makes_it_allocate_more_than_what_leaves_and_a_constant() {
    const CONSTANT: u64 = 160 << 10;
    let plain = |path| [(path, Treatment::plain())];
    let rules = [
        filter(None, None, &plain("$.a")),
        filter(None, None, &plain("$..a")),
        filter(Some("$.z[*]"), None, &plain("@.a")),
        filter(Some("$.z[*]"), Some("@.a == 1 || @.b[0]"), &plain("@[*]")),
        filter(None, None, &[("$.z", Treatment::whole())]),
    ];
    let bodies = [
        format!("{{\"z\":[{}0]}}", "[[]],".repeat(100_000)),
        format!("{{\"z\":[{}0]}}", ("[".repeat(120) + &"]".repeat(120) + ",").repeat(2_000)),
        format!("{{\"z\":[{}0]}}", "{\"b\":{}},".repeat(60_000)),
        format!("{{\"z\":[{}0]}}", "1,".repeat(250_000)),
        format!("{{\"z\":[{}0]}}", "\"\\n\\u00e9\",".repeat(40_000)),
        format!("{{ \"z\" : [{}0]}}", " 1 ,\n".repeat(100_000)),
    ];
    for filter in &rules {
        for body in &bodies {
            let mut most = 0;
            let used = measure(|| {
                let mut reduction = Reduction::new(filter, Format::Json);
                for bytes in body.as_bytes().chunks(16 << 10) {
                    if reduction.feed(filter, bytes).is_err() {
                        return;
                    }
                    most = most.max(reduction.held() as u64);
                    if filter.streams() {
                        reduction.cut();
                    }
                }
                let _ = reduction.finish(filter);
                most = most.max(reduction.body().len() as u64);
            });
            // A vector that grows is twice as large for a moment as what it holds, and once more as large.
            assert!(used.bytes_max <= CONSTANT + 3 * most, "{used:?}, {most} held of {}", &body[..40]);
        }
    }
}

#[test]
fn a_list_is_reduced_in_memory_that_does_not_depend_on_its_length() {
    let filter = filter(Some("$.data[*]"), None, &[("@.order_id", Treatment::plain())]);
    let most = |records: usize| {
        measure(|| {
            let mut reduction = Reduction::new(&filter, Format::Json);
            reduction.feed(&filter, b"{\"data\":[0").unwrap();
            for n in 0..records {
                let record = format!(",{}", order(n));
                reduction.feed(&filter, record.as_bytes()).unwrap();
                if reduction.settled() > 4096 {
                    reduction.cut();
                }
            }
            reduction.feed(&filter, b"]}").unwrap();
            assert_eq!(reduction.finish(&filter), Ok(Verdict::Reduced));
        })
        .bytes_max
    };
    let (few, many) = (most(2_000), most(40_000));
    assert!(many <= few + 4096, "{few} and {many}");
}
