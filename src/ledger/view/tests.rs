use super::*;

const LEAF: &str = r#"{"v":1,"kind":"disclosure","id":"01","time":7,"salt":"00","contractor":"parcelco",
    "credential":"key","method":"GET","route":"/o/{id}","rules":"ab","task":"deliver","purpose":"p",
    "basis":"legal-obligation","legal":{"case":"C-1","authority":"A","approved_by":["x","y"],
    "expires":"2026-12-31"},"jurisdictions":"US to IE","transfer":null,"upstream":"u","status":200,
    "fields":[{"path":"$.name","transform":"mask","disclosed":2,"withheld":1},{"path":"$.a","disclosed":0}],
    "part":3,"subjects":["00112233445566778899aabbccddeeff"],"sequence":4,"signal":"s","code":"c"}"#;

#[test]
fn the_text_of_an_entry_is_not_copied() {
    let is_borrowed = |text: &Cow<str>| matches!(text, Cow::Borrowed(_));
    let view = View::parse(LEAF.as_bytes()).unwrap();
    let legal = view.legal.as_ref().unwrap();
    let optional =
        [&view.contractor, &view.route, &view.basis, &view.jurisdictions, &view.fields[0].transform];
    assert!(optional.into_iter().all(|text| text.as_ref().is_some_and(&is_borrowed)));
    assert!(view.subjects.iter().chain(&legal.approved_by).all(&is_borrowed));
    let indexed = Indexed::parse(LEAF.as_bytes()).unwrap();
    assert!(indexed.subjects.iter().chain(&indexed.contractor).chain(&indexed.task).all(is_borrowed));
    assert_eq!(view.transfer, None);
}

#[test]
fn text_that_json_writes_in_another_way_is_what_it_stands_for() {
    let leaf = br#"{"kind":"access","reason":"a\"b\u00e9","entries":["x\ny","z"]}"#;
    let view = View::parse(leaf).unwrap();
    assert_eq!(view.reason.as_deref(), Some("a\"b\u{e9}"));
    assert_eq!(view.entries, ["x\ny", "z"]);
    assert!(View::parse(br#"{"reason":7}"#).is_err() && View::parse(br#"{"entries":"x"}"#).is_err());
}

#[test]
fn the_index_reads_of_an_entry_what_everybody_does() {
    for kind in ["disclosure", "refusal", "signal", "subjects", "consent"] {
        let leaf = LEAF.replace("\"disclosure\"", &format!("\"{kind}\""));
        let (view, indexed) =
            (View::parse(leaf.as_bytes()).unwrap(), Indexed::parse(leaf.as_bytes()).unwrap());
        assert_eq!((&view.contractor, &view.credential), (&indexed.contractor, &indexed.credential));
        assert_eq!((&view.route, &view.task), (&indexed.route, &indexed.task));
        assert_eq!((view.kind.as_ref(), view.id.as_ref()), (indexed.kind.as_ref(), indexed.id.as_ref()));
        assert_eq!((view.time, view.sequence, &view.basis), (indexed.time, indexed.sequence, &indexed.basis));
        assert_eq!((view.outcome(), view.country()), (indexed.outcome(), indexed.country()));
        assert_eq!(
            view.legal.as_ref().map(|legal| &legal.case),
            indexed.legal.as_ref().map(|legal| &legal.case)
        );
        assert_eq!(view.subjects, indexed.subjects);
        let fields = view.fields.iter().map(|field| (&field.path, field.disclosed));
        assert!(fields.eq(indexed.fields.iter().map(|field| (&field.path, field.disclosed))));
        assert_eq!(indexed.head(10), 8);
    }
}

#[test]
fn what_is_not_json_is_no_entry_for_the_index_either() {
    for broken in ["", "{", r#"{"kind":"x","unread":[1,}"#, r#"{"kind":7}"#, r#"{"kind":"x"} x"#] {
        assert!(Indexed::parse(broken.as_bytes()).is_err(), "{broken}");
    }
}
