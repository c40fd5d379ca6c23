//! Orders of the company's own people to the gateway that runs: a socket in the ledger's folder, on which
//! only its owner can connect. Without a gateway, the command does itself what it would have ordered.
//!
//! **Guarantees.** Whoever asked has the answer only when the entry about it is durable.
//!
//! **Trusts** who can open the socket. **Must not** be reached from a network.
//!
//! **Called by** `app` (serves), the commands (ask).

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Stream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;

use crate::config::{self, Config};
use crate::ledger::{
    self, ConsentOrder, Consents, Draft, Ledger, OwnKind, Saying, Statements, Suspension, SuspensionAction,
    SuspensionEvent, Suspensions, control_socket,
};
use crate::model::{KeyEpoch, RequestId, Subject};
use crate::proxy::Suspended;

use super::fleet::Shared;
use crate::telemetry;

/// Bytes of an order, and of an answer.
const MAX_LINE: u64 = 1 << 16;
/// Bytes of what somebody says about an order.
const MAX_TEXT: usize = 2000;
/// For an order to arrive, and for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Write an entry about what somebody does.
    Record { kind: OwnKind, event: Value },
    /// Begin another key epoch.
    RotateKey { by: String },
    /// Wipe entries before this number out of the journal.
    Scrub(u64),
    /// Give a contractor nothing any more, or something again.
    Suspension(SuspensionEvent),
    /// Take down what customers said.
    Consent(ConsentOrder),
    /// Log by another filter, until the gateway stops.
    Log { filter: String, by: String },
}

/// What came of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The entry's number.
    Recorded(u64),
    /// The epoch that began.
    Rotated(u32),
    /// False where some is left for now.
    Scrubbed(bool),
    /// How many statements changed something.
    Taken(usize),
    /// Lines are written by the new filter.
    Logs,
    Failed(String),
}

/// What carries orders out.
pub struct Control {
    hands: Arc<Hands>,
    listener: Option<UnixListener>,
    socket: PathBuf,
}

pub struct Hands {
    pub ledger: Arc<Ledger>,
    pub files: config::Ledger,
    pub epoch: Arc<ArcSwap<KeyEpoch>>,
    pub suspended: Arc<Suspended>,
    /// What is in force, also where the file could not be written; and that such orders come one after the
    /// other.
    pub suspensions: Mutex<Suspensions>,
    pub consents: Arc<Consents>,
    /// `None` where they cannot be read. Orders about them come one after the other.
    pub statements: Mutex<Option<Statements>>,
    /// Keys change one after the other.
    pub turn: Mutex<()>,
    /// Where several gateways share a database, it is told there, and not to the files.
    pub fleet: Option<Arc<Shared>>,
}

impl Control {
    /// Binds the socket. Where that cannot be done, commands that write an entry need the gateway stopped.
    ///
    /// # Errors
    /// Where a socket that was left cannot be removed.
    pub fn new(hands: Hands) -> anyhow::Result<Self> {
        let socket = control_socket(&hands.files.path);
        // The ledger's lock says that no other gateway has it.
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| socket.display().to_string());
            }
            _ => {}
        }
        let bound = UnixListener::bind(&socket).and_then(|listener| {
            std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o600))?;
            Ok(listener)
        });
        let listener = match bound {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::warn!(%error, "no control socket: commands that write an entry need the gateway stopped");
                None
            }
        };
        Ok(Control { hands: Arc::new(hands), listener, socket })
    }

    /// What carries orders out, for others who give some.
    pub fn hands(&self) -> Arc<Hands> {
        Arc::clone(&self.hands)
    }

    /// Takes orders; does not end.
    pub async fn serve(&self) {
        let Some(listener) = &self.listener else { return std::future::pending().await };
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let hands = Arc::clone(&self.hands);
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(PATIENCE * 2, answer(&hands, stream)).await;
                });
            } else {
                // Out of descriptors, for example: tried again, and not without a pause.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if self.listener.is_some() {
            let _ = std::fs::remove_file(&self.socket);
        }
    }
}

async fn answer(hands: &Hands, stream: UnixStream) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(read.take(MAX_LINE)).read_line(&mut line).await?;
    let outcome = match serde_json::from_str(&line) {
        Ok(order) => hands.carry_out(order).await,
        Err(_) => {
            Outcome::Failed("this gateway does not know that order; use the program of its version".into())
        }
    };
    let mut text = serde_json::to_string(&outcome)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await
}

/// The line about it is written whatever the filter says.
fn log_by(filter: &str, by: &str) -> anyhow::Result<()> {
    telemetry::log::change(filter)?;
    tracing::info!(target: "fieldgate::ready", filter, by, "the log filter was changed");
    Ok(())
}

impl Hands {
    async fn carry_out(&self, order: Order) -> Outcome {
        let outcome = match order {
            Order::Record { kind, event } => self.record(kind, event).await.map(Outcome::Recorded),
            Order::RotateKey { by } => self.rotate(by).await.map(Outcome::Rotated),
            Order::Suspension(event) => self.suspend(event).await.map(Outcome::Recorded),
            Order::Consent(order) => self.consent(order).await.map(Outcome::Taken),
            Order::Log { filter, by } => log_by(&filter, &by).map(|()| Outcome::Logs),
            Order::Scrub(upto) => Ok(Outcome::Scrubbed(self.ledger.scrub(upto).await)),
        };
        outcome.unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")))
    }

    pub async fn record(&self, kind: OwnKind, event: Value) -> anyhow::Result<u64> {
        if kind == OwnKind::Consent {
            bail!("such an entry goes with what it is about");
        }
        let own = ["v", "kind", "id", "time", "salt", "index", "sequence"];
        let is_own = |name: &str| {
            own.contains(&name) || name == "contractor" && !matches!(kind, OwnKind::Review | OwnKind::Alert)
        };
        match event.as_object() {
            Some(members) if !members.keys().any(|name| is_own(name)) => {}
            _ => bail!("an entry cannot say that"),
        }
        let draft = Draft::own(kind, RequestId::new().to_string(), &event);
        Ok(self.ledger.record(draft).await?.position())
    }

    /// A suspension is in force before its entry is written, its end after that: whatever fails, the
    /// contractor stays suspended.
    pub async fn suspend(&self, event: SuspensionEvent) -> anyhow::Result<u64> {
        if let Some(fleet) = &self.fleet {
            return fleet.suspend(&self.ledger, event).await;
        }
        let mut suspensions = self.suspensions.lock().await;
        let draft = Draft::own(OwnKind::Suspension, RequestId::new().to_string(), &event);
        let receipt = match event.action {
            SuspensionAction::Suspended => {
                let since = jiff::Timestamp::now().as_microsecond();
                let suspension = Suspension { since, by: event.by, reason: event.reason };
                suspensions.contractors.insert(event.contractor, suspension);
                // First where it acts at once.
                self.suspended.replace(suspensions.contractors.keys().cloned());
                suspensions.store().context("in force until the gateway stops")?;
                self.ledger.record(draft).await.context("in force, and its entry could not be written")?
            }
            SuspensionAction::Resumed => {
                let receipt = self.ledger.record(draft).await?;
                let mut without = suspensions.clone();
                without.contractors.remove(&event.contractor);
                without.store()?;
                *suspensions = without;
                self.suspended.replace(suspensions.contractors.keys().cloned());
                receipt
            }
        };
        Ok(receipt.position())
    }

    /// Withdrawals are in force before their entries are written, grants after that: whatever fails, the stricter
    /// holds. What a crash leaves between the two is made up for at the next start.
    pub async fn consent(&self, order: ConsentOrder) -> anyhow::Result<usize> {
        check_length(&order)?;
        if let Some(fleet) = &self.fleet {
            let events = |said: &[Saying], news: &[(usize, i64)], generation: u64| {
                self.events(&order, said, news, generation)
            };
            return fleet.consent(&self.ledger, &order, &events).await;
        }
        let mut guard = self.statements.lock().await;
        let statements =
            guard.as_mut().context("it is not known what customers said; see the gateway's log")?;
        self.take(statements, &order).await
    }

    async fn take(&self, statements: &mut Statements, order: &ConsentOrder) -> anyhow::Result<usize> {
        let now = jiff::Timestamp::now().as_microsecond();
        let (granted, withdrawn): (Vec<Saying>, Vec<Saying>) =
            order.said.iter().cloned().partition(|saying| saying.granted);
        let prepared = statements.prepare(&self.consents, &withdrawn, now)?;
        let mut taken = prepared.news.len();
        if !prepared.news.is_empty() {
            self.consents.put(&prepared);
            let generation = prepared.generation();
            let events = self.events(order, &withdrawn, &prepared.news, generation);
            statements.store_or_keep(prepared, events).context("in force until the gateway stops")?;
        }
        // Also what an earlier order has left.
        settle(&self.ledger, statements)
            .await
            .context("withdrawals are in force, and their entries could not be written")?;
        let prepared = statements.prepare(&self.consents, &granted, now)?;
        taken += prepared.news.len();
        if !prepared.news.is_empty() {
            // What is on the disk by then.
            let events = self.events(order, &granted, &prepared.news, prepared.generation() - 1);
            write(&self.ledger, &events, true).await?;
            statements.store(&prepared, &[])?;
            self.consents.put(&prepared);
        }
        Ok(taken)
    }

    /// What the entries say, one for each of the statements that are new.
    fn events(
        &self,
        order: &ConsentOrder,
        said: &[Saying],
        news: &[(usize, i64)],
        generation: u64,
    ) -> Vec<String> {
        let epoch = self.epoch.load_full();
        let events = news.iter().map(|(at, time)| {
            let Saying { subject, scope, granted, receipt, .. } = &said[*at];
            let event = json!({
                "by": order.by, "action": if *granted { "granted" } else { "withdrawn" },
                "purpose": scope.purpose, "towards": scope.contractor, "said": time,
                "source": order.source, "reason": order.reason, "with_receipt": receipt.is_some(),
                "generation": generation, "epoch": epoch.number,
                "subjects": [epoch.key.pseudonym(Subject::new(subject)).to_string()],
            });
            event.to_string()
        });
        events.collect()
    }

    /// The entry comes first: a key that nobody announced is never used.
    async fn rotate(&self, by: String) -> anyhow::Result<u32> {
        if self.fleet.is_some() {
            bail!("the nodes of a fleet share this key, and this version cannot change it for all of them");
        }
        let _turn = self.turn.lock().await;
        let keys = ledger::subject_keys(&self.files.subject_key, &self.files.path)?;
        let number = keys.current().number + 1;
        self.record(OwnKind::Key, json!({ "by": by, "action": "rotated", "epoch": number })).await?;
        let epoch = ledger::begin_epoch(&self.files.subject_key, &keys)?;
        self.epoch.store(Arc::new(epoch));
        Ok(number)
    }
}

/// What does not fit into an entry would keep all later ones out.
fn check_length(order: &ConsentOrder) -> anyhow::Result<()> {
    if [&order.by, &order.reason, &order.source].iter().any(|text| text.len() > MAX_TEXT) {
        bail!("--by, --reason and --source have at most {MAX_TEXT} bytes each");
    }
    Ok(())
}

/// Writes the entries of withdrawals that are in force.
///
/// # Errors
/// Where they are not durable; they are kept for the next attempt.
pub async fn settle(ledger: &Ledger, statements: &mut Statements) -> anyhow::Result<()> {
    let events = statements.pending()?;
    if !events.is_empty() {
        write(ledger, &events, true).await?;
        statements.settled()?;
    }
    Ok(())
}

/// Writes consent entries. Where nothing else does, the ledger `holds` disclosures against those of withdrawals.
///
/// # Errors
/// Where one is not durable.
pub async fn write(ledger: &Ledger, events: &[String], holds: bool) -> anyhow::Result<()> {
    let entries = events.iter().map(|event| {
        // They were made by us.
        let event: Value = serde_json::from_str(event).unwrap_or_default();
        let draft = Draft::own(OwnKind::Consent, RequestId::new().to_string(), &event);
        ledger.record(match (event["action"].as_str(), event["generation"].as_u64()) {
            (Some("withdrawn"), Some(generation)) if holds => draft.withdrawing(generation),
            _ => draft,
        })
    });
    for entry in futures_util::future::join_all(entries).await {
        entry?;
    }
    Ok(())
}

/// Has an order carried out, by the gateway where one runs.
///
/// # Errors
/// Where that did not come about.
pub fn order(config: &Config, order: Order) -> anyhow::Result<Outcome> {
    let outcome = match Stream::connect(control_socket(&config.ledger.path)) {
        Ok(stream) => ask(stream, &order).context("the gateway that runs does not answer")?,
        Err(_) => do_it(config, order)?,
    };
    match outcome {
        Outcome::Failed(why) => bail!("{why}"),
        outcome => Ok(outcome),
    }
}

fn ask(mut stream: Stream, order: &Order) -> anyhow::Result<Outcome> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(order)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Without a gateway.
fn do_it(config: &Config, order: Order) -> anyhow::Result<Outcome> {
    if matches!(order, Order::Log { .. }) {
        bail!("no gateway runs with this configuration; for its next start, write [telemetry] log");
    }
    let keys = super::load_keys(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let fleet = match &config.ledger.fleet {
        Some(fleet) => Some(Arc::new(runtime.block_on(super::fleet::join(&config.ledger, fleet, &keys))?)),
        None => None,
    };
    // First: what another command has written is then on the disk.
    let ledger =
        Arc::new(super::open_ledger(config, fleet.as_ref().map(|fleet| Arc::clone(&fleet.changes)))?);
    let (consents, statements) = match &fleet {
        Some(fleet) => (Arc::clone(&fleet.consents), None),
        None => {
            let (consents, statements) = ledger::consents(&config.ledger.path)?;
            (consents, Some(statements))
        }
    };
    let hands = Hands {
        ledger,
        files: config.ledger.clone(),
        epoch: Arc::new(ArcSwap::from_pointee(keys.subjects.current().clone())),
        suspended: Arc::default(),
        suspensions: Mutex::new(Suspensions::load(&config.ledger.path)?),
        consents,
        statements: Mutex::new(statements),
        turn: Mutex::default(),
        fleet,
    };
    Ok(runtime.block_on(hands.carry_out(order)))
}
