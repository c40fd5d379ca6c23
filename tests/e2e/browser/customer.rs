//! The page about one customer, as people use it.

use super::Browser;
use crate::review::house;
use crate::support::{Answer, order};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_looked_up_told_of_and_objects() {
    let house = house().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    let browser = Browser::signed_in(&house, "anna", "reviewer").await;
    browser.follow("Customer").await;
    browser.see("Nobody is looked up").await;
    browser.looks_good("customer").await;
    browser.keyboard_reaches_everything().await;

    browser.fill("Reason", "Request 118").await;
    let id = browser.at("//input[@id='customer']").await;
    id.send_keys("c-1").await.unwrap();
    browser.press("Look up").await;
    browser.see("Deliver the customer's parcel").await;
    assert_eq!(browser.path().await, "/subject");
    browser.looks_good("customer-account").await;
    browser.printed("customer-account").await;
    browser.keyboard_reaches_everything().await;

    browser.choose("Contractor", "ParcelCo").await;
    browser.fill("Why it is taken down", "Letter 5").await;
    browser.press("Take it down").await;
    browser.see("The withdrawal is in force, and in the ledger.").await;
    browser.looks_good("customer-objects").await;
    browser.press("Show what is on file").await;
    browser.see("withdrew or objects").await;
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 404);
    browser.close().await;
}
