//! Nothing that comes from outside runs on a page, wherever it was put in: it is shown as the text that it is.

use serde_json::json;

use super::Browser;
use super::walk::walk;
use crate::review::{closed, open};
use crate::support::{Answer, House, RULES, order};

const SCRIPT: &str = "<script>window.ran=1</script>";
const IMAGE: &str = "\"'><img src=x onerror=window.ran=1>";
const LINK: &str = "javascript:window.ran=1//";
const DRAWING: &str = "</textarea></title><svg onload=window.ran=1>";

/// What is foreign in the page, or has run.
pub const FOREIGN: &str = r#"
    const found = [];
    if (window.ran !== undefined) found.push('it ran');
    for (const selector of ['script:not([src])', 'img[onerror]', 'img[src="x"]', 'svg[onload]', '[onload]', '[onclick]', '[style]'])
        for (const element of document.querySelectorAll(selector)) found.push(element.outerHTML.slice(0, 200));
    for (const element of document.querySelectorAll('[href], [src], [action], [formaction]'))
        for (const name of ['href', 'src', 'action', 'formaction'])
            if (/^\s*(javascript|data):/i.test(element.getAttribute(name) ?? '')) found.push(element.outerHTML.slice(0, 200));
    return found;
"#;

/// A house full of texts that would like to run.
async fn house() -> House {
    let rules = RULES
        .replace("name = \"ParcelCo\"", &format!("name = {}", json!(format!("ParcelCo {SCRIPT}"))))
        .replace("\"Shipping\"", &json!(format!("Shipping {IMAGE}")).to_string())
        .replace("\"DPA-1\"", &json!(LINK).to_string())
        .replace("\"Deliver the customer's parcel\"", &json!(format!("Deliver {DRAWING}")).to_string())
        .replace("\"@.order_id\",\n", "\"@.order_id\", \"@['<img src=x onerror=window.ran=1>']\",\n");
    let mut house = closed().await;
    std::fs::write(house.path("rules/parcelco.toml"), rules).unwrap();
    open(&mut house, "");
    let order = order(1, "parcelco", "ready_to_ship");
    let order =
        order.replacen('{', "{\"<img src=x onerror=window.ran=1>\":\"<script>window.ran=1</script>\",", 1);
    house.upstream.on("/orders/1", Answer::json(order));
    let client =
        house.parcelco().with("user-agent", SCRIPT).with("referer", IMAGE).with("fieldgate-task", SCRIPT);
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    assert_ne!(house.send(&client, http::Method::GET, "/orders/1", "").await.status, 200);
    let probe = "/orders?sort=%3Cscript%3Ewindow.ran=1%3C/script%3E";
    assert_eq!(house.get(&house.parcelco(), probe).await.status, 400);
    let stranger = "/%3Cscript%3Ewindow.ran=1%3C%2Fscript%3E";
    assert_ne!(house.get(&house.parcelco(), stranger).await.status, 200);
    let suspended = house.command(&["suspend", "parcelco", "--by", IMAGE, "--reason", SCRIPT]);
    assert!(suspended.status.success(), "{suspended:?}");
    house
}

/// Looks at a page for what is foreign in it.
async fn look(browser: &Browser, path: &str) {
    browser.open(path).await;
    clean(browser, path).await;
}

async fn clean(browser: &Browser, path: &str) {
    assert_eq!(browser.run(FOREIGN, &[]).await, json!([]), "{path}");
    // That a page comes with an error status is told there too, and is not of interest here.
    let told = browser.console().await;
    let told: Vec<_> = told.iter().filter(|line| !line.contains("Failed to load resource")).collect();
    assert!(told.is_empty(), "{path}: {told:?}");
}

/// Puts each text into each field of a form that leads to an address.
async fn echo(browser: &Browser, path: &str, fields: &[String]) {
    for text in [SCRIPT, IMAGE, LINK, DRAWING] {
        let text =
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let pairs: Vec<String> = fields.iter().map(|name| format!("{name}={text}")).collect();
        look(browser, &format!("{path}?{}", pairs.join("&"))).await;
        for pair in pairs {
            look(browser, &format!("{path}?{pair}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_in_what_others_write_never_runs_on_any_page() {
    let house = house().await;
    let browser = Browser::at_door(&house).await;
    let password = house.account("anna", "reviewer");
    for text in [SCRIPT, IMAGE, LINK, DRAWING] {
        let text = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        look(&browser, &format!("/sign-in?back={text}")).await;
        look(&browser, &format!("/sign-in?back=/{text}")).await;
        look(&browser, &format!("/{text}?{text}")).await;
    }
    browser.open("/").await;
    browser.sign_in("anna", &password).await;
    browser.see("Overview").await;
    let seen = walk(&browser, 2, async |path, forms| {
        clean(&browser, path).await;
        for (path, fields) in forms {
            echo(&browser, path, fields).await;
        }
    })
    .await;
    for page in
        ["/", "/alerts", "/disclosures", "/contractors", "/subject", "/reviews", "/rules", "/ledger", "/you"]
    {
        assert!(seen.contains(page), "no link leads to {page}: {seen:?}");
    }
    // The texts were there to run.
    browser.open("/rules/try").await;
    let options = browser.at("//select[@name='contractor']").await.text().await.unwrap();
    assert!(options.contains(SCRIPT), "{options}");
    browser.console().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_is_typed_in_never_runs_either() {
    let house = house().await;
    let browser = Browser::signed_in(&house, "anna", "reviewer").await;
    for text in [SCRIPT, IMAGE, DRAWING] {
        browser.open("/you").await;
        browser.fill("What it is for", &text[..text.len().min(64)]).await;
        browser.press("Make a token").await;
        browser.see("The token, shown once:").await;
        browser.see(&text[..text.len().min(64)]).await;
        clean(&browser, "/you").await;

        browser.open("/subject").await;
        browser.fill("Reason", text).await;
        browser.at("//input[@id='customer']").await.send_keys(text).await.unwrap();
        browser.press("Look up").await;
        browser.see("The reason must not name the customer").await;
        clean(&browser, "/subject").await;
        browser.fill("Reason", "another").await;
        browser.press("Look up").await;
        browser.see("Nothing was disclosed about this customer").await;
        browser.see(text).await;
        clean(&browser, "/subject").await;

        browser.open("/rules/try").await;
        browser.fill("Path that it calls", "/orders/1").await;
        let body = order(1, "parcelco", "ready_to_ship").replace("Anna Jansen", &text.replace('"', ""));
        browser.fill("What the internal API answers (JSON)", &body).await;
        browser.press("See what leaves").await;
        browser.see("The contractor gets").await;
        browser.see(&text.replace('"', "")).await;
        clean(&browser, "/rules/try").await;
    }
    // What disclosures say of it.
    browser.open("/subject").await;
    browser.fill("Reason", "request").await;
    browser.at("//input[@id='customer']").await.send_keys("c-1").await.unwrap();
    browser.press("Look up").await;
    for text in [SCRIPT, IMAGE, LINK, DRAWING, "<img src=x onerror"] {
        browser.see(text).await;
    }
    clean(&browser, "/subject").await;
    browser.close().await;
}
