use super::super::super::{Loaded, Surroundings, compile};
use super::*;
use crate::model::{Country, SubjectKey};

const RULES: &str = r#"[contractor]
id = "parcelco"
name = "ParcelCo"
service = "Shipping"
jurisdiction = "US"
contact = "privacy@parcelco.example"
canaries = ["cu-planted"]

[contractor.agreement]
reference = "DPA-1"
effective = 2026-01-01
expires = 2099-12-31

[[contractor.credential]]
id = "new"
mtls_san = "URI:spiffe://parcelco.example/new"

[[task]]
id = "deliver"
purpose = "Deliver"
basis = "contract"
[task.limits]

# One order.
[[task.route]]
path = "/orders/{id}"
upstream = "orders"
subject = "@.customer"
disclose = [
  "@.id", # its number
  "@.name",
  { path = "@.phone", transform = "mask", keep_first = 2, category = "user.contact.phone_number" }, # for the courier
  { path = "@.note", scan = ["iban"] },
  { path = "@.lines", whole = true },
]

# Told back.
[[task.route]]
path = "/orders/{id}/state"
methods = ["POST", "PUT"]
accept = ["$.state"]
upstream = "orders"
disclose = []

# A second job.
[[task]]
id = "return"
purpose = "Return"
basis = "contract"
[task.limits]
[[task.route]]
path = "/returns"
upstream = "orders"
disclose = ["$.id", "$.state"]
"#;

fn surroundings() -> Surroundings {
    Surroundings {
        jurisdiction: Country::new("US").unwrap(),
        upstreams: BTreeMap::from([("orders".to_owned(), vec!["http://127.0.0.1:9001".to_owned()])]),
        pseudonym_key: SubjectKey::new(&[0; SubjectKey::LENGTH]),
        home: ".".into(),
        documents: BTreeMap::new(),
    }
}

fn plan(sources: Vec<Arc<Source>>) -> Plan {
    let Loaded { plan, diagnostics } = compile(sources, &surroundings());
    plan.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

struct Asked {
    plan: Plan,
    fates: BTreeMap<Permission, Fate>,
}

fn ask(fates: &[(&str, &str, Fate)]) -> Asked {
    let plan = plan(vec![Source::new("rules/parcelco.toml", RULES)]);
    let all = permissions(&plan.sources[0]).unwrap();
    let find = |route: &str, path: &str| {
        let mut all = all.iter().map(|(permission, _)| permission);
        all.find(|one| one.route == route && one.path == path).unwrap().clone()
    };
    let fates = fates.iter().map(|(route, path, fate)| (find(route, path), *fate)).collect();
    Asked { plan, fates }
}

impl Asked {
    /// The new text; it compiles, and nothing is wider.
    fn after(&self) -> Decided {
        let decided = decide(source_of(&self.plan, "parcelco").unwrap(), &self.fates).unwrap();
        plan(decided.sources(&self.plan));
        let wider = |change: &Change| change.effect.needs_review();
        let changes = decided.changes(&self.plan).unwrap();
        assert!(!changes.is_empty() && !changes.iter().any(wider), "{changes:?}");
        assert!(decided.cuts.iter().all(|cut| cut.done), "{:?}", decided.cuts);
        decided
    }
}

fn changed(from: &str, to: &str) -> String {
    assert_eq!(RULES.matches(from).count(), 1, "{from}");
    RULES.replacen(from, to, 1)
}

#[test]
fn a_field_that_is_revoked_goes_with_its_line() {
    let decided = ask(&[("/orders/{id}", "@.name", Fate::Revoked)]).after();
    assert_eq!(decided.after.text, changed("  \"@.name\",\n", ""));
    let (patch, hides) = decided.patch(&Source::new("rules/parcelco.toml", RULES));
    assert!(
        patch.contains("--- parcelco.toml\n+++ parcelco.toml\n") && patch.contains("\n-  \"@.name\",\n"),
        "{patch}"
    );
    assert!(!hides);
}

#[test]
fn a_plain_field_is_reduced_to_each_transform() {
    for to in Stricter::ALL {
        let decided = ask(&[("/orders/{id}", "@.name", Fate::Reduced(to))]).after();
        let line = format!("  {{ path = \"@.name\", transform = \"{}\" }},\n", to.as_str());
        assert_eq!(decided.after.text, changed("  \"@.name\",\n", &line));
    }
}

#[test]
fn a_field_with_more_to_it_keeps_its_category_and_its_comment() {
    for (to, word) in [(Stricter::Mask, "mask"), (Stricter::Redact, "redact")] {
        let decided = ask(&[("/orders/{id}", "@.phone", Fate::Reduced(to))]).after();
        let before = "transform = \"mask\", keep_first = 2, category";
        assert_eq!(decided.after.text, changed(before, &format!("transform = \"{word}\", category")));
    }
}

#[test]
fn each_permission_can_be_reduced_to_all_that_is_offered_for_it() {
    let all = permissions(&Source::new("rules/parcelco.toml", RULES)).unwrap();
    let mut count = 0;
    for (permission, terms) in &all {
        for to in &terms.stricter {
            ask(&[(&permission.route, &permission.path, Fate::Reduced(*to))]).after();
            count += 1;
        }
    }
    assert_eq!((all.len(), count), (8, 4 * 6 + 2 + 1));
}

#[test]
fn a_route_goes_when_nothing_of_it_is_left_and_a_task_without_routes_too() {
    let decided = ask(&[("/orders/{id}/state", "", Fate::Revoked)]).after();
    let (head, rest) = RULES.split_once("# Told back.").unwrap();
    let (_, tail) = rest.split_once("# A second job.").unwrap();
    assert_eq!(decided.after.text, format!("{head}# A second job.{tail}"));

    let decided = ask(&[("/returns", "$.id", Fate::Revoked), ("/returns", "$.state", Fate::Revoked)]).after();
    assert_eq!(decided.after.text, RULES.split_once("# A second job.").unwrap().0);
    assert_eq!((decided.cuts.len(), decided.cuts[0].cut.as_str()), (1, "the task"));
}

#[test]
fn where_all_is_revoked_the_file_goes_and_the_patch_names_no_planted_customer() {
    let all = permissions(&Source::new("rules/parcelco.toml", RULES)).unwrap();
    let fates: Vec<_> = all.iter().map(|(one, _)| (&*one.route, &*one.path, Fate::Revoked)).collect();
    let asked = ask(&fates);
    let decided = decide(&asked.plan.sources[0], &asked.fates).unwrap();
    assert!(decided.is_removal && decided.sources(&asked.plan).is_empty());
    let (patch, hides) = decided.patch(&asked.plan.sources[0]);
    assert!(patch.starts_with("--- parcelco.toml\n+++ /dev/null\n@@ -1,"), "{patch}");
    assert!(hides && !patch.contains("cu-planted"), "{patch}");
}

#[test]
fn a_route_whose_requests_another_one_would_take_stays_and_is_named() {
    let text = changed("path = \"/returns\"", "path = \"/orders/all\"");
    let text = text.replacen(
        "[[task]]\nid = \"return\"\npurpose = \"Return\"\nbasis = \"contract\"\n[task.limits]\n",
        "",
        1,
    );
    let source = Source::new("rules/parcelco.toml", text.clone());
    let all = permissions(&source).unwrap().into_iter().map(|(permission, _)| permission);
    let fates = all.filter(|one| one.route == "/orders/all").map(|one| (one, Fate::Revoked)).collect();
    let decided = decide(&source, &fates).unwrap();
    assert_eq!(decided.after.text, text);
    let [cut] = &decided.cuts[..] else { panic!("{:?}", decided.cuts) };
    assert!(!cut.done && cut.why.contains("look first"), "{cut:?}");

    // It takes them only where its parameters can be what they say.
    let text = text.replacen(
        "path = \"/orders/{id}\"\n",
        "path = \"/orders/{id}\"\nparams = { id = \"[0-9]+\" }\n",
        1,
    );
    let source = Source::new("rules/parcelco.toml", text);
    let decided = decide(&source, &fates).unwrap();
    assert!(decided.cuts[0].done && !decided.after.text.contains("/orders/all"), "{:?}", decided.cuts);
}
