//! Takes tokens from the fleet's buckets for all stocks of this node: what they want at the same time is one question.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::{Client, Row, Statement};

use super::stock::{Ask, Grant, Stock};
use super::{Database, DatabaseError, within};

const LEASE: &str =
    "SELECT place, granted, remaining, wait FROM fieldgate.lease($1, $2, $3, $4, $5, $6, $7, $8)";
/// How often is seen to what is to be given back; the database counts on it for longer.
const TICK: Duration = Duration::from_millis(500);
/// For one question. Who waits for it gives up before.
const ANSWER: Duration = Duration::from_secs(1);
/// Behind a failure.
const PAUSE: Duration = Duration::from_millis(50);

/// The stocks of this node.
#[derive(Debug, Default)]
pub struct Leases {
    stocks: Mutex<Vec<Weak<Stock>>>,
    wake: Arc<Notify>,
}

/// What a stock asks for.
type Asked = (Arc<Stock>, Ask);

impl Leases {
    /// A stock of the bucket `name`, which gets a token each `interval` and has at most `burst`.
    pub fn stock(&self, name: String, interval: Duration, burst: u32) -> Arc<Stock> {
        let stock = Arc::new(Stock::new(name, interval, burst, Arc::clone(&self.wake)));
        let mut stocks = self.stocks.lock().unwrap_or_else(PoisonError::into_inner);
        stocks.retain(|stock| stock.strong_count() > 0);
        stocks.push(Arc::downgrade(&stock));
        stock
    }

    fn gather(&self) -> Vec<Asked> {
        let stocks = self.stocks.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = stocks.iter().filter_map(Weak::upgrade);
        asked.filter_map(|stock| stock.gather().map(|ask| (stock, ask))).collect()
    }

    /// Fills stocks as long as it is driven, by a connection of its own.
    pub async fn run(self: Arc<Self>, database: Database) {
        let (mut open, mut trouble) = (None, String::new());
        loop {
            if let Err(error) = self.turn(&database, &mut open).await {
                let text = error.to_string();
                if text != trouble {
                    tracing::warn!(%error, "the rates of the fleet are not known: requests are refused");
                    trouble = text;
                }
                // Who came while there was no connection waits for nothing.
                self.gather().iter().for_each(|(stock, _)| stock.fail());
                tokio::time::sleep(PAUSE).await;
            } else if open.is_some() {
                trouble.clear();
            }
        }
    }

    /// One question, once there is a connection and somebody wants something.
    async fn turn(&self, database: &Database, open: &mut Option<Open>) -> Result<(), DatabaseError> {
        // It is made before a request needs it.
        let connection = match open.take().filter(|(client, _)| !client.is_closed()) {
            Some(connection) => connection,
            None => connect(database).await?,
        };
        let _ = tokio::time::timeout(TICK, self.wake.notified()).await;
        let mut asked = self.gather();
        if asked.is_empty() {
            *open = Some(connection);
            return Ok(());
        }
        let mut answer = lease(connection, &asked).await;
        // A connection that was cut since says nothing about the database.
        if let Err(DatabaseError::Connection(_)) = answer {
            again(&mut asked);
            answer = match connect(database).await {
                Ok(connection) => lease(connection, &asked).await,
                Err(error) => Err(error),
            };
        }
        match answer {
            Ok((connection, rows)) => {
                *open = Some(connection);
                settle(&asked, &rows);
                Ok(())
            }
            Err(error) => {
                asked.iter().for_each(|(stock, _)| stock.fail());
                Err(error)
            }
        }
    }
}

type Open = (Client, Statement);

async fn connect(database: &Database) -> Result<Open, DatabaseError> {
    let client = database.connect(None).await?;
    let statement = within(ANSWER, async { Ok(client.prepare(LEASE).await?) }).await?;
    Ok((client, statement))
}

/// The same question once more: the database may have heard it, so that nothing is given back twice.
fn again(asked: &mut [Asked]) {
    for (stock, ask) in asked {
        *ask = Ask { turn: stock.turn(), back: 0, ..*ask };
    }
}

async fn lease(open: Open, asked: &[Asked]) -> Result<(Open, Vec<Row>), DatabaseError> {
    let (client, statement) = open;
    let of = |number: fn(&Asked) -> i64| asked.iter().map(number).collect::<Vec<i64>>();
    let names: Vec<&str> = asked.iter().map(|(stock, _)| stock.name.as_str()).collect();
    let (holders, turns) = (of(|(stock, _)| stock.holder), of(|(_, ask)| ask.turn));
    let (intervals, bursts) = (of(|(stock, _)| stock.interval), of(|(stock, _)| stock.burst));
    let wanted = of(|(_, ask)| ask.wanted.into());
    let (kept, back) = (of(|(_, ask)| ask.kept.into()), of(|(_, ask)| ask.back.into()));
    let asking = async {
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [&names, &holders, &turns, &intervals, &bursts, &wanted, &kept, &back];
        Ok(client.query(&statement, &values).await?)
    };
    let rows = within(ANSWER, asking).await?;
    Ok(((client, statement), rows))
}

/// A stock without an answer that is understood gets none.
fn settle(asked: &[Asked], rows: &[Row]) {
    for (at, (stock, ask)) in asked.iter().enumerate() {
        let row = rows.iter().find(|row| row.try_get::<_, i64>(0).is_ok_and(|place| place == at as i64 + 1));
        match row.and_then(|row| grant(row, ask)) {
            Some(grant) => stock.settle(*ask, grant),
            None => stock.fail(),
        }
    }
}

fn grant(row: &Row, ask: &Ask) -> Option<Grant> {
    let number = |at: usize| u64::try_from(row.try_get::<_, i64>(at).ok()?).ok();
    let granted = u32::try_from(number(1)?).ok().filter(|granted| *granted <= ask.wanted)?;
    Some(Grant { granted, remaining: number(2)?, wait: Duration::from_nanos(number(3)?) })
}
