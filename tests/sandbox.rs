//! What a confined process can still do, tried by one. What is given up does not come back, so each test starts
//! its own program again and looks at what that one tells.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use fieldgate::sandbox::{Demand, Reach, enforce, keep_to_itself};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

/// Where the confined process finds its folder; only that one has it.
const FOLDER: &str = "FIELDGATE_TEST_FOLDER";

/// The folder of this test, in the process that is confined.
fn inside() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

fn tell(what: &str, result: Result<(), impl ToString>) {
    println!("told {what}: {}", result.map_or_else(|error| error.to_string(), |()| "done".to_owned()));
}

/// The program of a test, started again.
struct Confined {
    process: Child,
    lines: Box<dyn Iterator<Item = String>>,
    stdin: ChildStdin,
}

impl Confined {
    fn start(test: &str, folder: &Path) -> Confined {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).env(FOLDER, folder);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        // The first one stands behind the name of the test.
        let lines = lines.filter_map(|line| line.split_once("told ").map(|(_, told)| told.to_owned()));
        let stdin = process.stdin.take().unwrap();
        Confined { process, lines: Box::new(lines), stdin }
    }

    fn next(&mut self) -> (String, String) {
        let line = self.lines.next().expect("it tells more");
        let (what, result) = line.split_once(": ").unwrap();
        (what.to_owned(), result.to_owned())
    }

    /// Lets it go on.
    fn go(&mut self) {
        self.stdin.write_all(b"go\n").unwrap();
    }

    /// All that it tells until its end.
    fn rest(mut self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for line in self.lines.by_ref() {
            let (what, result) = line.split_once(": ").unwrap();
            all.insert(what.to_owned(), result.to_owned());
        }
        assert!(self.process.wait().unwrap().success(), "{all:?}");
        all
    }
}

fn wait_for_go() {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    assert_eq!(line, "go\n");
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// A port that nobody has.
fn free_port() -> u16 {
    port(&listen())
}

fn number(folder: &Path, name: &str) -> u16 {
    fs::read_to_string(folder.join(name)).unwrap().parse().unwrap()
}

/// The version of Landlock that is in force; 0 without it.
fn version(landlock: &str) -> u32 {
    match landlock.strip_prefix("abi ") {
        Some(rest) => rest.split(':').next().unwrap().parse().unwrap(),
        None => {
            assert!(landlock.starts_with("not enforced: "), "{landlock}");
            0
        }
    }
}

#[test]
fn only_what_was_named_is_in_reach_and_the_report_is_true() {
    if let Some(folder) = inside() {
        return try_everything(&folder);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("certs")).unwrap();
    fs::create_dir(path("ledger")).unwrap();
    fs::create_dir(path("home")).unwrap();
    fs::write(path("certs/gateway.pem"), "first").unwrap();
    fs::write(path("home/letter"), "private").unwrap();
    let (upstream, other) = (listen(), listen());
    for (name, port) in [
        ("upstream", port(&upstream)),
        ("other", port(&other)),
        ("listen", free_port()),
        ("elsewhere", free_port()),
    ] {
        fs::write(path(name), port.to_string()).unwrap();
    }
    let name =
        std::os::unix::net::SocketAddr::from_abstract_name(folder.path().as_os_str().as_encoded_bytes());
    let _abstract_socket = UnixListener::bind_addr(&name.unwrap()).unwrap();

    let mut confined =
        Confined::start("only_what_was_named_is_in_reach_and_the_report_is_true", folder.path());
    let (what, landlock) = confined.next();
    assert_eq!(what, "landlock");
    // Renewed, as programs that renew certificates do it.
    fs::write(path("certs/new"), "second").unwrap();
    fs::rename(path("certs/new"), path("certs/gateway.pem")).unwrap();
    confined.go();
    let told = confined.rest();

    let version = version(&landlock);
    let works =
        ["write", "rename", "move", "remove", "control socket", "upstream", "listen", "thread", "renewed"];
    for what in works {
        assert_eq!(told[what], "done", "{what}: {told:#?}");
    }
    // From which version of Landlock on; 0: by seccomp alone.
    let forbidden = [
        ("a file", 1),
        ("a file, by a thread", 1),
        ("a folder", 1),
        ("write a certificate", 1),
        ("link a file into the ledger", 1),
        ("connect elsewhere", 4),
        ("listen elsewhere", 4),
        ("an abstract socket", 6),
        ("a program", 0),
        ("a raw socket", 0),
        ("a packet socket", 0),
        ("a signal", 0),
        ("memory with a name", 0),
        ("another root", 0),
        ("to be looked into", 0),
    ];
    for (what, since) in forbidden {
        assert_eq!(told[what] == "done", version < since, "{what}, {landlock}: {told:#?}");
    }
    assert_eq!(told.len(), works.len() + forbidden.len() + 1, "{told:#?}");
    assert!(told["seccomp"].ends_with(" system calls allowed"), "{told:#?}");
}

fn try_everything(folder: &Path) {
    let path = |name: &str| folder.join(name);
    let mut reach = Reach { connect: Some([number(folder, "upstream")].into()), ..Reach::default() };
    reach.bind.insert(number(folder, "listen"));
    reach.read_file(&path("certs/gateway.pem"));
    reach.write_beside(&path("ledger/fieldgate.db"));
    let (other, elsewhere) = (number(folder, "other"), number(folder, "elsewhere"));
    let (upstream, listen) = (number(folder, "upstream"), number(folder, "listen"));
    keep_to_itself().unwrap();
    let enforced = enforce(Demand::On, &reach).unwrap();
    println!("told landlock: {}", enforced.landlock);
    wait_for_go();
    println!("told seccomp: {}", enforced.seccomp);

    let renewed = fs::read_to_string(path("certs/gateway.pem")).unwrap();
    tell("renewed", if renewed == "second" { Ok(()) } else { Err(renewed) });
    tell("write", fs::write(path("ledger/a"), "entry"));
    tell("rename", fs::rename(path("ledger/a"), path("ledger/b")));
    let moved = fs::create_dir(path("ledger/tile"));
    tell("move", moved.and_then(|()| fs::rename(path("ledger/b"), path("ledger/tile/b"))));
    tell("remove", fs::remove_file(path("ledger/tile/b")));
    tell("control socket", UnixListener::bind(path("ledger/control")).map(drop));
    tell("upstream", connect(upstream));
    tell("listen", bind(listen));
    tell("thread", std::thread::spawn(|| ()).join().map_err(|_| "panicked"));

    let letter = path("home/letter");
    tell("a file", fs::read(&letter).map(drop));
    let by_thread = letter.clone();
    tell("a file, by a thread", std::thread::spawn(move || fs::read(by_thread).map(drop)).join().unwrap());
    tell("a folder", fs::read_dir(path("home")).map(drop));
    tell("write a certificate", fs::write(path("certs/gateway.pem"), "third"));
    tell("link a file into the ledger", fs::hard_link(&letter, path("ledger/letter")));
    tell("connect elsewhere", connect(other));
    tell("listen elsewhere", bind(elsewhere));
    let name = std::os::unix::net::SocketAddr::from_abstract_name(folder.as_os_str().as_encoded_bytes());
    tell("an abstract socket", UnixStream::connect_addr(&name.unwrap()).map(drop));
    tell("a program", Command::new("true").status().map(drop));
    let raw = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::empty(), Some(ipproto::ICMP));
    tell("a raw socket", raw.map(drop));
    let packet = socket_with(AddressFamily::PACKET, SocketType::DGRAM, SocketFlags::empty(), None);
    tell("a packet socket", packet.map(drop));
    tell("a signal", rustix::process::test_kill_process(rustix::process::getppid().unwrap()));
    tell("memory with a name", rustix::fs::memfd_create("m", rustix::fs::MemfdFlags::CLOEXEC).map(drop));
    tell("another root", rustix::process::chroot(path("ledger")));
    let dumpable = rustix::process::DumpableBehavior::Dumpable;
    tell("to be looked into", rustix::process::set_dumpable_behavior(dumpable));
}

fn connect(port: u16) -> std::io::Result<()> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(drop)
}

fn bind(port: u16) -> std::io::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
}

#[test]
fn names_are_resolved_where_an_upstream_has_one() {
    if inside().is_some() {
        let mut reach = Reach { connect: Some([].into()), ..Reach::default() };
        reach.connect_to("localhost", 443);
        enforce(Demand::On, &reach).unwrap();
        let found = ("localhost", 443).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>);
        let is_here =
            |found: &[SocketAddr]| !found.is_empty() && found.iter().all(|one| one.ip().is_loopback());
        return tell(
            "resolved",
            match found {
                Ok(found) if is_here(&found) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let told = Confined::start("names_are_resolved_where_an_upstream_has_one", folder.path()).rest();
    assert_eq!(told["resolved"], "done", "{told:?}");
}
