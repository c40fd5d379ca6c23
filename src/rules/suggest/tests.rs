use std::collections::BTreeMap;

use super::*;

/// What was used of a rule file.
struct Used(Observed);

impl Used {
    fn new(credentials: &[&str]) -> Used {
        let credentials = credentials.iter().map(|id| (*id).to_owned()).collect();
        Used(Observed { entries: 1, credentials, ..Observed::default() })
    }

    fn route(mut self, task: &str, route: &str, fields: &[&str]) -> Used {
        let fields: BTreeMap<String, u64> = fields.iter().map(|path| ((*path).to_owned(), 1)).collect();
        let task = self.0.tasks.entry(task.to_owned()).or_default();
        task.routes.insert(("GET".to_owned(), route.to_owned()), RouteUse { answers: 7, fields });
        self
    }

    fn suggest(self, text: &str) -> Suggestion {
        suggest(&Source::new("rules/parcelco.toml", text.to_owned()), |_| self.0).unwrap()
    }
}

const RULES: &str = r#"# What ParcelCo may see.
[contractor]
id = "parcelco"
name = "ParcelCo"
service = "Shipping"
jurisdiction = "US"
contact = "privacy@parcelco.example"
[contractor.agreement]
reference = "DPA-1"
effective = 2026-01-01
expires = 2027-12-31

# The old one.
[[contractor.credential]]
id = "old"
mtls_san = "URI:spiffe://parcelco.example/old"

[[contractor.credential]]
id = "new"
mtls_san = "URI:spiffe://parcelco.example/new"

[[task]]
id = "deliver" # the parcel
purpose = "Deliver"
basis = "contract"

[task.limits]
requests = "500/s" # per credential
subjects_per_day = 20_000

# One order.
[[task.route]]
path = "/orders/{id}"
upstream = "orders"
subject = "@.customer"
disclose = [
  "@.id", # its number
  "@.name",
  { path = "@.phone", transform = "last4" }, # for the courier
]

# All orders.
[[task.route]]
path = "/orders"
upstream = "orders"
records = "$.data[*]"
subject = "@.customer"
disclose = ["@.id", "@.name", "$.next"]
[task.route.params]

# A second job.
[[task]]
id = "return"
purpose = "Return"
basis = "contract"
[[task.route]]
path = "/returns"
upstream = "orders"
disclose = ["$.id"]
"#;

fn everything() -> Used {
    Used::new(&["old", "new"])
        .route("deliver", "/orders/{id}", &["@.id", "@.name", "@.phone"])
        .route("deliver", "/orders", &["@.id", "@.name", "$.next"])
        .route("return", "/returns", &["$.id"])
}

fn without(text: &str, gone: &[&str]) -> String {
    gone.iter().fold(text.to_owned(), |text, part| {
        assert_eq!(text.matches(part).count(), 1, "{part}");
        text.replacen(part, "", 1)
    })
}

#[test]
fn rules_that_are_used_stay_to_the_byte() {
    let suggestion = everything().suggest(RULES);
    assert_eq!((suggestion.cuts, suggestion.after.as_str()), (vec![], RULES));
}

#[test]
fn what_nobody_used_goes_with_its_comment_and_the_rest_stays_to_the_byte() {
    let used = Used::new(&["new"]).route("deliver", "/orders/{id}", &["@.id"]);
    let suggestion = used.suggest(RULES);
    let (credential, rest) = RULES.split_once("# The old one.").unwrap();
    let (_, rest) = rest.split_once("[[contractor.credential]]\nid = \"new\"").unwrap();
    let (rest, _) = rest.split_once("# All orders.").unwrap();
    let expected = format!("{credential}[[contractor.credential]]\nid = \"new\"{rest}");
    let phone = "  { path = \"@.phone\", transform = \"last4\" }, # for the courier\n";
    assert_eq!(suggestion.after, without(&expected, &["  \"@.name\",\n", phone]));
    let cuts: Vec<(Option<&str>, &str, bool)> =
        suggestion.cuts.iter().map(|cut| (cut.route.as_deref(), cut.cut.as_str(), cut.done)).collect();
    let expected = [
        (None, "the credential old", true),
        (Some("/orders/{id}"), "\"@.name\"", true),
        (Some("/orders/{id}"), "\"@.phone\"", true),
        (Some("/orders"), "the route", true),
        (None, "the task", true),
    ];
    assert_eq!(cuts, expected);
    assert_eq!(suggestion.cuts[1].why, "in 7 answers it was never disclosed");
}

#[test]
fn fields_of_one_line_go_from_its_beginning_middle_and_end() {
    let all = ["@.id", "@.name", "$.next"];
    for kept in 0..8usize {
        let fields: Vec<&str> = (0..3).filter(|at| kept >> at & 1 == 1).map(|at| all[at]).collect();
        let mut used = everything().route("deliver", "/orders", &fields);
        used.0.entries = 1;
        let suggestion = used.suggest(RULES);
        assert_eq!(suggestion.cuts.len(), 3 - fields.len());
        assert!(suggestion.cuts.iter().all(|cut| cut.done), "{}", suggestion.after);
        let line = suggestion
            .after
            .lines()
            .filter(|line| line.starts_with("disclose = [\"") || *line == "disclose = []");
        let list: Vec<String> = fields.iter().map(|path| format!("\"{path}\"")).collect();
        let line = line.map(|line| line.replace(", ]", "]")).next().unwrap();
        assert_eq!(line, format!("disclose = [{}]", list.join(", ")));
    }
}

#[test]
fn limits_come_down_to_twice_their_use_where_they_are_far_above() {
    let with = |requests: u64, subjects: u64| {
        let mut used = everything();
        used.0.most_subjects = subjects;
        used.0.tasks.get_mut("deliver").unwrap().most_requests = BTreeMap::from([(1, requests)]);
        used.suggest(RULES)
    };
    let far = with(7, 1234);
    assert!(
        far.after.contains("requests = \"14/s\" # per credential\nsubjects_per_day = 2500\n"),
        "{}",
        far.after
    );
    assert_eq!(far.cuts[0].cut, "requests = \"14/s\" instead of \"500/s\"");
    // The task without limits has the default one, and nothing that a line of it could be changed in.
    let [_, _, unwritten] = &far.cuts[..] else { panic!("{:?}", far.cuts) };
    assert_eq!((unwritten.task.as_deref(), unwritten.done), (Some("return"), false));
    assert_eq!(with(126, 0).cuts, [], "252 is not far below 500");
    assert_eq!(with(0, 0).cuts, [], "nothing is known");
}

#[test]
fn a_contractor_that_was_served_nothing_is_named_and_its_file_stays() {
    let suggestion = Used::new(&[]).suggest(RULES);
    let [cut] = &suggestion.cuts[..] else { panic!("{:?}", suggestion.cuts) };
    assert!(!cut.done && cut.cut.contains("fieldgate suspend parcelco"), "{cut:?}");
    assert_eq!(suggestion.after, RULES);
}

#[test]
fn where_nothing_was_disclosed_nothing_is_known_of_fields() {
    let mut used = everything().route("return", "/returns", &[]);
    let route = ("GET".to_owned(), "/returns".to_owned());
    used.0.tasks.get_mut("return").unwrap().routes.get_mut(&route).unwrap().answers = 0;
    assert_eq!(used.suggest(RULES).cuts, []);
}

#[test]
fn what_is_written_without_headers_is_left_to_its_author() {
    let head = &RULES[..RULES.find("[[task]]").unwrap()];
    let text = format!(
        "{}{head}",
        "task = [{ id = \"deliver\", purpose = \"Deliver\", basis = \"contract\", route = [\
        { path = \"/orders\", upstream = \"orders\", disclose = [\"$.id\"] },\
        { path = \"/returns\", upstream = \"orders\", disclose = [\"$.id\", \"$.name\"] }] }]\n"
    );
    let suggestion = Used::new(&["old", "new"]).route("deliver", "/returns", &["$.id"]).suggest(&text);
    let [route, field] = &suggestion.cuts[..] else { panic!("{:?}", suggestion.cuts) };
    assert_eq!((route.done, field.done), (false, true));
    assert_eq!(suggestion.after, text.replace(", \"$.name\"", ""));
}

#[test]
fn a_route_whose_requests_another_one_would_take_is_left_to_be_cut_by_hand() {
    let text = RULES.replace("path = \"/orders\"\n", "path = \"/orders/open\"\n");
    let used = Used::new(&["old", "new"]).route("deliver", "/orders/{id}", &["@.id", "@.name"]).route(
        "return",
        "/returns",
        &["$.id"],
    );
    let suggestion = used.suggest(&text);
    let [phone, route] = &suggestion.cuts[..] else { panic!("{:?}", suggestion.cuts) };
    assert!(phone.done && !route.done);
    assert_eq!(
        route.why,
        "it was not used; but look first: the route is gone; /orders/{id} takes its requests now"
    );
    let line = "  { path = \"@.phone\", transform = \"last4\" }, # for the courier\n";
    assert_eq!(suggestion.after, without(&text, &[line]));
}
