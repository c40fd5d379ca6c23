//! The log between the nodes: where it is away, does not answer, is not what it was, or is somebody else's.

use std::os::unix::fs::PermissionsExt;

use fieldgate::admin::{Role, Store};
use fieldgate::ledger::pseudonym_key;
use serde_json::json;
use tokio::net::UdpSocket;

use crate::support::postgres::Wire;

use super::*;

fn mute(reason: &str) -> Value {
    json!({ "signal": "off-hours", "contractor": "", "until": in_days(3), "reason": reason })
}

/// Nothing is decided without the database, and what there is can be read; that it is away goes out all the same.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_pages_are_shown_and_nothing_is_decided() {
    let mut postgres = start();
    let outlet = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = outlet.local_addr().unwrap().port();
    let syslog = format!("[admin.syslog]\naddress = \"udp://127.0.0.1:{port}\"\n");
    let mut house = closed(&postgres, postgres.port, 0, &syslog).await;
    open(&mut house);
    let password = account(&house, "anna", "reviewer");
    let anna = signed_in(&house, "anna", &password).await;
    let begun = send(&anna, "/api/v1/reviews", &json!({ "contractor": "parcelco" })).await;
    let target = format!("/api/v1/reviews/{}", begun.json()["id"]);
    let one = anna.get(&target).await.json();
    let item = one["tasks"][0]["items"][0]["id"].clone();
    let before = dump(&house.ledger_path());
    let decide = json!({ "decisions": [{ "item": item, "decision": "keep" }] });
    let decisions = format!("{target}/decisions");

    tokio::task::block_in_place(|| postgres.end());
    let refused = send(&anna, &decisions, &decide).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    let problem = refused.json();
    assert!(problem["detail"].as_str().unwrap().contains("nothing was changed"), "{problem}");
    // What is written to the ledger first, is refused by that.
    assert_eq!(send(&anna, "/api/v1/alerts/mutes", &mute("x")).await.status, 503);
    assert_eq!(Visitor::new(&house, "http", None).sign_in("anna", &password).await.status, 503);
    for page in ["/", "/alerts", "/reviews", target.as_str(), "/you"] {
        let began = Instant::now();
        assert_eq!(anna.get(page).await.status, 200, "{page}");
        assert!(began.elapsed() < SECOND * 5, "{page}: {:?}", began.elapsed());
    }
    assert_eq!(anna.get(&target).await.json()["kept"], 0);
    assert_eq!(dump(&house.ledger_path()), before);
    let mut buffer = [0; 2048];
    let receiving = tokio::time::timeout(Duration::from_secs(20), outlet.recv(&mut buffer));
    let size = receiving.await.expect("the outlet has it").unwrap();
    let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
    assert!(text.contains("ledger-unwritable") && text.contains("node-0"), "{text}");

    tokio::task::block_in_place(|| postgres.begin());
    let is_over = |reply: &Reply| {
        let list = reply.json();
        let alert = &list["alerts"][0];
        alert["signal"] == "ledger-unwritable" && alert["over"].is_number()
    };
    until(&anna, "/api/v1/alerts", Duration::from_secs(40), is_over).await;
    let began = Instant::now();
    while send(&anna, &decisions, &decide).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing is decided");
    }
    assert_eq!(anna.get(&target).await.json()["kept"], 1);

    // A server that stands still holds no page up, not even while something waits to be decided.
    postgres.hold(true);
    let began = Instant::now();
    let deciding = async {
        let reply = send(&anna, &decisions, &decide).await;
        (reply, began.elapsed())
    };
    let reading = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let reply = anna.get("/alerts").await;
        (reply.status, began.elapsed())
    };
    let ((decided, waited), (status, read)) = tokio::join!(deciding, reading);
    postgres.hold(false);
    assert_eq!((decided.status.as_u16(), status.as_u16()), (503, 200), "{decided:?}");
    println!("the page came after {read:?}, the refusal after {waited:?}");
    assert!(read < SECOND * 2 && read < waited);
    tokio::time::sleep(SECOND).await;
    assert_alike(&postgres, std::slice::from_ref(&house)).await;
    house.assert_clean();
}

/// The database has taken it and its word does not arrive: it is found, and said once.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_whose_answer_is_lost_is_found_and_not_made_twice() {
    let postgres = start();
    let wire = Wire::to(postgres.port).await;
    let mut house = closed(&postgres, wire.address.port(), 0, "").await;
    open(&mut house);
    let password = account(&house, "anna", "reviewer");
    let anna = signed_in(&house, "anna", &password).await;
    let deciding = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        send(&anna, "/api/v1/alerts/mutes", &mute("Said once.")).await
    };
    let cutting = async {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        wire.deafen(true);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let sql = "SELECT count(*) FROM fieldgate.desk WHERE body LIKE '%Said once.%'";
        let count = tokio::task::block_in_place(|| postgres.sql("fieldgate", sql));
        wire.deafen(false);
        count
    };
    let (reply, count) = std::thread::scope(|scope| {
        scope.spawn(|| postgres.sql("fieldgate", "SELECT pg_advisory_lock(7013490003), pg_sleep(2)"));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async { tokio::join!(deciding, cutting) })
        })
    });
    assert_eq!(count, "1", "the database has it while nothing is heard");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["number"], 1);
    let mutes = anna.get("/api/v1/alerts").await.json()["mutes"].clone();
    assert_eq!(mutes.as_array().unwrap().len(), 1, "{mutes}");
    let sql = "SELECT count(*) FROM fieldgate.desk WHERE body LIKE '%Said once.%'";
    assert_eq!(postgres.sql("fieldgate", sql), "1");
    assert_alike(&postgres, std::slice::from_ref(&house)).await;
}

/// A replica that is lost is made anew; what a gateway had before becomes the fleet's, or is set aside.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_made_anew_and_what_was_there_before_the_fleet_is_not_lost() {
    let postgres = start();
    let mut nodes = Vec::new();
    for number in 0..2 {
        let house = closed(&postgres, postgres.port, number, "").await;
        std::fs::create_dir_all(house.path("ledger")).unwrap();
        std::fs::set_permissions(house.path("ledger"), std::fs::Permissions::from_mode(0o700)).unwrap();
        // Of a time when it was on its own.
        let own = Store::open(&house.ledger_path()).unwrap();
        let password = format!("of the years before {number}");
        own.add_account(&format!("account-{number}"), Role::Auditor, Some(&password), None).unwrap();
        own.add_account("both", Role::Operator, Some(&password), None).unwrap();
        nodes.push(house);
    }
    open(&mut nodes[0]);
    share_keys(&nodes[0], &nodes[1]);
    open(&mut nodes[1]);
    for house in &nodes {
        let list = told(house, &["admin", "list", "--format", "json"]);
        assert!(list.contains("account-0") && !list.contains("account-1"), "{list}");
        signed_in(house, "both", "of the years before 0").await;
    }
    let aside = nodes[1].path("ledger/fieldgate.review.before-fleet");
    assert_eq!(std::fs::metadata(&aside).unwrap().permissions().mode() & 0o777, 0o600);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let kept = Connection::open_with_flags(&aside, flags).unwrap();
    let names: String = kept
        .query_row("SELECT group_concat(name, ' ' ORDER BY name) FROM account", [], |row| row.get(0))
        .unwrap();
    assert_eq!(names, "account-1 both");
    assert!(nodes[1].log().contains("is set aside") && !nodes[0].log().contains("is set aside"));
    assert_alike(&postgres, &nodes).await;

    nodes[1].kill();
    for file in ["fieldgate.review", "fieldgate.review-wal", "fieldgate.review-shm"] {
        let _ = std::fs::remove_file(nodes[1].path("ledger").join(file));
    }
    told(&nodes[0], &["admin", "add", "carla", "--role", "auditor", "--by", "test"]);
    open(&mut nodes[1]);
    assert!(told(&nodes[1], &["admin", "list"]).contains("carla"));
    signed_in(&nodes[1], "both", "of the years before 0").await;
    assert_alike(&postgres, &nodes).await;
    nodes.into_iter().for_each(House::assert_clean);
}

/// Adds an entry as the database's administrator could.
fn forge(postgres: &Postgres, body: &Value, seal: impl Fn(&[u8], u64, &str) -> [u8; 16]) -> u64 {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
    };
    let last = "SELECT number || ' ' || encode(seal, 'hex') FROM fieldgate.desk ORDER BY number DESC LIMIT 1";
    let last = postgres.sql("fieldgate", last);
    let (number, before) = last.split_once(' ').unwrap();
    let (number, body) = (number.parse::<u64>().unwrap() + 1, body.to_string());
    let seal: String = seal(&hex(before), number, &body).iter().map(|byte| format!("{byte:02x}")).collect();
    let sql = format!(
        "INSERT INTO fieldgate.desk (number, node, body, seal) VALUES ({number}, 1, $b${body}$b$, decode('{seal}', 'hex'))"
    );
    postgres.sql("fieldgate", &sql);
    number
}

/// Who has the database alone gets nothing run at a node; what another program wrote is refused; so is an older copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_the_fleets_own_is_not_run() {
    let postgres = start();
    let mut nodes = fleet(&postgres, 1).await;
    let password = account(&nodes[0], "anna", "operator");
    let anna = signed_in(&nodes[0], "anna", &password).await;
    let key =
        pseudonym_key(&nodes[0].path("ledger/pseudonym.key"), &nodes[0].path("ledger/subject.key")).unwrap();
    let sealed = |before: &[u8], number: u64, body: &str| {
        key.desk_seal(&[before, &number.to_be_bytes(), body.as_bytes()])
    };
    let refusal = async |house: &House, why: &str| {
        let refused = send(&anna, "/api/v1/alerts/mutes", &mute("x")).await;
        assert_eq!(refused.status, 503, "{refused:?}");
        house.logged(why).await;
    };
    let role = json!({ "id": "x", "run": [["account-role", ["anna", "reviewer", 1]]] });
    let number = forge(&postgres, &role, |_, _, _| [7; 16]);
    refusal(&nodes[0], "was written by no node of this fleet").await;
    assert!(anna.get("/you").await.body.contains("operator"));
    let remove = format!("DELETE FROM fieldgate.desk WHERE number = {number}");
    postgres.sql("fieldgate", &remove);

    let unknown =
        json!({ "id": "x", "run": [["account-role", ["anna", "reviewer", 1]], ["DELETE FROM account", []]] });
    assert_eq!(forge(&postgres, &unknown, sealed), number);
    refusal(&nodes[0], "is not understood (DELETE FROM account)").await;
    // Nothing of the entry is run.
    assert!(anna.get("/you").await.body.contains("operator"));
    // Nor by a node that starts: contractors are served, and the review side is not.
    nodes[0].kill();
    open(&mut nodes[0]);
    nodes[0].logged("the review side does not start").await;
    let served = nodes[0].parcelco().try_send(Method::GET, "/orders/1", "").await.unwrap();
    assert_eq!(served.status, 200);
    postgres.sql("fieldgate", &remove);

    // What a node could have written is run: the refusals were not for another reason.
    nodes[0].kill();
    assert_eq!(forge(&postgres, &role, sealed), number);
    open(&mut nodes[0]);
    let bert = account(&nodes[0], "bert", "auditor");
    let anna = signed_in(&nodes[0], "anna", &password).await;
    assert!(anna.get("/you").await.body.contains("reviewer"));
    let _ = signed_in(&nodes[0], "bert", &bert).await;

    // An older copy of the log.
    let last = "DELETE FROM fieldgate.desk WHERE number = (SELECT max(number) FROM fieldgate.desk)";
    postgres.sql("fieldgate", last);
    let refused = send(&anna, "/api/v1/alerts/mutes", &mute("x")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    nodes[0].logged("an older copy was put back").await;
    // And one that was written on.
    forge(&postgres, &role, sealed);
    let refused = send(&anna, "/api/v1/alerts/mutes", &mute("x")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    nodes[0].logged("is another one than this node knows").await;
}
