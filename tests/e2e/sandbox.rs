//! What the gateway's own process gives up before it serves, and in what state its files must be.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use crate::support::{Answer, CONFIG, House, RULES, order};

/// The line that says what was enforced.
fn said(house: &House) -> serde_json::Value {
    let log = house.log();
    let mut lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    let said = lines.find(|line: &serde_json::Value| line["message"] == "sandbox");
    said.expect("the log says what was enforced")
}

/// A field of the status of each thread.
fn status(house: &House, field: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", house.pid())).unwrap();
    let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Some(value.unwrap().trim().to_owned())
    };
    // A thread may end meanwhile.
    threads.filter_map(of_thread).collect()
}

fn core_limit(house: &House) -> Vec<String> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", house.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

/// The gateway's error where it does not start.
fn refused(house: &House) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    let output = command.args(["serve", "--config"]).arg(house.path("fieldgate.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn house(sandbox: &str) -> House {
    House::closed(&format!("{CONFIG}[process]\nsandbox = \"{sandbox}\"\n"), &[("parcelco", RULES)]).await
}

#[tokio::test]
async fn what_the_log_says_is_enforced_is_what_the_kernel_says() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.get(&house.parcelco(), "/orders/1").await;
    let said = said(&house);
    assert!(said["seccomp"].as_str().unwrap().ends_with(" system calls allowed"), "{said}");
    assert_eq!((&said["core_dumps"], &said["no_new_privs"]), (&"off".into(), &true.into()));
    let threads = status(&house, "Seccomp");
    assert!(threads.len() > 3 && threads.iter().all(|mode| mode == "2"), "filtered: {threads:?}");
    assert!(status(&house, "NoNewPrivs").iter().all(|value| value == "1"));
    assert_eq!(core_limit(&house), ["0", "0", "bytes"]);
    // Not to be looked into: what there is about it belongs to root.
    let owner = std::os::unix::fs::MetadataExt::uid(
        &std::fs::metadata(format!("/proc/{}/environ", house.pid())).unwrap(),
    );
    assert_eq!(owner, 0);
    house.assert_clean();
}

#[tokio::test]
async fn under_it_keys_are_rotated_and_entries_written_searched_and_archived() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.get(&house.parcelco(), "/orders/1").await;
    let rotated = house.ledger(&["rotate-key", "--by", "dora"]);
    assert!(rotated.status.success(), "{rotated:?}");
    assert!(house.path("ledger/subject.key.2").exists());
    house.get(&house.parcelco(), "/orders/1").await;
    house.rest().await;
    let entries = house.entries();
    let key = entries.iter().find(|entry| entry["kind"] == "key").unwrap();
    assert_eq!(key["epoch"], 2);
    assert!(!house.log().contains("\"level\":\"ERROR\""), "{}", house.log());
    house.assert_clean();
}

#[tokio::test]
async fn new_files_of_the_ledger_are_closed_to_others() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.get(&house.parcelco(), "/orders/1").await;
    house.rest().await;
    closed(&house.path("ledger"));
    assert!(!house.log().contains("control socket"), "{}", house.log());
    assert!(std::fs::symlink_metadata(house.path("ledger/fieldgate.tlog/control")).is_ok());
}

/// Nothing at this place or below is open to others.
fn closed(path: &Path) {
    // The archive replaces files meanwhile.
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
    assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", path.display());
    if metadata.is_dir() {
        let Ok(entries) = std::fs::read_dir(path) else { return };
        entries.for_each(|entry| closed(&entry.unwrap().path()));
    }
}

/// In the log, where the archive cannot be reached.
const NOT_ARCHIVED: &str = "the ledger's archive and index cannot be kept";

/// A gateway whose ledger has become a link to another place, and has an entry to be archived there.
async fn house_with_its_ledger_elsewhere(sandbox: &str) -> House {
    let mut house = house(sandbox).await;
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    house.get(&client, "/orders/1").await;
    house.rest().await;
    let (folder, elsewhere) = (house.path("ledger/fieldgate.tlog"), house.path("elsewhere"));
    std::fs::rename(&folder, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
    house.send_unknown(&client, http::Method::GET, "/orders/1", "").await;
    house
}

#[tokio::test]
async fn what_a_link_leads_to_outside_its_folders_is_out_of_the_gateways_reach() {
    let house = house_with_its_ledger_elsewhere("on").await;
    house.logged(NOT_ARCHIVED).await;
    // It is the sandbox that makes the difference.
    let house = house_with_its_ledger_elsewhere("off").await;
    house.rest().await;
    assert!(!house.log().contains(NOT_ARCHIVED), "{}", house.log());
}

#[tokio::test]
async fn a_sandbox_that_is_switched_off_is_said_to_be() {
    let mut house = house("off").await;
    house.open();
    let said = said(&house);
    assert_eq!(said["landlock"], "not enforced: switched off");
    assert_eq!((&said["seccomp"], &said["level"]), (&said["landlock"], &"INFO".into()));
    assert!(status(&house, "Seccomp").iter().all(|mode| mode == "0"));
    assert_eq!(core_limit(&house), ["0", "0", "bytes"]);
}

/// In the program of this test: the configuration to start the gateway with, on a kernel without Landlock.
const WITHOUT_LANDLOCK: &str = "FIELDGATE_TEST_WITHOUT_LANDLOCK";

#[tokio::test]
async fn a_kernel_without_landlock_is_said_and_refused_where_all_is_required() {
    const NAME: &str = "sandbox::a_kernel_without_landlock_is_said_and_refused_where_all_is_required";
    if let Some(config) = std::env::var_os(WITHOUT_LANDLOCK) {
        become_a_gateway_without_landlock(Path::new(&config));
    }
    let program = |house: &House| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([NAME, "--exact", "--nocapture"]).stdin(Stdio::null());
        command.env(WITHOUT_LANDLOCK, house.path("fieldgate.toml"));
        command
    };
    let mut open = house("on").await;
    open.open_as(program(&open));
    let said = said(&open);
    assert_eq!(said["level"], "WARN", "{said}");
    assert_eq!(said["landlock"], "not enforced: this kernel, or what runs the container, has no Landlock");
    assert!(said["seccomp"].as_str().unwrap().ends_with(" system calls allowed"), "{said}");
    open.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    assert_eq!(open.get(&open.parcelco(), "/orders/1").await.status, 200);
    let strict = house("required").await;
    let output = program(&strict).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("the sandbox is required and not whole (landlock: not enforced: "), "{error}");
}

/// As the kernel is where Landlock is not built in: its system calls do not exist.
fn become_a_gateway_without_landlock(config: &Path) -> ! {
    let filter = SeccompFilter::new(
        [(libc::SYS_landlock_create_ruleset, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    apply_filter(&program).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    panic!("{}", command.args(["serve", "--config"]).arg(config).exec());
}

/// Each file that must be closed to others, with the command that mends it.
const SECRETS: [&str; 8] = [
    "certs/gateway.key",
    "ledger/signing.key",
    "ledger/subject.key",
    "ledger/subject.key.2",
    "ledger/pseudonym.key",
    "secrets/orders.token",
    "certs/parcelco.key",
    "ledger/fieldgate.db",
];

/// An upstream with a bearer token, and another one that is called with a certificate.
fn with_all_secrets() -> String {
    let config = CONFIG.replace("[telemetry]", "bearer = { file = \"secrets/orders.token\" }\n[telemetry]");
    format!(
        "{config}[upstream.support]\nurl = \"https://127.0.0.1:1\"\nca = \"certs/company-ca.pem\"\nclient_certificate = \"certs/parcelco.pem\"\nclient_key = \"certs/parcelco.key\"\n"
    )
}

#[tokio::test]
async fn every_file_that_is_open_to_others_is_named_at_once_with_the_command_that_mends_it() {
    let mut house = House::closed(&with_all_secrets(), &[("parcelco", RULES)]).await;
    fieldgate::secrets::write(&house.path("secrets/orders.token"), b"token").unwrap();
    house.open();
    assert!(house.ledger(&["rotate-key", "--by", "dora"]).status.success());
    house.kill();
    let set = |name: &str, mode: u32| {
        std::fs::set_permissions(house.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    // The folder of the ledger does not help as long as it is closed.
    for name in SECRETS {
        set("ledger", 0o755);
        set(name, 0o644);
        let path = house.path(name).display().to_string();
        let error = refused(&house);
        let expected = format!("error: {path} can be read by others (mode 644); run: chmod 600 {path}\n");
        assert_eq!(error, expected);
        set(name, 0o600);
    }
    SECRETS.iter().for_each(|name| set(name, 0o640));
    set("ledger/fieldgate.tlog", 0o755);
    set("secrets", 0o777);
    let error = refused(&house);
    assert!(error.starts_with("error: 10 files or folders are not as they must be:\n"), "{error}");
    for name in SECRETS {
        let path = house.path(name).display().to_string();
        assert!(
            error.contains(&format!("\n  {path} can be read by others (mode 640); run: chmod 600 {path}\n"))
        );
    }
    for (name, command) in [("ledger/fieldgate.tlog", "chmod 700"), ("secrets", "chmod o-w")] {
        assert!(error.contains(&format!("; run: {command} {}\n", house.path(name).display())), "{error}");
    }
    // The commands that it names mend it.
    for line in error.lines() {
        if let Some((_, command)) = line.split_once("; run: ") {
            assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
        }
    }
    house.open();
}

#[tokio::test]
async fn a_key_of_another_user_is_refused() {
    let house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    let key = house.path("certs/gateway.key");
    // In a namespace in which there is only its own user, root's files belong to nobody, and so does a file
    // that root has given away.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).arg(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(["serve", "--config"]).arg(house.path("fieldgate.toml"));
    let is_root = std::os::unix::fs::chown(&key, Some(12_345), None).is_ok();
    let foreign = if is_root { key } else { "/etc/hostname".into() };
    if !is_root {
        let config = std::fs::read_to_string(house.path("fieldgate.toml")).unwrap();
        let config = config.replace("key = \"certs/gateway.key\"", "key = \"/etc/hostname\"");
        std::fs::write(house.path("fieldgate.toml"), config).unwrap();
    }
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    let path = foreign.display();
    assert!(error.contains(&format!("{path} belongs to user 65534; run: chown 0 {path}")), "{error}");
}
