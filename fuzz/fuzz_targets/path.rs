//! Any text as a path and as a condition: it is parsed or refused, never slowly; what is parsed is compiled
//! or refused; what is compiled reduces a small body.

#![no_main]

use std::time::{Duration, Instant};

use fieldgate::filter::{Condition, Filter, Path, Reduction, Selection, Treatment};
use libfuzzer_sys::fuzz_target;

/// Much more than it takes, also where the machine is busy and the code is instrumented.
const LONG: Duration = Duration::from_secs(5);

const BODY: &[u8] = br#"{"a":[{"a":1,"b":"x"},{"a":"y","b":[1,2,[3]]}],"b":{"a":{"b":null}},"c":"abc"}"#;

fuzz_target!(|text: &str| {
    let begin = Instant::now();
    let path = Path::parse(text);
    let condition = Condition::parse(text);
    for error in path.as_ref().err().into_iter().chain(condition.as_ref().err()) {
        assert!(error.offset <= text.len(), "{} is behind the text", error.offset);
        assert!(!error.message.is_empty() && !error.message.contains('\n'));
    }
    let disclose = |path: &Path| vec![(path.clone(), Treatment::plain())];
    if let Ok(path) = path {
        let selection = Selection { disclose: disclose(&path), ..Selection::default() };
        reduce(Filter::compile(&selection));
        let records = Selection { records: Some(path.clone()), ..selection };
        reduce(Filter::compile(&records));
    }
    if let Ok(condition) = condition {
        let selection = Selection {
            when: Some(condition),
            disclose: disclose(&Path::parse("$.a[*].b").unwrap()),
            ..Selection::default()
        };
        reduce(Filter::compile(&selection));
    }
    assert!(begin.elapsed() < LONG, "{:?}", begin.elapsed());
});

fn reduce<E>(filter: Result<Filter, E>) {
    if let Ok(filter) = filter {
        let _ = Reduction::default().reduce(&filter, BODY);
    }
}
