//! Rules as they were: the files behind each digest that came into force, without the customers that they name.

use rusqlite::params;
use serde::Serialize;
use utoipa::ToSchema;

use crate::rules::{Plan, shown};

use super::statement::Statement;
use super::{ReviewError, Store, now};

pub const MIGRATION: &str = "
CREATE TABLE rules (
    digest TEXT NOT NULL,
    file   TEXT NOT NULL,
    text   TEXT NOT NULL,
    kept   INTEGER NOT NULL,
    PRIMARY KEY (digest, file)
) STRICT, WITHOUT ROWID;";

const KEEP: Statement = Statement::new(
    "rules-keep",
    "INSERT OR IGNORE INTO rules (digest, file, text, kept) VALUES (?1, ?2, ?3, ?4)",
);
pub const STATEMENTS: &[Statement] = &[KEEP];

/// A rule file as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeptRules {
    /// Its name, without its folder.
    pub file: String,
    pub text: String,
}

impl Store {
    /// Keeps the files of rules that are to come into force, where they are not kept yet.
    ///
    /// # Errors
    /// What the database says.
    pub fn keep_rules(&self, plan: &Plan) -> Result<(), ReviewError> {
        let digest = plan.digest.as_str();
        if !self.rules(digest)?.is_empty() {
            return Ok(());
        }
        self.change(|change| {
            for source in &plan.sources {
                let name = source.name.rsplit('/').next().unwrap_or_default();
                change.run(&KEEP, params![digest, name, shown(source), now()])?;
            }
            Ok(())
        })
    }

    /// The rule files of a digest, by name; none where they are not known.
    ///
    /// # Errors
    /// What the database says.
    pub fn rules(&self, digest: &str) -> Result<Vec<KeptRules>, ReviewError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT file, text FROM rules WHERE digest = ?1 ORDER BY file")?;
            let files = statement
                .query_map([digest], |row| Ok(KeptRules { file: row.get(0)?, text: row.get(1)? }))?;
            files.collect()
        })
    }
}
