//! The first page: one look says whether something needs somebody.

use serde_json::{Value, json};

use super::contractors::{counted, seen};
use super::{house, signed_in};

fn concerns(overview: &Value) -> Vec<(&str, &str)> {
    let all = overview["concerns"].as_array().unwrap().iter();
    all.map(|one| (one["gravity"].as_str().unwrap(), one["what"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn where_all_is_well_it_says_so_and_counts_today() {
    let house = seen().await;
    let visitor = signed_in(&house, "anna", "operator").await;
    let has_counted =
        |all: &Value| all["contractors"][0]["refusals"] == 1 && all["contractors"][0]["disclosures"] == 2;
    let overview = counted(&visitor, "/api/v1/overview", has_counted).await;
    assert_eq!(concerns(&overview), [], "{overview}");
    let today = &overview["contractors"][0];
    assert_eq!(
        (&today["customers"], &today["usual"], &today["usual_refusals"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!(overview["refusals"], json!([{ "contractor": "parcelco", "code": "not-found", "count": 1 }]));
    assert_eq!(overview["hours"].as_array().unwrap().len(), 24);
    assert_eq!(overview["hours"][23]["disclosures"], 2, "{overview}");
    let page = visitor.get("/").await.body;
    assert!(page.contains("Nothing needs you") && page.contains("<svg class=\"chart bars\""), "{page}");
    assert!(page.contains("outcome=not-found") && !page.contains("still to come"), "{page}");
    house.assert_clean();
}

#[tokio::test]
async fn what_is_wrong_comes_first_the_gravest_before_all() {
    let house = house().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    assert!(house.command(&["suspend", "parcelco", "--by", "otto"]).status.success());
    std::fs::write(house.path("rules/parcelco.toml"), "[contractor]\n").unwrap();
    let overview = counted(&visitor, "/api/v1/overview", |all| concerns(all).len() == 2).await;
    assert_eq!(
        concerns(&overview),
        [("bad", "Rule files were changed and cannot be taken in"), ("warn", "ParcelCo is suspended")]
    );
    let page = visitor.get("/").await.body;
    assert!(page.contains("2 things need you") && page.contains("href=\"/contractors/parcelco\""), "{page}");
}
