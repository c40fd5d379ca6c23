//! That the tests with a browser can fail: on pages that are made badly on purpose.

use super::Browser;
use crate::support::{Answer, StubUpstream};

const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'";
const GOOD: &str = "<!doctype html><html lang=en><title>Good</title><link rel=icon href='data:,'>\
    <style></style><main><h1>Good page</h1><form method=post action=/said><label for=name>Your name</label> \
    <input id=name name=name> <button>Say it</button></form></main></html>";

fn page(text: &str) -> Answer {
    let answer = Answer::json(text);
    let Answer::Http { status, body, .. } = answer else { unreachable!() };
    Answer::Http { status, headers: vec![("Content-Type".into(), "text/html; charset=utf-8".into())], body }
}

async fn browser(pages: &[(&str, Answer)]) -> (Browser, StubUpstream) {
    let server = StubUpstream::start().await;
    for (path, answer) in pages {
        server.on(path, answer.clone());
    }
    server.on("/favicon.ico", Answer::status("204 No Content", ""));
    (Browser::start(&format!("http://localhost:{}", server.address.port())).await, server)
}

#[tokio::test]
async fn a_good_page_is_used_by_labels_and_nothing_is_found_on_it() {
    let (browser, server) =
        browser(&[("/", page(GOOD.replace("<style></style>", "").as_str())), ("/said", page(GOOD))]).await;
    browser.open("/").await;
    browser.looks_good("proof").await;
    browser.keyboard_reaches_everything().await;
    for dark in [true, false] {
        browser.window(400, 800, dark).await;
        let seen = "return [window.innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]";
        assert_eq!(browser.run(seen, &[]).await, serde_json::json!([400, dark]));
    }
    browser.fill("Your name", "Anna").await;
    browser.press("Say it").await;
    browser.see("Good page").await;
    assert_eq!(browser.path().await, "/said");
    let requests = server.requests();
    assert!(requests.iter().any(|request| request.ends_with("name=Anna")), "{requests:?}");
    browser.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_page_is_found() {
    let bad = "<!doctype html><html lang=en><title>Bad</title><main><h1>Bad</h1><div style='width:3000px'>wide</div>\
        <input><img src=/favicon.ico><a href=/ style='outline:none'>a</a></main></html>";
    let (browser, _server) = browser(&[("/", page(bad))]).await;
    browser.open("/").await;
    let found = browser.axe().await;
    for rule in ["label (critical)", "image-alt (critical)"] {
        assert!(found.iter().any(|line| line.starts_with(rule)), "{rule}: {found:?}");
    }
    assert_eq!(browser.overflow().await, ["div.: wide"]);
    let keyboard = std::panic::AssertUnwindSafe(browser.keyboard_reaches_everything());
    let end = futures_util::FutureExt::catch_unwind(keyboard).await;
    assert!(end.is_err(), "a focus that is not to be seen was not found");
    browser.close().await;
}

#[tokio::test]
async fn a_text_that_was_not_escaped_is_found() {
    for text in [
        "<script>window.ran=1</script>",
        "<img src=x onerror=window.ran=1>",
        "<svg onload=window.ran=1></svg>",
        "<a href='javascript:window.ran=1'>a</a>",
        "<form action=' javascript:window.ran=1'></form>",
    ] {
        let text = format!("<!doctype html><title>Text</title><main>{text}</main>");
        let (browser, _server) = browser(&[("/", page(&text))]).await;
        browser.open("/").await;
        let found = browser.run(super::scripts::FOREIGN, &[]).await;
        assert!(!found.as_array().unwrap().is_empty(), "{text}");
        browser.console().await;
        browser.close().await;
    }
}

#[tokio::test]
async fn a_violation_of_the_security_policy_and_an_error_in_a_script_are_seen() {
    let script =
        "<!doctype html><title>Script</title><script>window.ran = 1</script><p style='color:red'>text</p>";
    let error = "<!doctype html><title>Error</title><script>throw new Error('broken')</script>";
    let policed = page(script).with_header("Content-Security-Policy", POLICY);
    let (browser, _server) = browser(&[("/", policed), ("/error", page(error))]).await;
    browser.open("/").await;
    assert!(browser.run("return window.ran ?? null", &[]).await.is_null());
    let told = browser.console().await;
    for part in ["script", "style"] {
        let told = told.iter().filter(|line| line.contains("Content Security Policy") && line.contains(part));
        assert!(told.count() >= 1, "{part}: {:?}", browser.console().await);
    }
    browser.open("/error").await;
    let told = browser.console().await;
    assert!(told.len() == 1 && told[0].contains("Error: broken"), "{told:?}");
    browser.close().await;
}
