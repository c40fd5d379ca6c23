use serde_json::{Value, json};

use super::super::Form;
use super::super::tests::{READ, REFUSED, SIGNAL, STARTED, export};

fn event(number: u64, leaf: Option<&str>) -> Value {
    let line = export(Form::Ocsf, &[(number, leaf)]);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    serde_json::from_slice(&line).unwrap()
}

fn of_kind(kind: &str) -> Value {
    let leaf = json!({
        "kind": kind, "id": "01b1", "time": 1_795_610_914_154_869_i64, "rules": "36d5", "by": "auditor",
        "action": "export", "reason": "yearly audit",
    });
    event(9, Some(&leaf.to_string()))
}

#[test]
fn a_disclosure_is_api_activity_with_its_required_attributes() {
    let mut event = event(6, Some(READ));
    event.as_object_mut().unwrap().remove("unmapped");
    let expected = json!({
        "activity_id": 2, "activity_name": "Read", "category_uid": 6, "class_uid": 6003,
        "class_name": "API Activity", "type_uid": 600_302, "severity_id": 1, "time": 1_795_610_927_181_i64,
        "message": "GET /tickets/{ticket_id}: disclosed",
        "metadata": {
            "version": "1.3.0",
            "product": {
                "name": "fieldgate", "vendor_name": "fieldgate", "version": env!("CARGO_PKG_VERSION"),
            },
            "uid": "01a2.6", "correlation_uid": "01a2", "sequence": 6,
            "original_time": "2026-11-25T12:48:47.181632Z",
        },
        "status_id": 1, "status": "Success", "status_code": "200", "status_detail": "disclosed",
        "actor": { "user": {
            "name": "helpdesk", "type_id": 99, "type": "Contractor", "credential_uid": "helpdesk-desk",
        } },
        "api": {
            "operation": "GET /tickets/{ticket_id}", "request": { "uid": "01a2" },
            "response": { "code": 200 }, "service": { "name": "support" },
        },
        "src_endpoint": { "name": "helpdesk" },
        "http_request": { "http_method": "GET", "url": { "path": "/tickets/{ticket_id}" } },
    });
    assert_eq!(event, expected);
}

#[test]
fn what_ocsf_has_no_name_for_is_unmapped() {
    let expected = json!({
        "kind": "disclosure", "contractor_sequence": 1, "contractor": "helpdesk", "rules": "36d5",
        "task": "answer-ticket", "purpose": "Answer, quickly", "basis": "contract",
        "agreement": "DPA-31", "from_country": "US", "to_country": "IE", "transfer": "scc",
        "bytes": 307, "records": { "released": 3, "withheld": 2, "without_subject": 0 },
        "members_withheld": 6,
        "fields": [
            { "path": "@['id','status']", "disclosed": 4, "withheld": 0, "drifted": 0 },
            {
                "path": "@.customer.phone", "transform": "mask",
                "disclosed": 3, "withheld": 1, "drifted": 0,
            },
            { "path": "$.total", "disclosed": 1, "withheld": 0, "drifted": 0 },
        ],
        "subjects_total": 3,
    });
    assert_eq!(event(6, Some(READ))["unmapped"], expected);
}

#[test]
fn a_refusal_is_the_same_with_status_failure() {
    let event = event(7, Some(REFUSED));
    assert_eq!((&event["class_uid"], &event["activity_id"]), (&json!(6003), &json!(2)));
    assert_eq!((&event["status_id"], &event["status"]), (&json!(2), &json!("Failure")));
    assert_eq!((&event["status_code"], &event["status_detail"]), (&json!("404"), &json!("not-found")));
    assert_eq!(event["api"]["operation"], "GET");
    assert_eq!(event["api"]["response"], json!({ "code": 404, "error": "not-found" }));
    assert_eq!(event["http_request"], json!({ "http_method": "GET" }));
}

#[test]
fn a_signal_is_a_new_detection_finding() {
    let event = event(8, Some(SIGNAL));
    for (name, value) in [
        ("category_uid", json!(2)),
        ("class_uid", json!(2004)),
        ("type_uid", json!(200_401)),
        ("severity_id", json!(3)),
        ("status_id", json!(1)),
        ("status", json!("New")),
        ("message", json!("enumeration: numbers 20, pattern sequential, step 1")),
        (
            "finding_info",
            json!({
                "title": "enumeration", "uid": "01a4",
                "related_events": [{ "uid": "01a2" }, { "uid": "01a3" }],
            }),
        ),
        (
            "unmapped",
            json!({
                "kind": "signal", "contractor_sequence": 3, "contractor": "helpdesk",
                "credential": "helpdesk-desk", "task": "answer-ticket", "route": "/tickets/{ticket_id}",
                "details": { "pattern": "sequential", "numbers": 20, "step": 1 },
            }),
        ),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    let canary = SIGNAL.replace("enumeration", "canary");
    assert_eq!(self::event(8, Some(&canary))["severity_id"], 4);
}

#[test]
fn the_activity_follows_from_the_method() {
    for (method, id) in
        [("POST", 1), ("GET", 2), ("HEAD", 2), ("PUT", 3), ("PATCH", 3), ("DELETE", 4), ("OPTIONS", 99)]
    {
        let leaf = READ.replace("\"GET\"", &format!("\"{method}\""));
        let event = event(6, Some(&leaf));
        assert_eq!(event["activity_id"], id, "{method}");
        assert_eq!(event["type_uid"], 600_300 + id, "{method}");
    }
    assert_eq!(event(6, Some(&READ.replace("\"GET\"", "\"OPTIONS\"")))["activity_name"], "OPTIONS");
}

#[test]
fn each_kind_has_a_class() {
    for (kind, type_uid, name) in [
        ("started", 600_203, "Start"),
        ("rules", 300_410, "Activate"),
        ("access", 600_302, "Read"),
        ("prune", 600_304, "Delete"),
        ("key", 600_399, "key"),
        ("hold", 600_399, "hold"),
        ("suspension", 600_399, "suspension"),
        ("subjects", 600_399, "subjects"),
        ("something-new", 600_399, "something-new"),
    ] {
        let event = of_kind(kind);
        assert_eq!(event["type_uid"], type_uid, "{kind}");
        assert_eq!(event["activity_name"], name, "{kind}");
        assert_eq!(event["status_id"], 1, "{kind}");
        assert_eq!(event["unmapped"]["kind"], kind);
    }
}

#[test]
fn the_ledgers_own_use_names_who_and_what() {
    let event = of_kind("access");
    assert_eq!(event["actor"]["user"]["name"], "auditor");
    assert_eq!(event["api"]["operation"], "export");
    assert_eq!(event["src_endpoint"]["name"], "fieldgate");
    assert_eq!(event["unmapped"]["reason"], "yearly audit");
    assert_eq!(event.get("http_request"), None);
}

#[test]
fn rules_are_an_entity_and_a_start_is_of_an_application() {
    let rules = of_kind("rules");
    assert_eq!(rules["category_uid"], 3);
    assert_eq!((&rules["entity"]["type_id"], &rules["entity"]["uid"]), (&json!(5), &json!("36d5")));
    let started = event(0, Some(STARTED));
    assert_eq!(started["app"], json!({ "name": "fieldgate", "vendor_name": "fieldgate" }));
    assert_eq!(started.get("src_endpoint"), None);
}

#[test]
fn a_pruned_entry_is_a_base_event_of_no_known_activity_or_time() {
    let event = event(5, None);
    for name in ["category_uid", "class_uid", "activity_id", "type_uid", "time", "status_id"] {
        assert_eq!(event[name], 0, "{name}");
    }
    assert_eq!((&event["status_detail"], &event["metadata"]["sequence"]), (&json!("pruned"), &json!(5)));
    assert_eq!(event["metadata"].get("original_time"), None);
    assert_eq!(event["metadata"].get("uid"), None);
}

#[test]
fn names_of_subjects_are_left_out() {
    assert!(!event(6, Some(READ)).to_string().contains("c3e6"));
}
