//! What a client notices of rules that change while it asks: rows at rest and rows with changes, in turn.

use std::path::Path;
use std::time::{Duration, Instant};

use fieldgate::ledger::Log;

use super::client::{self, Client, Load};
use super::{Failure, process};

/// How long each row is measured.
const ROW: Duration = Duration::from_secs(8);
/// Between two changes: a folder must have rested before it is read.
const PAUSE: Duration = Duration::from_millis(1100);
const ROUNDS: usize = 3;

/// With so many contractors.
pub async fn measure(contractors: usize) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (_upstreams, gateway) = process::start(folder.path(), "")?;
    let rules = folder.path().join("rules");
    let sample = std::fs::read_to_string(rules.join("swiftpost.toml"))?;
    for number in 2..contractors {
        let name = format!("partner-{number}");
        std::fs::write(rules.join(format!("{name}.toml")), sample.replace("swiftpost", &name))?;
    }
    println!("{contractors} contractors, {} requests/s, {ROUNDS} rounds of {ROW:?} each", client::RATE);
    let guest = Client::new(folder.path(), "parcelco", gateway.address, [127, 0, 0, 1])?;
    let senders = client::connect(&guest).await?;
    // The new contractors come into force, and all is warm.
    client::load(&senders, ROW / 2).await;
    let (mut rest, mut changing) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        rest.push(client::load(&senders, ROW).await);
        let (load, _) = tokio::join!(client::load(&senders, ROW), change(&rules, &sample));
        changing.push(load);
    }
    let activated = activations(folder.path())?;
    for (name, loads) in [("at rest", &rest), ("changing", &changing)] {
        let failed: usize = loads.iter().map(|load| load.failed).sum();
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| median(loads, share));
        println!("rules {name}: p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, not served {failed}");
    }
    println!(
        "activations: {activated}; p99 later by {:.2} ms",
        median(&changing, 0.99) - median(&rest, 0.99)
    );
    Ok(())
}

/// One contractor may see one customer more, again and again.
async fn change(rules: &Path, text: &str) -> Result<(), Failure> {
    let (file, fresh) = (rules.join("swiftpost.toml"), rules.join("fresh"));
    let began = Instant::now();
    let mut number = 0_u32;
    while began.elapsed() + PAUSE < ROW {
        number += 1;
        let changed = text.replace("20_000", &format!("{}", 20_000 + number));
        assert_ne!(changed, text, "the sample rules have another limit");
        std::fs::write(&fresh, changed)?;
        std::fs::rename(&fresh, &file)?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn median(loads: &[Load], share: f64) -> f64 {
    let mut values: Vec<f64> = loads.iter().map(|load| load.percentile(share)).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How often rules came into force, as the ledger says.
fn activations(folder: &Path) -> Result<usize, Failure> {
    let log = Log::open(&folder.join("ledger/fieldgate.db"))?;
    let mut count = 0;
    for position in 0..log.size() {
        let entry: serde_json::Value = serde_json::from_slice(&log.entry(position)?.unwrap_or_default())?;
        count += usize::from(entry["kind"] == "rules");
    }
    Ok(count)
}
