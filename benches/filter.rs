//! The filter alone, one thread: bytes of input per second, against strict validation by serde_json of
//! the same text in the same run. `cargo bench --bench filter`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fieldgate::filter::{Condition, Filter, Path, Selection, Treatment};

/// An order of about 2 KB, and a page of them.
fn order(id: usize) -> String {
    let notes =
        vec!["\"Prefers e-mail; the neighbour took the previous parcel \\u00e0 c\\u00f4t\\u00e9\""; 14]
            .join(",");
    format!(
        r#"{{"order_id":{id},"carrier":"parcelco","status":"ready_to_ship","customer":{{"id":"c-{id}","name":"Anna Jansen","email":"anna@example.com"}},"recipient":{{"name":"Anna Jansen","phone":"+31 6 1234 5678"}},"shipping_address":{{"street":"Keizersgracht {id}","city":"Amsterdam","postal_code":"1015 CJ","country":"NL"}},"payment":{{"card":{{"number":"4111111111111111","expiry":"10/27"}},"amount":149.65}},"items":[{{"sku":"TAG-1","quantity":3,"unit_price":44.90}},{{"sku":"LMP-2","quantity":1,"unit_price":14.95}}],"internal":{{"risk_score":0.46,"notes":[{notes}]}}}}"#
    )
}

fn filter(records: Option<&str>) -> Option<Filter> {
    let fields = [
        "@.order_id",
        "@.recipient['name','phone']",
        "@.shipping_address['street','city','postal_code','country']",
    ];
    let disclose = fields.iter().map(|path| Some((Path::parse(path).ok()?, Treatment::plain())));
    Filter::compile(&Selection {
        records: match records {
            Some(path) => Some(Path::parse(path).ok()?),
            None => None,
        },
        subject: Path::parse("@.customer.id").ok(),
        when: Condition::parse("@.carrier == 'parcelco' && @.status == 'ready_to_ship'").ok(),
        disclose: disclose.collect::<Option<_>>()?,
    })
    .ok()
}

fn benchmark(criterion: &mut Criterion) {
    let page = |orders: usize| {
        format!("{{\"data\":[{}],\"next\":null}}", (0..orders).map(order).collect::<Vec<_>>().join(","))
    };
    for (name, body, records) in [
        ("order", order(1), None),
        ("page", page(34), Some("$.data[*]")),
        ("export", page(4300), Some("$.data[*]")),
    ] {
        let Some(filter) = filter(records) else { return };
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("filter", |bencher| bencher.iter(|| filter.reduce(body.as_bytes())));
        group.bench_function("serde_json validation", |bencher| {
            bencher.iter(|| serde_json::from_str::<serde::de::IgnoredAny>(&body))
        });
        group.finish();
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
