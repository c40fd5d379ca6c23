//! `fieldgate demo`: the whole product on one machine, with a sample shop behind it.
//!
//! **Guarantees.** The gateway is the real one, with real certificates and the rule files that it
//! wrote or found. What is there already is used, never written over.
//!
//! **Trusts** the folder that it works in. **Must not** be needed by anything else. **Called by**
//! `cli`.

mod history;
mod shop;
mod traffic;
mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tracing_appender::non_blocking::WorkerGuard;
use zeroize::Zeroizing;

use crate::admin::{Role, Store, new_password};
use crate::app::{self, Keys, Server, process};
use crate::authority::Authority;
use crate::config::{self, Config};
use crate::diagnostic::print::{print_diagnostics, summary};
use crate::rules::Plan;
use crate::sandbox;
use shop::Shop;

/// The files that the demo needs and writes where they are missing.
const FILES: [(&str, &str); 3] = [
    ("fieldgate.toml", include_str!("../../fieldgate.toml")),
    ("rules/parcelco.toml", include_str!("../../rules/parcelco.toml")),
    ("rules/helpdesk.toml", include_str!("../../rules/helpdesk.toml")),
];

/// The client certificates of the sample contractors, with the names that their rules know.
const CLIENTS: [(&str, &str); 2] = [
    ("parcelco", "URI:spiffe://parcelco.example/gateway"),
    ("helpdesk", "URI:spiffe://helpdesk.example/desk"),
];

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder for configuration, rules, certificates and ledger
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
    /// Listen here instead of at the configured address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Serve the review side here instead of at the configured address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Serve the sample shop here instead of at the configured upstream; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    shop: Option<SocketAddr>,
    /// Fill a new ledger with six weeks of history, and play a minute of requests, good and bad
    #[arg(long)]
    traffic: bool,
}

/// Runs the demonstration until Ctrl-C.
///
/// # Errors
/// Where a file, a port or the ledger cannot be had; the message names it.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    write_missing_files(&arguments.dir)?;
    let certificates = make_certificates(&arguments.dir)?;
    let mut config = load_config(&arguments.dir)?;
    if let Some(address) = arguments.listen {
        config.listen.address = address;
    }
    if let (Some(address), Some(admin)) = (arguments.admin, &mut config.admin) {
        admin.address = address;
    }
    let wanted = arguments.shop.map_or_else(|| shop_address(&config), Ok)?;
    let socket = upstream::bind(wanted)?;
    let address = socket.local_addr()?;
    for upstream in config.upstreams.values_mut() {
        upstream.urls = vec![format!("http://{address}")];
    }
    sandbox::keep_to_itself().context("the process cannot keep its memory to itself")?;
    process::check_files(&config)?;
    let is_new = !config.ledger.path.exists();
    let (keys, plan) = load(&config)?;
    let password = first_account(&config)?;
    let _log = confine(&config, &plan, arguments.traffic.then_some(&certificates))?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let shop = Arc::new(Shop::new(&format!("http://{address}")));
        tokio::spawn(upstream::serve(TcpListener::from_std(socket)?, Arc::clone(&shop)));
        // Before the gateway opens it: entries come one after the other.
        if is_new && arguments.traffic {
            let now = jiff::Timestamp::now().as_microsecond();
            match history::write(&config, &plan, &keys, &shop, now).await? {
                0 => {}
                entries => println!("Six weeks of history are in the ledger: {entries} entries.\n"),
            }
        }
        let server = Server::start(&config, plan, &keys, None).await?;
        let gateway = server.address()?;
        // Caught before the guide says how to end it.
        let stop = app::stop_signal()?;
        print_guide(&arguments.dir, gateway, address, &shop);
        if let Some(admin) = server.admin_address() {
            print_review_side(admin, password.as_deref().map(String::as_str));
        }
        println!("Ctrl-C ends it.");
        let serving = server.run(stop);
        if arguments.traffic {
            let day = traffic::Day { certificates, gateway, shop };
            tokio::spawn(async move {
                if let Err(error) = day.play().await {
                    eprintln!("the traffic stopped: {error:#}");
                }
            });
        }
        serving.await;
        Ok(())
    })
}

/// The name of the demonstration's account.
const REVIEWER: &str = "reviewer";

/// Makes an account where nobody can sign in yet; its password.
fn first_account(config: &Config) -> anyhow::Result<Option<Zeroizing<String>>> {
    if config.admin.is_none() {
        return Ok(None);
    }
    let store = Store::open(&config.ledger.path)?;
    if !store.accounts()?.is_empty() {
        return Ok(None);
    }
    let password = Zeroizing::new(new_password()?);
    store.add_account(REVIEWER, Role::Reviewer, Some(&password), None)?;
    Ok(Some(password))
}

fn print_review_side(address: SocketAddr, password: Option<&str>) {
    println!("# The review side, for a browser on this machine\nhttp://{address}");
    match password {
        Some(password) => println!("Sign in as {REVIEWER}; the password, shown once: {password}\n"),
        None => println!(
            "Sign in with an account of `fieldgate admin list`; a new password: fieldgate admin password {REVIEWER}\n"
        ),
    }
}

/// What is not needed from here on is out of reach. `clients` is the folder of the certificates that traffic is
/// played with.
fn confine(config: &Config, plan: &Plan, clients: Option<&PathBuf>) -> anyhow::Result<WorkerGuard> {
    let mut reach = process::reach(config, &plan.key_stores, None)?;
    if let Some(folder) = clients {
        reach.read.insert(folder.clone());
        match config.listen.address.port() {
            // Known only when it listens.
            0 => reach.connect = None,
            port => reach.connect_to("localhost", port),
        }
        reach.names = true;
    }
    let demand = config.process.sandbox;
    let enforced = process::confine(demand, &reach)?;
    let guard = app::log("warn")?;
    process::log(demand, &enforced);
    Ok(guard)
}

fn load(config: &Config) -> anyhow::Result<(Keys, Plan)> {
    let keys = app::load_keys(config)?;
    let loaded = app::load_rules(config, keys.pseudonyms.clone()).context("the rules cannot be read")?;
    let Some(plan) = loaded.plan else {
        print_diagnostics(&loaded.diagnostics);
        bail!("the rules have {}", summary(&loaded.diagnostics));
    };
    Ok((keys, plan))
}

fn write_missing_files(folder: &Path) -> anyhow::Result<()> {
    for (name, content) in FILES {
        let path = folder.join(name);
        // Where there are rules already, they are the ones to be used.
        if path.exists() || (name.starts_with("rules/") && folder.join("rules").exists() && !is_new(folder)) {
            continue;
        }
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        std::fs::write(&path, content).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// No rule file is there yet, or only ones that this program wrote.
fn is_new(folder: &Path) -> bool {
    let files = crate::rules::rule_files(&folder.join("rules")).unwrap_or_default();
    files.iter().all(|file| FILES.iter().any(|(name, _)| file.ends_with(name)))
}

fn make_certificates(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder.join("certs");
    let authority = Authority::new(&folder);
    authority.init(&["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])?;
    for (name, san) in CLIENTS {
        authority.issue_client(name, san)?;
    }
    Ok(folder)
}

fn load_config(folder: &Path) -> anyhow::Result<Config> {
    match config::load(&folder.join("fieldgate.toml"))? {
        Ok((config, _)) => Ok(config),
        Err(diagnostics) => {
            print_diagnostics(&diagnostics);
            bail!("the configuration has {}", summary(&diagnostics))
        }
    }
}

/// The shop stands where the configuration says that the first upstream is.
fn shop_address(config: &Config) -> anyhow::Result<SocketAddr> {
    let url = config.upstreams.values().next().and_then(|upstream| upstream.urls.first());
    let url = url.map_or("", String::as_str);
    let address = url.strip_prefix("http://").and_then(|rest| rest.parse().ok());
    address.with_context(|| {
        format!(
            "the demo serves its shop at an address such as http://127.0.0.1:9001, not at {url}; use --shop"
        )
    })
}

fn print_guide(folder: &Path, gateway: SocketAddr, shop_address: SocketAddr, shop: &Shop) {
    let certs = folder.join("certs");
    let certs = certs.strip_prefix(".").unwrap_or(&certs).display();
    let port = gateway.port();
    let ready = shop.orders_ready_for("parcelco").first().copied().unwrap_or_default();
    let other = shop.orders_not_ready_for("parcelco").first().copied().unwrap_or_default();
    let ticket = shop.tickets_of("helpdesk", true).first().copied().unwrap_or_default();
    let curl = |who: &str, rest: &str| {
        format!(
            "curl -s --cacert {certs}/company-ca.pem --cert {certs}/{who}.pem --key {certs}/{who}.key {rest}"
        )
    };
    let customer = shop.customer_of(ready).unwrap_or_default();
    let ledger =
        |rest: &str| format!("{} ledger {rest} --config {}", program(), config_path(folder).display());
    let url = |path: String| format!("'https://localhost:{port}{path}'");
    println!(
        "Fieldgate listens on https://localhost:{port}; the sample shop ({} customers) is at http://{shop_address}.\n",
        shop.customers()
    );
    let lines = [
        (
            "The order as the shop has it: everything".to_owned(),
            format!("curl -s 'http://{shop_address}/orders/{ready}'"),
        ),
        (
            "The same order for the shipping partner: number, name, address, last digits of the phone".into(),
            curl("parcelco", &url(format!("/orders/{ready}"))),
        ),
        (
            "An order that is not the partner's to ship: nothing, not even that it exists".into(),
            curl("parcelco", &url(format!("/orders/{other}"))),
        ),
        (
            "A page of orders: only the partner's own, with a link that leads through the gateway".into(),
            curl("parcelco", &url("/orders?limit=20".into())),
        ),
        (
            "A parameter that the rule does not list: refused, so that nothing can be probed".into(),
            curl("parcelco", &url("/orders?sort=recipient.phone".into())),
        ),
        (
            "A ticket for the support vendor: contact details, no date of birth, no notes".into(),
            curl("helpdesk", &url(format!("/tickets/{ticket}"))),
        ),
        (
            "The vendor answers; a field that the rule does not accept would be refused".into(),
            curl(
                "helpdesk",
                &format!(
                    "-H 'Content-Type: application/json' -d '{{\"comment\":\"We are on it.\"}}' {}",
                    url(format!("/tickets/{ticket}/comments"))
                ),
            ),
        ),
        (
            "Without a certificate or key: nothing".into(),
            format!("curl -s --cacert {certs}/company-ca.pem {}", url(format!("/orders/{ready}"))),
        ),
        ("What was disclosed, to whom, and why".into(), ledger("query")),
        (
            "All that was disclosed about one customer; --format html gives a page for the customer".into(),
            ledger(&format!("account {customer} --by demo")),
        ),
        ("The whole ledger, verified entry by entry".into(), ledger("verify")),
    ];
    for (what, command) in lines {
        println!("# {what}\n{command}\n");
    }
}

fn config_path(folder: &Path) -> PathBuf {
    let path = folder.join("fieldgate.toml");
    path.strip_prefix(".").map(Path::to_path_buf).unwrap_or(path)
}

/// How this program was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "fieldgate".to_owned())
}
