//! The review side without a browser: who may in, who may what, and what each of it leaves in the ledger.

mod customer;
mod doors;
mod forms;
mod provider;
mod roles;

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{CONFIG, House, RULES, SECRET, Visitor};

/// The usual house with a review side; `more` stands in its `[admin]` table.
pub async fn house_with(more: &str) -> House {
    let mut house = closed().await;
    open(&mut house, more);
    house
}

pub async fn house() -> House {
    house_with("").await
}

pub async fn closed() -> House {
    House::closed(CONFIG, &[("parcelco", RULES)]).await
}

/// Writes the `[admin]` table and opens the house.
pub fn open(house: &mut House, more: &str) {
    let text = CONFIG.replace("UPSTREAM", &house.upstream.address.to_string());
    let text = text.replace("[ledger]", &format!("[admin]\naddress = \"127.0.0.1:0\"\n{more}\n[ledger]"));
    std::fs::write(house.path("fieldgate.toml"), text).unwrap();
    house.open();
}

/// TLS with the gateway's certificate, and the contractors' authority in the place of one for the company's people.
pub const TLS: &str = "certificate = \"certs/gateway.pem\"\nkey = \"certs/gateway.key\"\n\
                       client_ca = \"certs/contractor-ca.pem\"";

/// What the gateway shows the identity provider, for its owner's eyes only.
pub fn write_secret(house: &House) {
    std::fs::create_dir(house.path("secrets")).unwrap();
    let path = house.path("secrets/oidc");
    std::fs::write(&path, SECRET).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Somebody who has signed in with a new account.
pub async fn signed_in(house: &House, name: &str, role: &str) -> Visitor {
    let password = house.account(name, role);
    let visitor = Visitor::new(house, "http", None);
    let reply = visitor.sign_in(name, &password).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/"), "{reply:?}");
    visitor
}

/// What the review side has written of what people did.
pub fn noted(house: &House, action: &str) -> Vec<Value> {
    house.entries().into_iter().filter(|entry| entry["action"] == action).collect()
}
