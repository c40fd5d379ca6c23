//! Entries, letter by letter: whoever verifies a ledger, and every version to come, reads these bytes.

use jiff::civil::date;

use super::*;
use crate::model::{Country, Jurisdictions};

const TIME: i64 = 1_795_829_851_073_396;

fn written(entry: Disclosure) -> Vec<String> {
    let draft = Draft::disclosure_at(entry, TIME);
    let leaf = |part: &Part| String::from_utf8(part.leaf(16_967, Some(7), Some("node-b"))).unwrap();
    let parts: Vec<_> = draft.parts.iter().map(leaf).collect();
    let open = |part: &Part| part.size() >= part.leaf(u64::MAX, Some(u64::MAX), Some(&"n".repeat(63))).len();
    assert!(draft.parts.iter().all(open));
    parts.into_iter().map(without_salt).collect()
}

/// The entry with the same digit for each of its salt.
fn without_salt(entry: String) -> String {
    let at = entry.find("\"salt\":\"").unwrap() + 8;
    let salt = &entry[at..at + 32];
    assert!(salt.bytes().all(|digit| digit.is_ascii_hexdigit()));
    entry.replace(salt, "SALT")
}

fn disclosure<'a>() -> Disclosure<'a> {
    Disclosure {
        id: "01a21fcc-e388-77e4-b326-77130e254627".to_owned(),
        parties: Parties { contractor: "parcelco", credential: "parcelco-gateway" },
        request: Request { method: "GET", route: None },
        rules: "2c41ef",
        disclosed: Disclosed {
            task: "deliver",
            purpose: "Deliver",
            consent_purpose: None,
            basis: "contract",
            legal: None,
            agreement: "DPA-1",
            jurisdictions: Jurisdictions {
                from: Country::new("US").unwrap(),
                to: Country::new("NL").unwrap(),
            },
            transfer: None,
            upstream: "orders",
            status: 200,
            bytes: 0,
            records: RecordCounts { released: 0, withheld: 0, not_admitted: 0, without_subject: 0 },
            members_withheld: 0,
            canaries: 0,
            fields: Vec::new(),
            stream: None,
        },
        epoch: 1,
        subjects: Vec::new(),
        subjects_per_day: u64::MAX,
        decided: None,
    }
}

#[test]
fn a_disclosure_that_has_little_to_say() {
    let expected = concat!(
        r#"{"v":1,"kind":"disclosure","id":"01a21fcc-e388-77e4-b326-77130e254627","time":1795829851073396,"#,
        r#""salt":"SALT","contractor":"parcelco","credential":"parcelco-gateway","method":"GET","route":null,"#,
        r#""rules":"2c41ef","task":"deliver","purpose":"Deliver","basis":"contract","agreement":"DPA-1","#,
        r#""jurisdictions":"US to NL","transfer":null,"upstream":"orders","status":200,"bytes":0,"#,
        r#""records":{"released":0,"withheld":0,"without_subject":0},"members_withheld":0,"fields":[],"#,
        r#""subjects_total":0,"parts":1,"epoch":1,"subjects":[],"index":16967,"sequence":7,"node":"node-b"}"#,
    );
    assert_eq!(written(disclosure()), [expected]);
}

#[test]
fn a_disclosure_with_all_that_one_can_have() {
    let mut entry = disclosure();
    entry.request.route = Some("/orders/{order_id}");
    entry.subjects = vec![SubjectPseudonym([2; 16]), SubjectPseudonym([1; 16]), SubjectPseudonym([2; 16])];
    let hold = Some(LegalHold { until: date(2027, 1, 2), reference: "letter \"7\"" });
    let approved_by = ["Anna", "Bram"];
    let legal = Legal { case: "2026/17", authority: "Court", approved_by, expires: date(2099, 12, 31), hold };
    let field = |path, transform, drifted, masked| FieldEntry {
        path,
        transform,
        disclosed: 12,
        withheld: 3,
        drifted,
        masked,
    };
    let masked = MaskedEntry { pan: 1, iban: 0, email: 20, phone: 0 };
    entry.disclosed = Disclosed {
        purpose: "Deliver the \"parcel\"\u{1}\n\\ \u{20ac}",
        consent_purpose: Some("delivery"),
        basis: "legal-obligation",
        legal: Some(legal),
        transfer: Some("scc"),
        status: 206,
        bytes: 18_446_744_073_709_551_615,
        records: RecordCounts { released: 10, withheld: 5, not_admitted: 4, without_subject: 1 },
        members_withheld: 99,
        canaries: 2,
        fields: vec![
            field("$['a\"b'].c", None, 0, MaskedEntry::default()),
            field("$.d", Some("pseudonym"), 2, masked),
            field("$.e", None, 0, MaskedEntry { pan: 1, iban: 2, email: 3, phone: 4 }),
        ],
        stream: Some(StreamPart { part: 2, last: false }),
        ..entry.disclosed
    };
    let [first, signal] = written(entry).try_into().unwrap();
    let expected = concat!(
        r#"{"v":1,"kind":"disclosure","id":"01a21fcc-e388-77e4-b326-77130e254627","time":1795829851073396,"#,
        r#""salt":"SALT","contractor":"parcelco","credential":"parcelco-gateway","method":"GET","#,
        r#""route":"/orders/{order_id}","rules":"2c41ef","task":"deliver","#,
        r#""purpose":"Deliver the \"parcel\"\u0001\n\\ €","consent_purpose":"delivery","basis":"legal-obligation","#,
        r#""legal":{"case":"2026/17","authority":"Court","approved_by":["Anna","Bram"],"expires":"2099-12-31","#,
        r#""hold_until":"2027-01-02","hold_reference":"letter \"7\""},"agreement":"DPA-1","#,
        r#""jurisdictions":"US to NL","transfer":"scc","upstream":"orders","status":206,"#,
        r#""bytes":18446744073709551615,"records":{"released":10,"withheld":5,"not_admitted":4,"#,
        r#""without_subject":1},"members_withheld":99,"canary":true,"fields":["#,
        r#"{"path":"$['a\"b'].c","disclosed":12,"withheld":3},"#,
        r#"{"path":"$.d","transform":"pseudonym","disclosed":12,"withheld":3,"drifted":2,"#,
        r#""masked":{"pan":1,"email":20}},{"path":"$.e","disclosed":12,"withheld":3,"#,
        r#""masked":{"pan":1,"iban":2,"email":3,"phone":4}}],"stream":{"part":2,"last":false},"#,
        r#""subjects_total":2,"parts":1,"epoch":1,"#,
        r#""subjects":["01010101010101010101010101010101","02020202020202020202020202020202"],"#,
        r#""index":16967,"sequence":7,"node":"node-b"}"#,
    );
    assert_eq!(first, expected);
    assert!(signal.contains(r#""signal":"canary""#), "{signal}");
    let read: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(read["purpose"], "Deliver the \"parcel\"\u{1}\n\\ \u{20ac}");
}
