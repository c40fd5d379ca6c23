//! Signing in and out, as people do it.

use serde_json::json;

use super::Browser;
use crate::review::{TLS, closed, house, noted, open, write_secret};
use crate::support::IdentityProvider;

/// What the console says of a page that comes with an error status, which is meant.
async fn refused(browser: &Browser, status: &str) {
    let told = browser.console().await;
    assert!(told.len() == 1 && told[0].contains(status), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_finds_the_page_that_they_wanted_and_signs_out() {
    let house = house().await;
    let password = house.account("anna", "reviewer");
    let browser = Browser::at_door(&house).await;
    browser.open("/ledger").await;
    assert_eq!(browser.path().await, "/sign-in?back=%2Fledger");
    browser.looks_good("sign-in").await;
    browser.keyboard_reaches_everything().await;

    browser.sign_in("anna", "not the password").await;
    browser.see("Name or password is wrong.").await;
    browser.looks_good("sign-in-wrong").await;
    refused(&browser, "401").await;

    browser.sign_in("anna", &password).await;
    browser.see("anna").await;
    assert_eq!(browser.path().await, "/ledger");
    browser.press("Sign out").await;
    browser.see("Sign in to the review side").await;
    browser.open("/ledger").await;
    assert_eq!(browser.path().await, "/sign-in?back=%2Fledger");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_too_many_attempts_the_page_says_when_to_come_back() {
    let house = house().await;
    house.account("anna", "reviewer");
    let browser = Browser::at_door(&house).await;
    browser.open("/sign-in").await;
    for _ in 0..5 {
        browser.sign_in("anna", "wrong").await;
        browser.see("Name or password is wrong.").await;
        refused(&browser, "401").await;
        browser.open("/sign-in").await;
    }
    browser.sign_in("anna", "wrong").await;
    browser.see("Sign-in is taken again in 15 minutes.").await;
    browser.looks_good("too-many-attempts").await;
    refused(&browser, "429").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_elsewhere_leads_to_the_door() {
    let house = house().await;
    let browser = Browser::signed_in(&house, "anna", "operator").await;
    browser.open("/you").await;
    browser.looks_good("you").await;
    browser.keyboard_reaches_everything().await;
    assert!(house.command(&["admin", "sign-out", "anna", "--by", "test"]).status.success());
    browser.follow("Rules").await;
    browser.see("Sign in to the review side").await;
    assert_eq!(browser.path().await, "/sign-in?back=%2Frules");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_shown_once_and_ended() {
    let house = house().await;
    let browser = Browser::signed_in(&house, "anna", "reviewer").await;
    browser.open("/you").await;
    browser.fill("What it is for", "nightly export").await;
    browser.press("Make a token").await;
    browser.see("The token, shown once:").await;
    browser.looks_good("you-token").await;
    browser.see("nightly export").await;
    let session = browser.at("//tr[contains(., 'nightly export')]//button").await;
    session.click().await.unwrap();
    browser.gone("nightly export").await;
    assert!(!browser.text().await.contains("shown once"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed_and_the_old_one_is_worth_nothing() {
    let house = house().await;
    let password = house.account("anna", "reviewer");
    let browser = Browser::at_door(&house).await;
    browser.open("/you").await;
    browser.sign_in("anna", &password).await;
    browser.fill("Password now", &password).await;
    browser.fill("New password, at least 12 characters", "a new and long one").await;
    browser.press("Change it, and end all other sessions").await;
    browser.see("Signed in as").await;
    browser.press("Sign out").await;
    browser.sign_in("anna", &password).await;
    browser.see("Name or password is wrong.").await;
    refused(&browser, "401").await;
    browser.sign_in("anna", "a new and long one").await;
    browser.see("Overview").await;
    assert_eq!(noted(&house, "new-password").len(), 1);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_companys_identity_provider_signs_somebody_in_from_another_site() {
    let mut house = closed().await;
    let provider = IdentityProvider::start(&house).await;
    write_secret(&house);
    open(&mut house, &format!("{TLS}\nurl = \"https://review.example\"\n{}", provider.table()));
    provider.person(json!({ "email": "anna@shop.example", "groups": ["privacy-team"] }));
    let map = format!("--host-resolver-rules=MAP review.example 127.0.0.1:{}", house.admin().port());
    let browser = Browser::start_with("https://review.example", &[&map]).await;
    browser.open("/rules").await;
    browser.follow("Sign in with the company account").await;
    // Back on the page that was wanted, with a session whose cookie no other site can send.
    browser.see("oidc:anna@shop.example").await;
    assert_eq!(browser.path().await, "/rules");
    assert_eq!(provider.faults(), [""; 0]);
    provider.person(json!({ "email": "anna@shop.example", "groups": ["nobody"] }));
    browser.press("Sign out").await;
    browser.looks_good("sign-in-provider").await;
    browser.follow("Sign in with the company account").await;
    browser.see("You have no role here").await;
    refused(&browser, "400").await;
    browser.close().await;
}
