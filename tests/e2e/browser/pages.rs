//! Each page, as it looks, and as it is used without a mouse.

use super::Browser;
use super::walk::{kind, walk};
use crate::review::{closed, noted, open};
use crate::support::{Answer, House, has_word, order};

/// A house in which a few things have happened.
pub async fn lively() -> House {
    let mut house = closed().await;
    open(&mut house, "");
    for id in 1..=3 {
        house.upstream.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
        assert_eq!(house.get(&house.parcelco(), &format!("/orders/{id}")).await.status, 200);
    }
    assert_eq!(house.get(&house.parcelco(), "/orders/9").await.status, 404);
    assert_eq!(house.get(&house.parcelco(), "/orders?sort=name").await.status, 400);
    house
}

/// `/rules/compare?from=1` becomes `rules-compare`, and `/entries/17` `entries-one`.
pub fn name(path: &str) -> String {
    let kind = kind(path).replace('#', "one");
    let kind = kind.trim_matches('/');
    if kind.is_empty() { "overview".to_owned() } else { kind.replace('/', "-") }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_is_good_to_look_at_by_day_and_night_wide_and_narrow_and_by_keyboard() {
    let house = lively().await;
    let browser = Browser::signed_in(&house, "anna", "reviewer").await;
    let mut flaws = Vec::new();
    let seen = walk(&browser, 1, async |path, _| {
        flaws.extend(browser.flaws(&name(path)).await);
        let unreached = browser.unreached().await;
        flaws.extend(
            unreached.into_iter().chain(browser.console().await).map(|flaw| format!("{path}: {flaw}")),
        );
    })
    .await;
    assert!(flaws.is_empty(), "{flaws:#?}");
    assert!(seen.len() >= 9, "{seen:?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_house_has_pages_that_say_so() {
    let mut house = closed().await;
    open(&mut house, "");
    let browser = Browser::signed_in(&house, "bert", "auditor").await;
    let mut flaws = Vec::new();
    let seen = walk(&browser, 1, async |path, _| {
        flaws.extend(browser.flaws(&format!("empty-{}", name(path))).await);
        flaws.extend(browser.console().await.into_iter().map(|flaw| format!("{path}: {flaw}")));
    })
    .await;
    assert!(flaws.is_empty(), "{flaws:#?}");
    assert!(seen.len() >= 9, "{seen:?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_tab_offers_the_way_past_the_list_of_pages() {
    let house = lively().await;
    let browser = Browser::signed_in(&house, "anna", "reviewer").await;
    browser.open("/rules").await;
    browser.key("Tab", 9).await;
    let skip = browser.client.active_element().await.unwrap();
    assert_eq!(skip.text().await.unwrap(), "To the content");
    let (left, top, width, height) = skip.rectangle().await.unwrap();
    assert!(left >= 0.0 && top >= 0.0 && width > 20.0 && height > 10.0, "it is not to be seen");
    browser.key("Enter", 13).await;
    browser.run("return document.activeElement.id", &[]).await;
    assert_eq!(browser.run("return document.activeElement.id", &[]).await, "main");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_lead_to_pages_and_to_the_search() {
    let house = lively().await;
    let browser = Browser::signed_in(&house, "anna", "reviewer").await;
    for key in ["g", "l"] {
        browser.typed(key).await;
    }
    browser.see("Ledger").await;
    assert_eq!(browser.path().await, "/ledger");
    for key in ["g", "s"] {
        browser.typed(key).await;
    }
    browser.see("Look a customer up").await;
    browser.typed("/").await;
    let focus = browser.run("return document.activeElement.id", &[]).await;
    assert_eq!(focus, "customer");
    // Within a field, letters are letters.
    for key in ["g", "l"] {
        browser.typed(key).await;
    }
    assert_eq!(browser.run("return document.activeElement.value", &[]).await, "gl");
    assert_eq!(browser.path().await, "/subject");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_play_ground_shows_what_a_contractor_gets() {
    let house = lively().await;
    let browser = Browser::signed_in(&house, "anna", "operator").await;
    browser.open("/rules/try").await;
    browser.fill("Path that it calls", "/orders/1").await;
    let body = order(1, "parcelco", "ready_to_ship").replace("PLANTED", "secret");
    browser.fill("What the internal API answers (JSON)", &body).await;
    browser.press("See what leaves").await;
    browser.see("The contractor gets").await;
    let reduced = browser.at("//*[@id='reduced']").await.text().await.unwrap();
    assert_eq!(
        reduced.split_whitespace().collect::<String>(),
        crate::support::reduced_order(1).replace(' ', "")
    );
    browser.see("no rule lists it").await;
    browser.looks_good("rules-tried").await;
    browser.fill("What the internal API answers (JSON)", "{\"order_id\": 1, \"order_id\": 2}").await;
    browser.press("See what leaves").await;
    browser.see("Nothing would leave").await;
    // Nothing of it is an entry.
    assert!(house.entries().iter().all(|entry| !entry.to_string().contains("secret")));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_verified_from_its_page() {
    let house = lively().await;
    house.rest().await;
    let browser = Browser::signed_in(&house, "anna", "operator").await;
    browser.open("/ledger").await;
    browser.press("Verify now").await;
    browser.see("all right").await;
    browser.see("by anna").await;
    browser.looks_good("ledger-verified").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contractor_is_suspended_and_resumed_each_with_a_reason() {
    let house = lively().await;
    let reviewer = Browser::signed_in(&house, "anna", "reviewer").await;
    reviewer.follow("Contractors").await;
    reviewer.follow("ParcelCo").await;
    reviewer.fill("Why", "It looked up a canary").await;
    reviewer.press("Suspend ParcelCo").await;
    reviewer.see("Suspended since").await;
    reviewer.see("Reason: It looked up a canary").await;
    reviewer.looks_good("contractor-suspended").await;
    let refused = house.get(&house.parcelco(), "/orders/1").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "suspended"));
    // Who suspends does not decide alone when it is over.
    reviewer.see("An operator can end it.").await;
    reviewer.open("/").await;
    assert!(!reviewer.text().await.contains("Nothing needs you."), "the overview says that nothing is wrong");
    reviewer.close().await;

    let operator = Browser::signed_in(&house, "bert", "operator").await;
    operator.open("/contractors/parcelco").await;
    operator.fill("Why it may go on", "It was a test").await;
    operator.press("Resume").await;
    operator.gone("Suspended since").await;
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    operator.close().await;
    let entries = house.entries();
    let told: Vec<_> = entries.iter().filter(|entry| entry["kind"] == "suspension").collect();
    assert_eq!(told.len(), 2);
    assert_eq!((&told[0]["by"], &told[0]["reason"]), (&"anna".into(), &"It looked up a canary".into()));
    assert_eq!((&told[1]["by"], &told[1]["reason"]), (&"bert".into(), &"It was a test".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn disclosures_are_filtered_by_an_address_looked_at_one_by_one_and_exported() {
    let house = lively().await;
    let browser = Browser::signed_in(&house, "anna", "reviewer").await;
    browser.follow("Disclosures").await;
    browser.see("parameter-not-permitted").await;
    // A field that changes sends the form.
    browser.choose("Contractor", "ParcelCo").await;
    browser.fill("Outcome", "not-found\t").await;
    browser.gone("parameter-not-permitted").await;
    let address = browser.path().await;
    assert!(address.contains("contractor=parcelco") && address.contains("outcome=not-found"), "{address}");
    assert_eq!(browser.count("#table tbody tr").await, 1);
    browser.looks_good("disclosures-filtered").await;

    browser.at("//*[@id='table']//tbody//a").await.click().await.unwrap();
    browser.see("What it says").await;
    browser.see("not-found").await;
    browser.client.back().await.unwrap();
    browser.see("Search").await;
    assert_eq!(browser.path().await, address, "the way back leads to the same filter");

    browser.open("/disclosures?outcome=disclosed").await;
    assert_eq!(browser.count("#table tbody tr").await, 3);
    browser.at("//*[@id='table']//tbody//a").await.click().await.unwrap();
    browser.see("Recipient name").await;
    browser.at("//summary[.='Proof']").await.click().await.unwrap();
    browser.see("ledger verify-proof").await;
    browser.looks_good("entry").await;

    browser.open("/disclosures?outcome=disclosed").await;
    let downloads = browser.downloads().await;
    browser.at("//summary[.='Export what this filter finds']").await.click().await.unwrap();
    browser.fill("What for", "Audit 7").await;
    browser.press("Export").await;
    let file = browser.downloaded(&downloads).await;
    assert_eq!(file.lines().count(), 4, "a line for each, and one of names: {file}");
    assert!(!file.contains("Anna Jansen") && !has_word(&file, "c-1"));
    let exported = noted(&house, "export");
    assert_eq!((&exported[0]["by"], &exported[0]["reason"]), (&"anna".into(), &"Audit 7".into()));
    browser.close().await;
}
