//! The search of the page of disclosures, with scripts: the table changes, the page stays, and it is asked once.

use serde_json::json;

use super::Browser;
use super::pages::lively;
use crate::review::noted;

#[tokio::test(flavor = "multi_thread")]
async fn a_search_changes_the_table_only_and_is_one_entry_however_it_is_sent() {
    let house = lively().await;
    let browser = Browser::signed_in(&house, "anna", "reviewer").await;
    browser.open("/disclosures").await;
    browser.run("window.stayed = true", &[]).await;
    let stayed = async || browser.run("return window.stayed === true", &[]).await == true;

    // A field that is left sends it.
    browser.choose("Contractor", "ParcelCo").await;
    browser.see("The newest 5 entries that fit").await;
    assert_eq!((browser.path().await.as_str(), stayed().await), ("/disclosures?contractor=parcelco", true));
    assert_eq!(noted(&house, "search").len(), 1);

    // The key for it changes the field and sends the form: once.
    browser.fill("Outcome", "not-found\u{e007}").await;
    browser.see("The newest 1 entry that fit").await;
    assert_eq!(browser.path().await, "/disclosures?contractor=parcelco&outcome=not-found");
    browser.fill("Outcome", "").await;
    browser.see("The newest 5 entries that fit").await;
    assert!(stayed().await);
    // Whatever would have come twice has come by now: this is asked for behind it, and is no entry.
    browser.fill("From", "yesterday\u{e007}").await;
    browser.see("a time is a day").await;
    assert!(stayed().await);
    let searches = noted(&house, "search");
    assert_eq!(searches.len(), 3, "{searches:?}");
    // What is exported is what is shown, not what was shown when the page was loaded.
    browser.fill("From", "").await;
    browser.fill("Outcome", "not-found\u{e007}").await;
    browser.see("The newest 1 entry that fit").await;
    let hidden = "return document.querySelector('form[action=\"/disclosures/export\"] [name=outcome]').value";
    assert_eq!(browser.run(hidden, &[]).await, json!("not-found"));
    // A search that another one overtakes is given up.
    let told = browser.console().await;
    assert!(told.iter().all(|line| line.contains("sendAbort") || line.contains("afterRequest")), "{told:?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_fails_does_not_leave_the_rows_of_another_one() {
    let house = lively().await;
    let browser = Browser::signed_in(&house, "anna", "reviewer").await;
    browser.open("/disclosures").await;
    house.rest().await;
    let (folder, away) = (house.path("ledger/fieldgate.tlog"), house.path("ledger/away"));
    std::fs::rename(&folder, &away).unwrap();
    browser.choose("Contractor", "ParcelCo").await;
    browser.see("Something broke").await;
    browser.gone("deliver-order").await;
    std::fs::rename(&away, &folder).unwrap();
    let told = browser.console().await;
    assert!(told.iter().all(|line| line.contains("500")), "{told:?}");
    browser.close().await;
}
