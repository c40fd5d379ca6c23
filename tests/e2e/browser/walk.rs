//! All pages that links lead to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::Browser;

/// Where the page leads, and what its forms put into addresses.
const LEADS: &str = r#"
    const here = (url) => new URL(url, location.href);
    const links = [...document.querySelectorAll('a[href]:not([download])')].map((a) => here(a.href))
        .filter((url) => url.origin === location.origin && !/^\/api\/|\/proof$/.test(url.pathname))
        .map((url) => url.pathname + url.search);
    const asks = [...document.querySelectorAll('form')].filter((form) => form.method === 'get')
        .map((form) => [here(form.getAttribute('action') ?? '').pathname,
            [...form.elements].map((field) => field.name).filter((name) => name)]);
    return { links, asks };
"#;

/// A form that puts its fields into an address: that, and the names of the fields.
type Form = (String, Vec<String>);

/// Follows all links from `/`, to so many pages of a kind; each path that was looked at.
///
/// Addresses that differ in numbers, names and queries only are of one kind.
pub async fn walk(
    browser: &Browser,
    of_a_kind: usize,
    mut visit: impl AsyncFnMut(&str, &[Form]),
) -> BTreeSet<String> {
    let (mut waiting, mut seen) = (VecDeque::from(["/".to_owned()]), BTreeSet::new());
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(path) = waiting.pop_front() {
        let count = kinds.entry(kind(&path)).or_default();
        if *count >= of_a_kind || !seen.insert(path.clone()) {
            continue;
        }
        *count += 1;
        browser.open(&path).await;
        let leads = browser.run(LEADS, &[]).await;
        waiting.extend(texts(&leads["links"]));
        let forms = leads["asks"].as_array().unwrap().iter();
        let forms: Vec<Form> =
            forms.map(|form| (form[0].as_str().unwrap().to_owned(), texts(&form[1]))).collect();
        visit(&path, &forms).await;
    }
    seen
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// `/entries/17?page=2` is of the kind `/entries/#`.
pub fn kind(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts = path.split('/').map(|part| {
        let is_number = part.len() > 24 || part.bytes().any(|byte| byte.is_ascii_digit());
        if is_number { "#" } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
}
