//! The processes: the gateway as it is built, and an upstream.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use fieldgate::authority::Authority;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;

use super::Failure;

pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

/// Of an upstream, in bytes.
const SEND_BUFFER: u32 = 64 << 10;

/// Starts an upstream for each of the two contractors, and a gateway with these limits before them.
pub fn start(folder: &Path, limits: &str) -> Result<([Process; 2], Process), Failure> {
    let authority = Authority::new(folder.join("certs"));
    authority.init(&["localhost".to_owned()])?;
    for name in ["parcelco", "swiftpost"] {
        authority.issue_client(name, &format!("URI:spiffe://{name}.example/gateway"))?;
    }
    let guests = Process::start(Command::new(std::env::current_exe()?).arg("order"))?;
    let attackers = Process::start(yielding()?.arg("order"))?;
    write_configuration(folder, guests.address, attackers.address, limits)?;
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    let gateway = Process::start(gateway.args(["serve", "--config"]).arg(folder.join("fieldgate.toml")))?;
    Ok(([guests, attackers], gateway))
}

/// This program, to be given what it shall be: what it does then waits for whoever else has something to do.
pub fn yielding() -> std::io::Result<Command> {
    // Of util-linux, as taskset.
    let mut command = Command::new("chrt");
    command.args(["--idle", "0"]).arg(std::env::current_exe()?);
    Ok(command)
}

impl Process {
    /// Starts a program that says where it listens: the gateway in its log, the upstream in a line.
    fn start(command: &mut Command) -> Result<Process, Failure> {
        use std::io::BufRead;
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let mut lines = std::io::BufReader::new(stderr).lines();
        let address = loop {
            let line = lines.next().ok_or("the process ended early")??;
            let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = value["address"].as_str() {
                break address.parse()?;
            }
        };
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Process { child, address })
    }

    /// Its resident memory, in KiB.
    pub fn memory(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

/// Which cores are whose, as taskset(1) is told.
pub struct Cores {
    pub gateway: String,
    pub others: String,
}

impl Cores {
    pub fn halves() -> Result<Cores, Failure> {
        let all = std::thread::available_parallelism()?.get();
        let list = |from: usize, to: usize| match to - from {
            1 => format!("core {from}"),
            _ => format!("cores {from}-{}", to - 1),
        };
        let half = all.div_ceil(2);
        if all < 2 {
            return Err("with one core for all, nothing would be left for an attacker".into());
        }
        Ok(Cores { gateway: list(0, half), others: list(half, all) })
    }

    /// Moves this process, and what it will start, to the others' cores.
    pub fn leave_gateways(&self) -> Result<(), Failure> {
        move_to(&self.others, std::process::id())
    }

    pub fn keep_for_gateway(&self, gateway: &Process) -> Result<(), Failure> {
        move_to(&self.gateway, gateway.child.id())
    }
}

/// All threads of a process.
fn move_to(cores: &str, process: u32) -> Result<(), Failure> {
    let list = cores.split(' ').next_back().unwrap_or_default();
    let mut command = Command::new("taskset");
    command.args(["-a", "-c", "-p", list, &process.to_string()]).stdout(Stdio::null());
    if !command.status()?.success() {
        return Err("taskset failed".into());
    }
    Ok(())
}

/// Time of all cores since the machine was started, in ticks.
pub struct Ticks {
    /// That a virtual machine's host gave to others.
    pub stolen: f64,
    /// In which there was something to do, stolen or not.
    pub wanted: f64,
}

/// Of /proc/stat, proc(5).
pub fn stolen() -> Result<Ticks, Failure> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().ok_or("an empty /proc/stat")?;
    let ticks: Vec<f64> = all.split_ascii_whitespace().skip(1).flat_map(str::parse).collect();
    let [user, nice, system, _idle, _waited, irq, softirq, stolen, ..] = ticks[..] else {
        return Err("a line of /proc/stat is too short".into());
    };
    Ok(Ticks { stolen, wanted: user + nice + system + irq + softirq + stolen })
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The upstream: an order of about 2 KB, and a list of 4,000 of them.
pub async fn upstream() -> Result<(), Failure> {
    let order = Bytes::from(order());
    let list = vec![String::from_utf8_lossy(&order).into_owned(); 4000].join(",");
    let list = Bytes::from(format!("{{\"data\":[{list}]}}"));
    let socket = TcpSocket::new_v4()?;
    // As over a network: a list comes bit by bit, and not as one copy that holds up who shares the core.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let socket = socket.listen(1024)?;
    eprintln!("{}", serde_json::json!({ "address": socket.local_addr()? }));
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        let (order, list) = (order.clone(), list.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = if request.uri().path() == "/orders" { list.clone() } else { order.clone() };
            async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(answer))) }
        });
        tokio::spawn(async move {
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok()
        });
    }
}

fn order() -> String {
    let note = "Left a message on the answering machine, the customer will call back.";
    let notes = vec![format!("\"{note}\""); 16].join(",");
    format!(
        r#"{{"order_id":1,"carrier":"parcelco","status":"ready_to_ship","customer":{{"id":"c-1","name":"Anna Jansen","email":"anna@example.com","date_of_birth":"1987-04-12"}},
"recipient":{{"name":"Anna Jansen","phone":"+31 6 1234 5678"}},"shipping_address":{{"street":"Keizersgracht 1","city":"Amsterdam","postal_code":"1015 CJ","country":"NL"}},
"payment":{{"card":{{"number":"4111111111111111","type":"visa","expiry":"10/27"}},"amount":149.65}},"items":[{{"sku":"TAG-1","quantity":3,"unit_price":44.90}},{{"sku":"LMP-2","quantity":1,"unit_price":14.95}}],
"internal":{{"risk_score":0.46,"notes":[{notes}]}}}}"#
    )
}

/// Where the attacker can leave a body.
const NOTES: &str = r#"
[[task.route]]
path     = "/orders/{order_id}/notes"
methods  = ["POST"]
upstream = "orders"
accept   = ["$.note"]
disclose = ["$.order_id"]
"#;

/// The attacker has the sample's limits, the well-behaved client none that it meets.
fn write_configuration(
    folder: &Path,
    guests: SocketAddr,
    attackers: SocketAddr,
    limits: &str,
) -> std::io::Result<()> {
    let rule = std::fs::read_to_string("rules/parcelco.toml")?;
    let attacker =
        (rule.clone() + NOTES).replace("parcelco", "swiftpost").replace("'swiftpost'", "'parcelco'");
    let attacker = attacker.replace("\"orders\"", "\"theirs\"");
    let guest = rule
        .replace("\"50/s\"", "\"1000000/s\"")
        .replace("burst            = 100", "burst            = 1000000")
        .replace("concurrent       = 32", "concurrent       = 10000");
    std::fs::create_dir(folder.join("rules"))?;
    std::fs::write(folder.join("rules/parcelco.toml"), guest)?;
    std::fs::write(folder.join("rules/swiftpost.toml"), attacker)?;
    let config = std::fs::read_to_string("fieldgate.toml")?;
    // The review side would say first where it listens.
    let sections = config.split("\n\n").filter(|section| !section.starts_with("[admin]"));
    let config = sections.collect::<Vec<_>>().join("\n\n");
    let config =
        config.replace("127.0.0.1:8443", "127.0.0.1:0").replace("127.0.0.1:9001", &guests.to_string());
    let theirs = format!("\n[upstream.theirs]\nurl = \"http://{attackers}\"\n");
    std::fs::write(folder.join("fieldgate.toml"), config + &theirs + limits)
}
