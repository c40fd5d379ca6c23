use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::view::{Field as Seen, Legal, Records, Stream, View};
use super::*;

const DAY: i64 = 86_400_000_000;
/// 24 November 2026, 00:00 UTC.
const NOW: i64 = 1_795_478_400_000_000;
const SCRIPT: &str = "<script>alert('1')</script>\"&";

fn seen(path: &str, disclosed: u64) -> Seen<'_> {
    Seen { path: Cow::Borrowed(path), disclosed, ..Seen::default() }
}

fn entry<'a>(id: &'a str, time: i64, fields: &[&'a str]) -> View<'a> {
    View {
        kind: "disclosure".into(),
        id: id.into(),
        time,
        contractor: Some("parcelco".into()),
        task: Some("deliver-order".into()),
        purpose: Some("Deliver the customer's parcel".into()),
        basis: Some("contract".into()),
        agreement: Some("DPA-2026-014".into()),
        jurisdictions: Some("US to NL".into()),
        transfer: Some("scc".into()),
        subjects_total: Some(1),
        fields: fields.iter().map(|path| seen(path, 1)).collect(),
        ..View::default()
    }
}

fn part<'a>(id: &'a str, part: u64, last: bool, fields: &[&'a str]) -> View<'a> {
    View { stream: Some(Stream { part, last }), ..entry(id, NOW, fields) }
}

fn account<'a>(entries: impl IntoIterator<Item = View<'a>>) -> Accounting {
    let mut account = Account::new(NOW);
    for (position, entry) in entries.into_iter().enumerate() {
        account.add(position as u64, &entry);
    }
    account.finish()
}

fn frame() -> Frame<'static> {
    Frame {
        company: "Acme",
        subject: "Jane Doe",
        prepared: NOW,
        since: None,
        until: None,
        tree_size: 1_234,
        root: "cm9vdA==",
        pruned_before: None,
        not_readable_epochs: 0,
    }
}

fn recipients() -> Recipients {
    let parcelco = Recipient {
        name: "ParcelCo Logistics B.V.".into(),
        service: "Packaging and shipping".into(),
        country: "NL".into(),
        contact: Some("privacy@parcelco.example".into()),
    };
    Recipients(BTreeMap::from([("parcelco".to_owned(), parcelco)]))
}

fn page(accounting: &Accounting, frame: &Frame) -> String {
    html(accounting, &recipients(), frame).unwrap()
}

#[test]
fn like_disclosures_are_one_group_with_first_last_and_count() {
    let accounting = account((0..3).map(|day| entry("a", NOW + day * DAY, &["@.name"])));
    assert_eq!(accounting.groups.len(), 1);
    let group = &accounting.groups[0];
    assert_eq!((group.tally.first, group.tally.last, group.tally.count), (NOW, NOW + 2 * DAY, 3));
    assert_eq!(accounting.disclosures, 3);
    let page = page(&accounting, &frame());
    assert!(page.contains("3 times, first on"), "{page}");
    assert!(page.contains(">24 November 2026<") && page.contains(">26 November 2026<"));
}

#[test]
fn what_differs_in_ground_or_fields_is_not_rolled_up() {
    let base = || entry("a", NOW, &["@.name"]);
    let accounting = account([
        base(),
        View { contractor: Some("helpdesk".into()), ..base() },
        View { task: Some("other".into()), ..base() },
        View { purpose: Some("other".into()), ..base() },
        View { basis: Some("consent".into()), ..base() },
        View { agreement: Some("other".into()), ..base() },
        View { jurisdictions: Some("US to IE".into()), ..base() },
        View { transfer: None, ..base() },
        entry("a", NOW, &["@.name", "@.email"]),
    ]);
    assert_eq!((accounting.groups.len(), accounting.disclosures), (9, 9));
}

#[test]
fn a_field_of_which_nothing_was_disclosed_does_not_count() {
    let mut withheld = entry("b", NOW, &["@.name"]);
    withheld.fields.push(seen("@.secret", 0));
    let accounting = account([entry("a", NOW, &["@.name"]), withheld]);
    assert_eq!(accounting.groups.len(), 1);
    assert!(!page(&accounting, &frame()).contains("Secret"));
}

#[test]
fn a_disclosure_without_any_field_says_that_only_a_record_is_known() {
    let page = page(&account([entry("a", NOW, &[])]), &frame());
    assert!(page.contains("No details, only that there is a record about you"));
}

#[test]
fn entries_that_are_no_disclosures_do_not_count() {
    let accounting = account(
        ["subjects", "refusal", "access", ""]
            .map(|kind| View { kind: kind.into(), ..entry("a", NOW, &["@.name"]) }),
    );
    assert_eq!((accounting.groups.len(), accounting.disclosures), (0, 0));
}

#[test]
fn the_parts_of_a_response_are_one_disclosure_of_all_their_fields() {
    let accounting = account([
        part("a", 1, false, &["@.name"]),
        part("b", 1, false, &["@.email", "@.name"]),
        part("a", 2, false, &["@.name"]),
        part("a", 3, true, &["@.email"]),
        part("b", 2, false, &["@.name"]),
    ]);
    assert_eq!(accounting.groups.len(), 1);
    let group = &accounting.groups[0];
    assert_eq!((accounting.disclosures, group.tally.count), (2, 2));
    assert_eq!((group.ground.fields.len(), group.tally.entries_total), (2, 5));
}

#[test]
fn responses_without_an_end_are_bounded_and_all_counted() {
    let ids: Vec<_> = (0..1_000).map(|id| id.to_string()).collect();
    let mut account = Account::new(NOW);
    for (position, id) in ids.iter().enumerate() {
        account.add(position as u64, &part(id, 1, false, &["@.name"]));
    }
    assert!(format!("{account:?}").matches("heard").count() <= 256);
    let accounting = account.finish();
    assert_eq!((accounting.groups.len(), accounting.disclosures), (1, 1_000));
}

#[test]
fn a_group_keeps_its_newest_entries_and_says_how_many_there_are() {
    let accounting = account((0..2_500).map(|at| entry("a", NOW + at, &["@.name"])));
    let tally = &accounting.groups[0].tally;
    assert_eq!((tally.entries.len(), tally.entries_total), (super::gather::ENTRIES_KEPT, 2_500));
    assert_eq!(tally.entries.first_key_value().map(|(position, _)| *position), Some(1_500));
    let page = page(&accounting, &frame());
    assert!(page.contains("2499, 2498, 2497, 2496, 2495, 2494, 2493, 2492 and 2,492 earlier"));
}

#[test]
fn the_recipient_of_the_newest_disclosure_is_first_with_all_its_groups() {
    let of = |contractor: &'static str, day: i64, path| View {
        contractor: Some(contractor.into()),
        ..entry("a", NOW + day * DAY, &[path])
    };
    let accounting = account([
        of("b", 1, "@.x"),
        of("a", 2, "@.x"),
        of("c", 2, "@.x"),
        of("a", 3, "@.y"),
        of("b", 4, "@.y"),
    ]);
    let order: Vec<_> =
        accounting.groups.iter().map(|group| (group.ground.recipient.as_str(), group.tally.last)).collect();
    let at = |day| NOW + day * DAY;
    assert_eq!(order, [("b", at(4)), ("b", at(1)), ("a", at(3)), ("a", at(2)), ("c", at(2))]);
}

#[test]
fn a_list_is_said_to_be_with_others_but_never_with_how_many_or_whom() {
    let records = Some(Records { released: 4_596, withheld: 2_904, without_subject: 0 });
    let mut list = View {
        subjects_total: Some(4_495),
        records,
        subjects: vec!["013184f9d6faa3bcf6091c98d3bdaf33".into()],
        ..entry("a", NOW, &[])
    };
    list.fields = vec![seen("@.name", 4_596)];
    let accounting = account([entry("b", NOW, &["@.name"]), list]);
    assert_eq!((accounting.groups[0].tally.in_list, accounting.groups[0].tally.count), (1, 2));
    let page = page(&accounting, &frame());
    assert!(page.contains("Fields disclosed in a list with others 1 of 2 times, so not all"));
    let json = json(&accounting, &recipients(), &frame()).to_string();
    for told in ["4596", "4,596", "4495", "4,495", "2904", "2,904", "013184f9"] {
        assert!(!page.contains(told) && !json.contains(told), "{told}");
    }
}

#[test]
fn markup_is_escaped_in_every_place() {
    let hostile = || Some(Cow::Borrowed(SCRIPT));
    let path = format!("@['{}']", SCRIPT.replace('\'', "\\'"));
    let mut one = View {
        contractor: hostile(),
        purpose: hostile(),
        basis: hostile(),
        agreement: hostile(),
        jurisdictions: Some(format!("{SCRIPT} to {SCRIPT}").into()),
        transfer: hostile(),
        ..entry(SCRIPT, NOW, &[])
    };
    one.fields = vec![Seen { transform: hostile(), ..seen(&path, 1) }];
    let known = View { contractor: Some("known".into()), ..entry("b", NOW, &["@.x"]) };
    let text = SCRIPT.to_owned();
    let recipient =
        Recipient { name: text.clone(), service: text.clone(), country: text.clone(), contact: Some(text) };
    let recipients = Recipients(BTreeMap::from([("known".to_owned(), recipient)]));
    let frame = Frame { company: SCRIPT, subject: SCRIPT, root: SCRIPT, ..frame() };
    let page = html(&account([one, known]), &recipients, &frame).unwrap();
    assert!(!page.to_lowercase().contains("<script") && !page.contains("\"&\""));
    // Company twice, subject, root; eleven of the entry, name twice; five of the recipient, name twice.
    assert_eq!(page.matches("&#60;script&#62;").count(), 4 + 11 + 5, "{page}");
}

#[test]
fn an_empty_account_says_clearly_that_it_lists_nothing() {
    let page = page(&account([]), &frame());
    assert!(page.contains(">No disclosure</h2>"));
    assert!(page.contains("this account lists no disclosure of data about you to any company"));
    assert!(!page.contains("What may be missing") && !page.contains("<table"));
}

#[test]
fn what_may_be_missing_is_said_also_where_nothing_was_found() {
    let limited = Frame { pruned_before: Some(NOW - 30 * DAY), not_readable_epochs: 2, ..frame() };
    let page = page(&account([]), &limited);
    assert!(page.contains("No disclosure is on record") && !page.contains(">No disclosure</h2>"));
    assert!(page.contains("are not complete"));
    assert!(page.contains(">25 October 2026</time> have been deleted"));
    assert!(page.contains("destroyed for 2 earlier periods"));
}

#[test]
fn what_was_deleted_before_the_period_is_not_missing() {
    let after = Frame { pruned_before: Some(NOW - 30 * DAY), since: Some(NOW - 30 * DAY), ..frame() };
    assert!(!page(&account([]), &after).contains("What may be missing"));
}

#[test]
fn a_contractor_that_is_gone_is_shown_by_its_id() {
    let gone = View { contractor: Some("gone-gmbh".into()), ..entry("a", NOW, &["@.name"]) };
    assert!(page(&account([gone]), &frame()).contains(">gone-gmbh</h2>"));
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let page = page(&account([entry("a", NOW, &["@.name"])]), &frame());
    assert!(page.contains("default-src 'none'") && page.contains("<html lang=\"en\">"));
    let active = ["<script", "<link", "<img", "<iframe", "<form", "href", "src=", "url(", "@import", "http:"];
    assert!(active.iter().all(|active| !page.contains(active)), "{page}");
}

#[test]
fn json_has_exact_times_and_the_words_of_the_page() {
    let mut masked = entry("a", NOW + 1, &[]);
    masked.fields = vec![Seen { transform: Some("last4".into()), ..seen("@.recipient.phone", 1) }];
    let json = json(&account([masked]), &recipients(), &frame());
    let group = &json["groups"][0];
    assert_eq!(group["first"], "2026-11-24T00:00:00.000001Z");
    assert_eq!(group["fields"][0]["name"], "Recipient phone");
    assert_eq!(group["fields"][0]["how"], "last four characters only");
    assert_eq!(group["entries"][0]["position"], 0);
    assert_eq!((&json["disclosures"], &json["since"]), (&1.into(), &serde_json::Value::Null));
    assert_eq!(json["recipients"]["parcelco"]["name"], "ParcelCo Logistics B.V.");
}

/// A use of a legal grant of which the customer is told from a day on.
fn granted(id: &str, until: Option<&'static str>) -> View<'static> {
    let legal = Legal {
        case: "2026/17".into(),
        authority: "District Court <of> Amsterdam".into(),
        approved_by: vec!["Anna".into(), "Bram".into()],
        expires: "2026-12-31".into(),
        hold_until: until.map(Cow::Borrowed),
        hold_reference: until.map(|_| "letter of the court".into()),
    };
    let basis = Some("legal-obligation".into());
    View { id: id.to_owned().into(), basis, legal: Some(legal), ..entry("", NOW, &["@.name"]) }
}

#[test]
fn a_held_use_of_a_legal_grant_is_counted_for_the_company_and_told_from_its_day_on() {
    // The 24th is the day on which the account is given.
    let accounting = account([
        granted("a", None),
        granted("b", Some("2026-11-24")),
        granted("c", Some("2026-11-25")),
        granted("d", Some("when the court says so")),
        View { stream: Some(Stream { part: 1, last: false }), ..granted("e", Some("2099-01-01")) },
        View { stream: Some(Stream { part: 2, last: true }), ..granted("e", Some("2099-01-01")) },
    ]);
    assert_eq!((accounting.disclosures, accounting.held), (2, 3));
    let json = json(&accounting, &recipients(), &frame()).to_string();
    let page = page(&accounting, &frame());
    assert!(page.contains("Required by law: case 2026/17, District Court &#60;of&#62; Amsterdam"), "{page}");
    for copy in [&json, &page] {
        for word in ["held", "hold_", "letter of the court", "Anna", "Bram"] {
            assert!(!copy.contains(word), "{word} in {copy}");
        }
    }
    let mut later = Account::new(NOW).without_cases(["2026/17".to_owned()].into());
    later.add(0, &granted("a", None));
    later.add(1, &entry("b", NOW, &["@.name"]));
    let later = later.finish();
    assert_eq!((later.disclosures, later.held), (1, 1), "what was put off after the entry");
}

#[test]
fn an_account_with_nothing_but_held_uses_is_that_of_a_customer_without_any() {
    let held = account([granted("a", Some("2099-01-01"))]);
    assert_eq!(page(&held, &frame()), page(&account([]), &frame()));
    assert_eq!(json(&held, &recipients(), &frame()), json(&account([]), &recipients(), &frame()));
}
