//! Asking the database from a thread that does nothing else.

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Row};

use super::super::error::StoreError;
use super::{Database, STATEMENT, runtime, within};

/// A connection that is made when it is needed, and anew after a failure.
pub struct Asking {
    runtime: Runtime,
    client: Option<Client>,
    database: Database,
}

impl Asking {
    /// # Errors
    /// Where no thread can ask.
    pub fn new(database: Database) -> Result<Self, StoreError> {
        Ok(Asking { runtime: runtime()?, client: None, database })
    }

    /// # Errors
    /// Where the database cannot be asked.
    pub fn ask(
        &mut self,
        question: impl AsyncFn(&Client) -> Result<Vec<Row>, tokio_postgres::Error>,
    ) -> Result<Vec<Row>, StoreError> {
        let asking = async {
            let client = match self.client.take() {
                Some(client) if !client.is_closed() => client,
                _ => self.database.connect(None).await?,
            };
            let rows = question(&client).await?;
            // After a failure it is made anew.
            self.client = Some(client);
            Ok(rows)
        };
        Ok(self.runtime.block_on(within(STATEMENT * 2, asking))?)
    }
}
