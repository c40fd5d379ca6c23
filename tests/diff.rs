//! What `fieldgate diff` says of two states of the rules.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

use fieldgate::diagnostic::Source;
use fieldgate::rules::diff::{Change, Effect, Written, diff};

const RULES: &str = include_str!("../rules/parcelco.toml");

fn written(text: &str) -> Written {
    Written::read(vec![Source::new("rules/parcelco.toml", text)]).unwrap()
}

/// Replaces one text, which must be there.
fn with(old: &str, new: &str) -> String {
    assert!(RULES.contains(old), "{old}");
    RULES.replacen(old, new, 1)
}

fn changes(new: &str) -> Vec<Change> {
    diff(&written(RULES), &written(new))
}

#[test]
fn each_change_is_one_line_that_says_whether_it_widens() {
    use Effect::{MayWiden, Narrows, Neutral, Widens};
    let field = "{ path = \"@.recipient.name\", category = \"user.name\" },";
    let when = "@.carrier == 'parcelco' && @.status == 'ready_to_ship'";
    let cases = [
        (with(field, ""), Narrows, "recipient.name is not disclosed any more"),
        (with(field, "\"@.recipient.name\", \"@.customer.email\","), Widens, "customer.email is disclosed"),
        (with(field, "\"@.recipient['name','company']\","), Widens, "recipient.company is disclosed"),
        (
            with(
                field,
                "\"@.recipient.name\", { path = \"@.customer.email\", transform = \"email-domain\" },",
            ),
            Widens,
            "customer.email is disclosed, as email-domain",
        ),
        (
            with(
                "{ path = \"@.recipient.phone\", transform = \"last4\", category = \"user.contact.phone_number\" }",
                "\"@.recipient.phone\"",
            ),
            Widens,
            "recipient.phone is as it is instead of last4 only",
        ),
        (
            with(field, "{ path = \"@.recipient.name\", transform = \"initials\" },"),
            Narrows,
            "recipient.name is initials only instead of as it is",
        ),
        (
            with(field, "{ path = \"@.recipient.name\", max_length = 80 },"),
            Narrows,
            "recipient.name: what it must be is said",
        ),
        (
            with(when, &format!("{when} && @.recipient.company == null")),
            Narrows,
            "where @.carrier == 'parcelco' && @.status == 'ready_to_ship' && @.recipient.company == null instead of @.carrier == 'parcelco' && @.status == 'ready_to_ship'",
        ),
        (
            with(when, "@.carrier == 'parcelco'"),
            Widens,
            "where @.carrier == 'parcelco' instead of @.carrier == 'parcelco' && @.status == 'ready_to_ship'",
        ),
        (
            with(when, "@.carrier == 'swiftpost'"),
            MayWiden,
            "where @.carrier == 'swiftpost' instead of @.carrier == 'parcelco' && @.status == 'ready_to_ship'",
        ),
        (
            with("basis   = \"contract\"", "basis   = \"contract\"\npayment = true"),
            Widens,
            "card numbers leave as they are",
        ),
        (with("jurisdiction = \"NL\"", "jurisdiction = \"BR\""), Widens, "data goes to BR instead of NL"),
        (
            with("expires   = 2027-12-31", "expires   = 2028-12-31"),
            Widens,
            "the agreement ends on 2028-12-31 instead of 2027-12-31",
        ),
        (
            with("expires   = 2027-12-31", "expires   = 2026-12-31"),
            Narrows,
            "the agreement ends on 2026-12-31 instead of 2027-12-31",
        ),
        (
            with("Packaging and shipping", "Shipping"),
            Neutral,
            "the service is Shipping instead of Packaging and shipping",
        ),
        (
            with(
                "id      = \"deliver-order\"\npurpose = \"Deliver the customer's parcel\"",
                "id      = \"deliver-order\"\npurpose = \"Marketing\"",
            ),
            MayWiden,
            "the purpose is \"Marketing\" instead of \"Deliver the customer's parcel\"",
        ),
        (
            with("concurrent       = 32", "concurrent       = 64"),
            Widens,
            "requests at the same time: 64 instead of 32",
        ),
        (
            with("concurrent       = 32", "concurrent       = 32\nnetworks = [\"192.0.2.0/24\"]"),
            Narrows,
            "requests come from 192.0.2.0/24 instead of anywhere",
        ),
        (
            with(
                "concurrent       = 32",
                "concurrent       = 32\nhours = { from = \"08:00\", to = \"18:00\" }",
            ),
            Narrows,
            "the hours are others",
        ),
        (
            with("query    = [\"cursor\", \"limit\"]", "query    = [\"cursor\", \"limit\", \"sort\"]"),
            Widens,
            "the query parameter sort is taken",
        ),
    ];
    for (text, effect, what) in cases {
        let found = changes(&text);
        let found: Vec<_> = found.iter().map(|change| (change.effect, change.what.as_str())).collect();
        assert_eq!(found, [(effect, what)]);
    }
}

#[test]
fn what_is_only_written_in_another_way_is_no_change() {
    let same = with(
        "{ path = \"@.shipping_address['street','city','postal_code','country']\", category = \"user.contact.address\" }",
        "\"@.shipping_address.street\", \"$.shipping_address['country','postal_code']\", \"@['shipping_address'].city\"",
    );
    assert_eq!(changes(&same), []);
    assert_eq!(changes(RULES), []);
}

#[test]
fn a_whole_subtree_holds_what_was_listed_and_more() {
    let whole = with(
        "{ path = \"@.shipping_address['street','city','postal_code','country']\", category = \"user.contact.address\" }",
        "{ path = \"@.shipping_address\", whole = true }",
    );
    let found = changes(&whole);
    let found: Vec<_> = found.iter().map(|change| (change.effect, change.what.as_str())).collect();
    assert_eq!(found, [(Effect::Widens, "shipping_address is disclosed, with all that is in it")]);
    let back = diff(&written(&whole), &written(RULES));
    assert!(!back.iter().any(|change| change.effect.needs_review()), "{back:?}");
}

#[test]
fn a_literal_route_that_is_gone_leaves_its_requests_to_a_wider_one() {
    let lone = RULES.replacen(
        "path     = \"/orders/{order_id}\"\nparams   = { order_id = \"[0-9]{1,12}\" }",
        "path     = \"/orders/latest\"",
        1,
    );
    assert_ne!(lone, RULES);
    let both = format!(
        "{lone}\n[[task.route]]\npath = \"/orders/{{order_id}}\"\nupstream = \"orders\"\ndisclose = [\"@.order_id\", \"@.customer.email\"]\n"
    );
    let begin = both.find("[[task.route]]").unwrap();
    let end = begin + 1 + both[begin + 1..].find("[[task.route]]").unwrap();
    let without = format!("{}{}", &both[..begin], &both[end..]);
    let found = diff(&written(&both), &written(&without));
    let found: Vec<_> = found.iter().map(|change| (change.effect, change.what.as_str())).collect();
    assert_eq!(found, [(Effect::MayWiden, "the route is gone; /orders/{order_id} takes its requests now")]);
}

#[test]
fn hours_that_open_by_a_minute_and_other_zones_are_seen() {
    let hours =
        |hours: &str| with("concurrent       = 32", &format!("concurrent       = 32\nhours = {hours}"));
    let effect = |old: &str, new: &str| {
        let found = diff(&written(&hours(old)), &written(&hours(new)));
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].effect
    };
    let office = "{ from = \"08:00\", to = \"17:01\" }";
    assert_eq!(effect(office, "{ from = \"08:00\", to = \"17:02\" }"), Effect::Widens);
    assert_eq!(effect(office, "{ from = \"08:01\", to = \"17:01\" }"), Effect::Narrows);
    let there = "{ from = \"09:00\", to = \"09:01\", zone = \"Europe/London\" }";
    assert_eq!(effect(office, there), Effect::MayWiden);
}

#[test]
fn new_and_lost_contractors_tasks_and_routes_are_said() {
    let none = Written::read(Vec::new()).unwrap();
    let all = diff(&none, &written(RULES));
    assert!(all.iter().all(|change| change.effect == Effect::Widens));
    assert!(all.iter().any(|change| change.what.contains("is a new contractor; its data goes to NL")));
    assert!(
        all.iter().any(|change| change.what.starts_with("a new route (GET), where @.carrier == 'parcelco'"))
    );
    assert!(all.iter().any(|change| change.what == "recipient.phone is disclosed, as last4"));
    let gone = diff(&written(RULES), &none);
    assert!(gone.len() == 1 && gone[0].effect == Effect::Narrows, "{gone:?}");
}

fn fieldgate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fieldgate")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn folders_and_revisions_are_compared_and_the_exit_code_says_whether_it_widens() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.com"]);
        let output = git.args(arguments).current_dir(home).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    std::fs::create_dir_all(home.join("rules")).unwrap();
    std::fs::write(
        home.join("fieldgate.toml"),
        "jurisdiction = \"US\"\n[upstream.orders]\nurl = \"http://127.0.0.1:1\"\n",
    )
    .unwrap();
    std::fs::write(home.join("rules/parcelco.toml"), RULES).unwrap();
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "rules"]);
    let same = fieldgate(home, &["diff", "HEAD", "rules"]);
    assert_eq!(
        (same.status.code(), same.stdout.as_slice()),
        (Some(0), b"Nothing is different.\n".as_slice())
    );

    let wider = with(
        "{ path = \"@.recipient.name\", category = \"user.name\" },",
        "\"@.recipient.name\", \"@.customer.email\",",
    );
    std::fs::write(home.join("rules/parcelco.toml"), wider).unwrap();
    let markdown = fieldgate(home, &["diff", "HEAD", "rules", "--format", "markdown"]);
    assert_eq!(markdown.status.code(), Some(1));
    let text = String::from_utf8(markdown.stdout).unwrap();
    assert!(
        text.contains(
            "| **widens** | parcelco · deliver-order · /orders/{order\\_id} | customer.email is disclosed |"
        ),
        "{text}"
    );
    let back = fieldgate(home, &["diff", "rules", "HEAD", "--format", "json"]);
    assert_eq!(back.status.code(), Some(0));
    let line: serde_json::Value = serde_json::from_slice(&back.stdout).unwrap();
    assert_eq!((&line["effect"], &line["field"]), (&"narrows".into(), &"@.customer.email".into()));

    let nothing = fieldgate(home, &["diff", "no-such-thing", "rules"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("neither a folder nor a git revision"));
}

const GRANT: &str = r#"
[[task]]
id = "court"
purpose = "Answer an order of the court"
basis = "legal-obligation"
[task.legal]
case = "2026/17"
authority = "District Court"
approved_by = ["Anna", "Bram"]
expires = 2026-12-31
subjects = ["c-10234", "c-10235"]
"#;

#[test]
fn a_legal_grant_widens_by_whom_how_long_and_who_approved_and_shows_no_customer() {
    use Effect::{MayWiden, Narrows, Neutral, Widens};
    let all = |grant: &str| written(&format!("{RULES}{grant}"));
    let found = |old: &str, new: &str| -> Vec<(Effect, String)> {
        let changes = diff(&all(old), &all(new)).into_iter();
        changes.map(|change| (change.effect, change.what)).collect()
    };
    let new = found("", GRANT);
    let grant = "a legal grant for 2 customers, until 2026-12-31: case 2026/17, District Court, approved by Anna and Bram";
    assert!(new.contains(&(Widens, grant.to_owned())), "{new:?}");
    let held = GRANT.replace("expires", "hold_until = 2027-06-30\nhold_reference = \"letter\"\nexpires");
    for (old, new, effect, what) in [
        ("\"c-10235\"]", "\"c-10235\", 7]", Widens, "the grant names 1 customer more"),
        ("\"c-10234\", ", "", Narrows, "the grant does not name 1 customer any more"),
        ("2026-12-31", "2027-03-31", Widens, "the grant ends on 2027-03-31 instead of 2026-12-31"),
        ("2026-12-31", "2026-11-30", Narrows, "the grant ends on 2026-11-30 instead of 2026-12-31"),
        (
            "expires",
            "effective = 2026-06-01\nexpires",
            Narrows,
            "the grant begins on 2026-06-01 instead of at once",
        ),
        ("Bram", "Cato", Widens, "Anna and Cato approved the grant instead of Anna and Bram"),
        (
            "2026/17",
            "2026/18",
            Widens,
            "the grant is for case 2026/18, District Court instead of case 2026/17, District Court",
        ),
    ] {
        assert_eq!(found(GRANT, &GRANT.replacen(old, new, 1)), [(effect, what.to_owned())]);
    }
    assert_eq!(found(GRANT, &GRANT.replace("\"Anna\", \"Bram\"", "\"Bram\", \"Anna\"")), []);
    let told = |what: &str| what.to_owned();
    let later = told("the customers are told of its uses from 2027-06-30 on only");
    assert_eq!(found(GRANT, &held), [(MayWiden, later)]);
    assert_eq!(found(&held, GRANT), [(Narrows, told("the customers are told of its uses at once"))]);
    let sooner = held.replace("2027-06-30", "2027-01-31");
    assert_eq!(
        found(&held, &sooner),
        [(Narrows, told("the customers are told of its uses from 2027-01-31 on"))]
    );
    let reference = told("what asks to wait with that is order instead of letter");
    assert_eq!(found(&held, &held.replace("letter", "order")), [(Neutral, reference)]);
    let everything = format!("{new:?}{:?}", found(GRANT, &GRANT.replace("c-10234", "c-99999")));
    assert!(!everything.contains("c-1023") && !everything.contains("c-9999"), "{everything}");
}
