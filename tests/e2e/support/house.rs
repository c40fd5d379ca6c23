//! One company: a folder with certificates, rules and ledger, an upstream, and a running gateway.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fieldgate::authority::Authority;
use fieldgate::ledger::{Log, signer, verify};
use fieldgate::transport::{ClientFiles, client_config};
use http::Method;
use tempfile::TempDir;

use super::{Arriving, Client, PLANTED, Response, StubUpstream};

/// `UPSTREAM` becomes the stub's address.
pub const CONFIG: &str = r#"
jurisdiction = "US"
[listen]
address = "127.0.0.1:0"
certificate = "certs/gateway.pem"
key = "certs/gateway.key"
client_ca = "certs/contractor-ca.pem"
[ledger]
[upstream.orders]
url = "http://UPSTREAM"
max_body = "64KiB"
timeout = "2s"
[telemetry]
log = "debug"
"#;

pub const RULES: &str = r#"
[contractor]
id = "parcelco"
name = "ParcelCo"
service = "Shipping"
jurisdiction = "NL"
contact = "privacy@parcelco.example"
[contractor.agreement]
reference = "DPA-1"
effective = 2026-01-01
expires = 2099-12-31
transfer = "scc"
[[contractor.credential]]
id = "parcelco-gateway"
mtls_san = "URI:spiffe://parcelco.example/gateway"
[[contractor.credential]]
id = "parcelco-batch"
api_key_sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" # "test"
[[task]]
id = "deliver-order"
purpose = "Deliver the customer's parcel"
basis = "contract"
[task.limits]
requests = "100000/s"
burst = 100000
[[task.route]]
path = "/orders/{order_id}"
upstream = "orders"
subject = "@.customer.id"
when = "@.carrier == 'parcelco' && @.status == 'ready_to_ship'"
disclose = [
  "@.order_id",
  "@.recipient.name",
  "@.shipping_address['street','city','postal_code','country']",
  { path = "@.recipient.phone", transform = "last4" },
]
[[task.route]]
path = "/orders"
query = ["cursor", "limit"]
upstream = "orders"
records = "$.data[*]"
subject = "@.customer.id"
when = "@.carrier == 'parcelco' && @.status == 'ready_to_ship'"
disclose = ["@.order_id", "@.recipient.name", { path = "$.next", transform = "rewrite-url" }]
[[task.route]]
path = "/orders/{order_id}/notes"
methods = ["POST"]
accept = ["$.note", "$.tags"]
upstream = "orders"
disclose = ["$.note_id"]
[[task.route]]
path = "/customers/{id}/name"
upstream = "orders"
subject = "@.id"
disclose = ["@.name", { path = "@.id", transform = "pseudonym" }]
"#;

/// Headers that a response may have (contract, section 5) and HTTP's own.
const HEADERS: [&str; 12] = [
    "content-type",
    "content-length",
    "date",
    "cache-control",
    "fieldgate-disclosure-id",
    "fieldgate-purpose",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "allow",
    "www-authenticate",
    "connection",
];

pub struct House {
    pub folder: TempDir,
    pub upstream: StubUpstream,
    gateway: Option<Gateway>,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl House {
    pub async fn new() -> House {
        House::with(CONFIG, &[("parcelco", RULES)]).await
    }

    /// A house with its own configuration and rule files.
    pub async fn with(config: &str, rules: &[(&str, &str)]) -> House {
        let mut house = House::closed(config, rules).await;
        house.open();
        house
    }

    /// All that is needed, and no gateway running yet.
    pub async fn closed(config: &str, rules: &[(&str, &str)]) -> House {
        let folder = tempfile::tempdir().unwrap();
        let upstream = StubUpstream::start().await;
        let authority = Authority::new(folder.path().join("certs"));
        authority.init(&["localhost".to_owned()]).unwrap();
        for name in ["parcelco", "helpdesk", "stranger"] {
            authority.issue_client(name, &format!("URI:spiffe://{name}.example/gateway")).unwrap();
        }
        let config = config.replace("UPSTREAM", &upstream.address.to_string());
        std::fs::write(folder.path().join("fieldgate.toml"), config).unwrap();
        std::fs::create_dir(folder.path().join("rules")).unwrap();
        for (name, text) in rules {
            std::fs::write(folder.path().join(format!("rules/{name}.toml")), text).unwrap();
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        House { folder, upstream, gateway: None, address, log: Arc::default() }
    }

    /// Starts the gateway and waits until it says that it listens.
    pub fn open(&mut self) {
        let config = self.folder.path().join("fieldgate.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.args(["serve", "--config"]).arg(config).stdin(Stdio::null());
        self.open_as(command);
    }

    /// Starts the gateway by another command line.
    pub fn open_as(&mut self, mut command: Command) {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        self.gateway = Some(Gateway(child));
        let mut before = String::new();
        self.address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the gateway did not start:\n{before}") };
            before.push_str(&line);
            before.push('\n');
            if let Some(address) = listening(&line) {
                break address;
            }
        };
        let log = Arc::clone(&self.log);
        log.lock().unwrap().push_str(&before);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                log.lock().unwrap().push_str(&line);
            }
        });
    }

    pub fn pid(&self) -> u32 {
        self.gateway.as_ref().unwrap().0.id()
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the gateway to end by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let mut gateway = self.gateway.take().unwrap();
        gateway.0.wait().unwrap()
    }

    /// Ends the gateway as `kill -9` does.
    pub fn kill(&mut self) {
        self.gateway = None;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn ledger_path(&self) -> PathBuf {
        self.path("ledger/fieldgate.db")
    }

    /// A client with the certificate of `name`, or with none.
    pub fn client(&self, name: Option<&str>) -> Client {
        let file = |name: String| self.path("certs").join(name);
        let identity = name.map(|name| (file(format!("{name}.pem")), file(format!("{name}.key"))));
        let files = ClientFiles { ca: file("company-ca.pem".into()), identity, server_name: None };
        Client::new(client_config(&files).unwrap(), self.address)
    }

    pub fn parcelco(&self) -> Client {
        self.client(Some("parcelco"))
    }

    /// A GET by a known contractor: checked, and with exactly one entry more.
    pub async fn get(&self, client: &Client, target: &str) -> Response {
        self.send(client, Method::GET, target, "").await
    }

    pub async fn send(&self, client: &Client, method: Method, target: &str, body: &str) -> Response {
        let before = self.told().len();
        let response = self.send_unknown(client, method, target, body).await;
        let entries = self.told();
        assert_eq!(entries.len(), before + 1, "one entry more for {target}: {response:?}");
        if response.status.is_success() {
            assert_eq!(entries[before]["id"], response.disclosure_id());
        }
        response
    }

    /// A request by somebody whom the ledger need not know.
    pub async fn send_unknown(&self, client: &Client, method: Method, target: &str, body: &str) -> Response {
        let response = client.try_send(method, target, body).await.unwrap();
        for (name, value) in &response.headers {
            assert!(HEADERS.contains(&name.as_str()), "{name} must not be there: {response:?}");
            assert!(!value.to_str().unwrap().contains(PLANTED), "{name}: {value:?}");
        }
        assert_eq!(response.headers["cache-control"], "no-store");
        assert!(!response.body.contains(PLANTED), "{response:?}");
        response
    }

    /// A GET whose answer may come in parts or be cut off: as much of it as there is.
    pub async fn receive(&self, client: &Client, target: &str) -> Arriving {
        let response = client.begin(Method::GET, target).await.until_end().await;
        self.check(&response);
        response
    }

    /// What holds for every response, whole or not.
    pub fn check(&self, response: &Arriving) {
        for (name, value) in &response.headers {
            let allowed = HEADERS.contains(&name.as_str()) || name == "transfer-encoding";
            assert!(allowed && !value.to_str().unwrap().contains(PLANTED), "{name}: {value:?}");
        }
        assert_eq!(response.headers["cache-control"], "no-store");
        let text = response.text();
        assert!(!text.contains(PLANTED), "{:?} in {:?}", text.find(PLANTED), response.headers);
    }

    /// The entries of one request.
    pub fn entries_of(&self, id: &str) -> Vec<serde_json::Value> {
        self.entries().into_iter().filter(|entry| entry["id"] == id).collect()
    }

    /// Waits until the log holds a text.
    pub async fn logged(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < Duration::from_secs(40), "no {text} in {}", self.log());
            // Not in a hurry: what is waited for needs the processor.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Runs curl over HTTP/2 with ParcelCo's certificate.
    pub async fn curl(&self, arguments: &[&str]) -> Output {
        let file = |name: &str| self.path("certs").join(name).display().to_string();
        tokio::process::Command::new("curl")
            .args(["--http2", "-sS", "--cacert", &file("company-ca.pem")])
            .args(["--cert", &file("parcelco.pem"), "--key", &file("parcelco.key")])
            .args(arguments)
            .output()
            .await
            .unwrap()
    }

    /// All entries; each is checked to be intact and in its place.
    pub fn entries(&self) -> Vec<serde_json::Value> {
        entries_at(&self.ledger_path())
    }

    /// All entries but signals, which come behind the requests.
    pub fn told(&self) -> Vec<serde_json::Value> {
        let mut entries = self.entries();
        entries.retain(|entry| entry["kind"] != "signal");
        entries
    }

    /// The gateway's process.
    pub fn process(&self) -> u32 {
        self.gateway.as_ref().unwrap().0.id()
    }

    /// Waits until the ledger's archive has all entries, and so is at rest.
    pub async fn rest(&self) {
        let began = Instant::now();
        while Log::open(&self.ledger_path()).unwrap().archived() < self.entries().len() as u64 {
            assert!(began.elapsed() < Duration::from_secs(20), "no head");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a command about the ledger.
    pub fn ledger(&self, arguments: &[&str]) -> Output {
        self.command(&[&["ledger"], arguments].concat())
    }

    /// Runs a command that reads the configuration.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.args(arguments).arg("--config").arg(self.path("fieldgate.toml")).output().unwrap()
    }

    /// Runs `fieldgate certs`.
    pub fn certs(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.arg("certs").args(arguments).arg("--dir").arg(self.path("certs")).output().unwrap()
    }

    /// Every entry, every hash and the signed head are right.
    pub fn verify(&self) {
        let signer = signer(&self.path("ledger/signing.key"), None).unwrap();
        let report = verify(&self.ledger_path(), signer.verifier(), None, &mut |_, _| {}).unwrap();
        assert!(report.is_clean(), "{report:?}");
    }

    /// Where the review side listens.
    pub fn admin(&self) -> SocketAddr {
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains("admin side")).expect("there is a review side");
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// Makes an account of the review side; its password.
    pub fn account(&self, name: &str, role: &str) -> String {
        let output = self.command(&["admin", "add", name, "--role", role, "--by", "test"]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_once("shown once: ").unwrap().1.trim().to_owned()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Ends the gateway, verifies its ledger, and looks for the planted word in all that it wrote.
    pub fn assert_clean(mut self) {
        self.signal("-TERM");
        assert!(self.wait().success());
        self.verify();
        assert!(!self.log().contains(PLANTED), "{}", self.log());
        for path in files_below(&self.path("ledger")) {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

/// All entries of the ledger at `path`.
pub fn entries_at(path: &Path) -> Vec<serde_json::Value> {
    let log = Log::open(path).unwrap();
    let entries = (0..log.size()).map(|position| {
        let leaf = log.entry(position).unwrap().expect("no gap");
        let entry: serde_json::Value = serde_json::from_slice(&leaf).unwrap();
        assert_eq!(entry["index"], position);
        entry
    });
    entries.collect()
}

/// All files of a folder and of those in it.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] });
    files.filter(|path| path.is_file()).collect()
}

fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["message"] == "listening").then(|| line["address"].as_str().unwrap().parse().unwrap())
}
