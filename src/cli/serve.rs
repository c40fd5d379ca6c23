//! `fieldgate serve`.

use anyhow::{Context, bail};

use crate::app::supervisor::{News, Supervisor, handed_socket};
use crate::app::{self, Server, process};
use crate::diagnostic::Severity;
use crate::diagnostic::print::{print_diagnostics, summary};
use crate::sandbox;

use super::{Answer, ConfigPath};

/// Steps of requests after which a thread that has more to do looks whether sockets have news: the largest take
/// a tenth of a millisecond and more, and who has just written waits for all of them.
const LOOK: u32 = 8;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    sandbox::keep_to_itself().context("the process cannot keep its memory to itself")?;
    let socket = handed_socket()?;
    let config = arguments.config.load()?;
    process::check_files(&config)?;
    let keys = app::load_keys(&config)?;
    let loaded = app::load_rules(&config, keys.pseudonyms.clone()).context("the rules cannot be read")?;
    // What a path costs is for who writes it.
    let mut doubts = loaded.diagnostics.clone();
    doubts.retain(|diagnostic| diagnostic.severity() != Severity::Note);
    print_diagnostics(&doubts);
    let Some(plan) = loaded.plan else {
        bail!("the rules have {}", summary(&loaded.diagnostics));
    };
    let reach = process::reach(&config, &plan.key_stores, socket.as_ref())?;
    let supervisor = Supervisor::from_environment();
    let missing = process::make_room(config.limits.connections);
    // Before the log and the runtime, which start threads.
    let demand = config.process.sandbox;
    let enforced = process::confine(demand, &reach)?;
    let _log = app::log(&config.telemetry.log)?;
    process::log(demand, &enforced);
    if let Some((files, needed)) = missing {
        tracing::warn!(
            files,
            needed,
            "fewer files may be open than limits.connections need: raise the hard limit"
        );
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().event_interval(LOOK).build()?.block_on(async move {
        let server = Server::start(&config, plan, &keys, socket).await?;
        // Caught from now on: who sees the next line may at once send a signal.
        let stop = app::stop_signal()?;
        if let Some(address) = server.admin_address() {
            tracing::info!(target: "fieldgate::ready", %address, "admin side");
        }
        let address = server.address()?;
        tracing::info!(target: "fieldgate::ready", %address, "listening");
        supervisor.tell(News::Ready(address));
        let stop = async move {
            stop.await;
            supervisor.tell(News::Stopping);
        };
        // On a worker, which then accepts and serves in one go: this thread would be woken for each connection.
        if let Err(ended) = tokio::spawn(server.run(stop)).await {
            // What a panic says may hold a value.
            std::panic::resume_unwind(ended.into_panic());
        }
        Ok(Answer::Yes)
    })
}
