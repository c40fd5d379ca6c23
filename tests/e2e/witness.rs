//! Witnesses: the ledger's heads are cosigned by other processes, and what they contradict does not start.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fieldgate::ledger::{Note, Verifier, cosigner, signer};
use tempfile::TempDir;

use crate::support::{Answer, CONFIG, Client, House, RULES, order};

/// Far more than any of these tests should need.
const PATIENCE: Duration = Duration::from_secs(20);

/// `fieldgate witness`, running.
struct Witness {
    folder: TempDir,
    arguments: Vec<String>,
    key: String,
    address: SocketAddr,
    process: Mutex<Option<Child>>,
}

impl Witness {
    /// A witness that follows one log.
    fn start(log: &str, more: &[&str]) -> Witness {
        let arguments = [&["--log", log], more].concat().into_iter().map(str::to_owned).collect();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = tempfile::tempdir().unwrap();
        let mut witness =
            Witness { folder, arguments, key: String::new(), address, process: Mutex::new(None) };
        (witness.key, witness.address) = witness.run();
        witness
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.args(["witness", "--name", "witness.example/w1", "--listen", &self.address.to_string()]);
        command.arg("--key").arg(self.path("witness.key")).arg("--state").arg(self.path("state"));
        command.args(&self.arguments);
        command
    }

    /// Starts it and waits until it listens; its key and its real address.
    fn run(&self) -> (String, SocketAddr) {
        let mut command = self.command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let key = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut lines_of_log = lines.by_ref().map(|line| serde_json::from_str(&line).unwrap());
        let line: serde_json::Value =
            lines_of_log.find(|line: &serde_json::Value| line["message"] == "listening").unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        *self.process.lock().unwrap() = Some(child);
        (key, line["address"].as_str().unwrap().parse().unwrap())
    }

    /// Starts it again where it was.
    fn come_back(&self) {
        assert_eq!(self.run(), (self.key.clone(), self.address));
    }

    fn go_away(&self) {
        let mut child = self.process.lock().unwrap().take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a table of the gateway's configuration.
    fn table(&self) -> String {
        table(&format!("http://{}", self.address), "", &self.key)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn table(url: &str, more: &str, key: &str) -> String {
    format!("[[ledger.witness]]\nurl = \"{url}\"\nkey = \"{key}\"\n{more}")
}

/// A house that has its signing key and does not run yet; the key that verifies its heads.
async fn house() -> (House, String) {
    let house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let key = signer(&house.path("ledger/signing.key"), None).unwrap().verifier().to_string();
    (house, key)
}

/// Adds to the table `[ledger]` of its configuration.
fn configure(house: &House, ledger: &str) {
    let path = house.path("fieldgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, text.replace("[ledger]\n", &format!("[ledger]\n{ledger}"))).unwrap();
}

/// A configuration key of a witness that nobody runs.
fn nobodys_key(folder: &Path) -> String {
    cosigner(&folder.join("other.key"), "witness.example/other").unwrap().verifier().to_string()
}

fn stop(house: &mut House) {
    house.signal("-TERM");
    assert!(house.wait().success());
}

/// Runs the gateway where it should not start.
fn serve(house: &House) -> String {
    let output = fieldgate(house, &["serve"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn fieldgate(house: &House, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(arguments).arg("--config").arg(house.path("fieldgate.toml")).output().unwrap()
}

/// The last head that was kept with its cosignatures.
fn witnessed(house: &House) -> Option<(u64, Note)> {
    let note = std::fs::read(house.path("ledger/fieldgate.tlog/checkpoint.witnessed")).ok()?;
    let note = Note::parse(note).unwrap();
    Some((note.text.lines().nth(1).unwrap().parse().unwrap(), note))
}

/// Waits until all entries are witnessed.
async fn all_witnessed(house: &House) -> Note {
    let began = Instant::now();
    loop {
        match witnessed(house) {
            Some((size, note)) if size == house.entries().len() as u64 => return note,
            _ => assert!(began.elapsed() < PATIENCE, "not witnessed: {}", house.log()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_signed_by(note: &Note, key: &str) -> bool {
    note.verified_by(&Verifier::parse(key).unwrap()).is_some()
}

async fn status(client: &Client) -> u16 {
    client.try_send(http::Method::GET, "/orders/1", "").await.unwrap().status.as_u16()
}

async fn until_status(client: &Client, wanted: u16) {
    let began = Instant::now();
    while status(client).await != wanted {
        assert!(began.elapsed() < PATIENCE, "never {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[tokio::test]
async fn heads_are_cosigned_and_kept() {
    let (mut house, log) = house().await;
    let file = |name: &str| house.path("certs").join(name).display().to_string();
    let tls = ["--tls-certificate", &file("gateway.pem"), "--tls-key", &file("gateway.key")];
    let (plain, secure) = (Witness::start(&log, &[]), Witness::start(&log, &tls));
    let url = format!("https://localhost:{}", secure.address.port());
    configure(&house, &(plain.table() + &table(&url, "ca = \"certs/company-ca.pem\"\n", &secure.key)));
    house.open();
    for _ in 0..3 {
        house.get(&house.parcelco(), "/orders/1").await;
        let note = all_witnessed(&house).await;
        assert_eq!(note.signatures.len(), 3);
        assert!([&log, &plain.key, &secure.key].into_iter().all(|key| is_signed_by(&note, key)));
    }
    let mode = std::fs::metadata(plain.path("witness.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What the witness shows to everybody is the same head.
    let (_, note) = witnessed(&house).unwrap();
    let origin = note.text.lines().next().unwrap();
    let hash = Command::new("sh").args(["-c", "printf %s \"$0\" | sha256sum", origin]).output().unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    let url = format!("http://{}/{}/checkpoint", plain.address, hash.split(' ').next().unwrap());
    let shown = tokio::process::Command::new("curl").args(["-sS", "-f", &url]).output().await.unwrap();
    let shown = Note::parse(shown.stdout).unwrap();
    assert_eq!(shown.text, note.text);
    assert!(is_signed_by(&shown, &log) && is_signed_by(&shown, &plain.key));
    house.assert_clean();
}

#[tokio::test]
async fn the_key_for_witnesses_is_shown() {
    let (house, log) = house().await;
    let output = fieldgate(&house, &["ledger", "key"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{log}\n"));
    let output = fieldgate(&house, &["ledger", "key", "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["key"], log);
    assert_eq!(shown["origin"], log.split('+').next().unwrap());
    std::fs::remove_file(house.path("ledger/signing.key")).unwrap();
    assert_eq!(fieldgate(&house, &["ledger", "key"]).status.code(), Some(2));
    assert!(!house.path("ledger/signing.key").exists(), "showing it makes none");
}

#[tokio::test]
async fn a_witness_that_hangs_delays_no_request_and_counts_only_without_a_quorum() {
    let (mut house, log) = house().await;
    let witness = Witness::start(&log, &[]);
    // It takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    let hanging = table(&url, "", &nobodys_key(house.folder.path()));
    configure(&house, &(witness.table() + &hanging));
    house.open();
    assert!(house.log().contains("there is no answer in time"), "{}", house.log());
    let client = house.parcelco();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(status(&client).await, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(3), "20 requests took {:?}", began.elapsed());
    assert!(witnessed(&house).is_none(), "all must have cosigned");
    stop(&mut house);
    configure(&house, "quorum = 1\n");
    house.open();
    assert_eq!(status(&house.parcelco()).await, 200);
    let note = all_witnessed(&house).await;
    assert_eq!(note.signatures.len(), 2);
    assert!(is_signed_by(&note, &witness.key));
    house.assert_clean();
}

#[tokio::test]
async fn a_witness_that_is_away_at_the_start_is_a_warning() {
    let (mut house, log) = house().await;
    let witness = Witness::start(&log, &[]);
    configure(&house, &witness.table());
    witness.go_away();
    house.open();
    assert!(house.log().contains("a witness does not cosign"), "{}", house.log());
    assert_eq!(status(&house.parcelco()).await, 200);
    witness.come_back();
    all_witnessed(&house).await;
    house.logged("a witness cosigns again").await;
    house.assert_clean();
}

#[tokio::test]
async fn entries_that_are_not_witnessed_for_too_long_stop_disclosures_until_they_are() {
    let (mut house, log) = house().await;
    let witness = Witness::start(&log, &[]);
    configure(&house, &format!("max_unwitnessed_age = \"3s\"\n{}", witness.table()));
    house.open();
    let client = house.parcelco();
    assert_eq!(status(&client).await, 200);
    all_witnessed(&house).await;
    // A ledger that rests does not get old.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert_eq!(status(&client).await, 200);
    witness.go_away();
    until_status(&client, 503).await;
    let asked = house.upstream.requests().len();
    let refused = client.try_send(http::Method::GET, "/orders/1", "").await.unwrap();
    assert_eq!(refused.code(), "ledger-unavailable");
    assert_eq!(house.upstream.requests().len(), asked);
    house.logged("entries are not witnessed; see").await;
    house.logged("entries are not witnessed for too long").await;
    house.logged("a witness does not cosign").await;
    // The age is that of the entries, so that a new start does not make them young.
    stop(&mut house);
    house.open();
    let client = house.parcelco();
    assert_eq!(status(&client).await, 503);
    witness.come_back();
    until_status(&client, 200).await;
    all_witnessed(&house).await;
    house.logged("entries are witnessed again").await;
    house.assert_clean();
}

#[tokio::test]
async fn an_older_copy_of_the_ledger_does_not_start() {
    let (mut house, log) = house().await;
    let witness = Witness::start(&log, &[]);
    configure(&house, &witness.table());
    house.open();
    assert_eq!(status(&house.parcelco()).await, 200);
    all_witnessed(&house).await;
    stop(&mut house);
    copy(&house.path("ledger"), &house.path("copy"));
    house.open();
    assert_eq!(status(&house.parcelco()).await, 200);
    all_witnessed(&house).await;
    stop(&mut house);
    std::fs::rename(house.path("ledger"), house.path("newest")).unwrap();
    copy(&house.path("copy"), &house.path("ledger"));
    let error = serve(&house);
    assert!(error.contains("witness.example/w1 has seen 6 entries and the ledger has 3"), "{error}");
    assert!(error.contains("put the newest copy of the ledger's folder back"), "{error}");
    assert_eq!(house.entries().len(), 3, "nothing is written on it");
    std::fs::remove_dir_all(house.path("ledger")).unwrap();
    std::fs::rename(house.path("newest"), house.path("ledger")).unwrap();
    house.open();
    assert_eq!(status(&house.parcelco()).await, 200);
    house.assert_clean();
}

#[tokio::test]
async fn a_second_ledger_with_the_same_key_does_not_start() {
    let ((mut first, log), (mut second, _)) = (house().await, house().await);
    let witness = Witness::start(&log, &[]);
    std::fs::copy(first.path("ledger/signing.key"), second.path("ledger/signing.key")).unwrap();
    // It is the longer one: what tells it is its history.
    second.open();
    assert_eq!(status(&second.parcelco()).await, 200);
    stop(&mut second);
    configure(&first, &witness.table());
    first.open();
    all_witnessed(&first).await;
    configure(&second, &witness.table());
    let error = serve(&second);
    assert!(error.contains("witness.example/w1 has seen another history of this ledger"), "{error}");
    assert_eq!(second.entries().len(), 3, "nothing is written on it");
    first.assert_clean();
}

#[tokio::test]
async fn a_witness_that_contradicts_a_running_ledger_is_an_error_in_the_log() {
    let ((mut first, log), (mut second, _)) = (house().await, house().await);
    let witness = Witness::start(&log, &[]);
    std::fs::copy(first.path("ledger/signing.key"), second.path("ledger/signing.key")).unwrap();
    configure(&first, &witness.table());
    first.open();
    all_witnessed(&first).await;
    witness.go_away();
    configure(&second, &witness.table());
    second.open();
    assert_eq!(status(&second.parcelco()).await, 200);
    witness.come_back();
    second.logged("a witness contradicts the ledger").await;
    second.logged("it has seen another history of this ledger").await;
    assert_eq!(status(&second.parcelco()).await, 200, "only max_unwitnessed_age stops it");
    assert!(witnessed(&second).is_none());
}

#[tokio::test]
async fn heads_are_cosigned_while_requests_come() {
    let (mut house, log) = house().await;
    let witness = Witness::start(&log, &[]);
    configure(&house, &witness.table());
    house.open();
    // Enough for tiles to fill up and partial ones to go.
    let load = (0..8).map(|_| {
        let client = house.parcelco();
        tokio::spawn(async move {
            for _ in 0..80 {
                assert_eq!(status(&client).await, 200);
            }
        })
    });
    for client in load.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let note = all_witnessed(&house).await;
    assert!(is_signed_by(&note, &witness.key));
    assert!(!house.log().contains("a witness does not cosign"), "{}", house.log());
    house.assert_clean();
}

#[tokio::test]
async fn a_witness_has_its_folder_to_itself_and_stops_when_told() {
    let (_house, log) = house().await;
    let witness = Witness::start(&log, &[]);
    let output = witness.command().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("another witness uses the folder"), "{error}");
    let child = witness.process.lock().unwrap().take().unwrap();
    let mut child = child;
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    let log_key = witness.key.clone();
    let mut command = witness.command();
    let output = command.args(["--log", &log_key]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("this is the key of a witness"));
}

#[tokio::test]
async fn a_request_that_is_too_large_or_goes_elsewhere_is_refused_by_the_witness() {
    let (house, log) = house().await;
    let witness = Witness::start(&log, &[]);
    std::fs::write(house.path("large"), vec![b'x'; 2 << 20]).unwrap();
    let large = format!("@{}", house.path("large").display());
    let ask = |path: &str, arguments: &[&str]| {
        let mut command = tokio::process::Command::new("curl");
        command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"]).args(arguments);
        command.arg(format!("http://{}{path}", witness.address));
        async move { String::from_utf8(command.output().await.unwrap().stdout).unwrap() }
    };
    assert_eq!(ask("/add-checkpoint", &["-H", "Expect:", "--data-binary", &large]).await, "413");
    assert_eq!(ask("/add-checkpoint", &["-d", "old 0"]).await, "400");
    assert_eq!(ask("/add-checkpoint", &[]).await, "405");
    assert_eq!(ask("/0000/checkpoint", &[]).await, "404");
    assert_eq!(ask("/0000/checkpoint", &["-d", ""]).await, "405");
    assert_eq!(ask("/", &[]).await, "404");
    let length = ["-H", "Content-Length: 0"];
    assert_eq!(ask("/", &[length, length].concat()).await, "400", "its length is said twice");
}
