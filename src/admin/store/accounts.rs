//! Who may sign in.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::sessions::END_ALL;
use super::statement::Statement;
use super::{ReviewError, Store, now};

pub const MIGRATION: &str = "
CREATE TABLE account (
    name        TEXT PRIMARY KEY,
    role        TEXT NOT NULL,
    password    TEXT,
    certificate TEXT UNIQUE,
    created     INTEGER NOT NULL,
    changed     INTEGER NOT NULL
) STRICT;";

const ADD: Statement = Statement::new(
    "account-add",
    "INSERT OR IGNORE INTO account (name, role, password, certificate, created, changed)
     VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
);
const REMOVE: Statement = Statement::new("account-remove", "DELETE FROM account WHERE name = ?1");
const ROLE: Statement =
    Statement::new("account-role", "UPDATE account SET role = ?2, changed = ?3 WHERE name = ?1");
const PASSWORD: Statement =
    Statement::new("account-password", "UPDATE account SET password = ?2, changed = ?3 WHERE name = ?1");
const END_OTHERS: Statement =
    Statement::new("session-end-others", "DELETE FROM session WHERE account = ?1 AND hash IS NOT ?2");
pub const STATEMENTS: &[Statement] = &[ADD, REMOVE, ROLE, PASSWORD, END_OTHERS];

/// Characters of a password that somebody chooses.
const LEAST: usize = 12;
/// Bytes; what is longer costs time before it is compared.
const MOST: usize = 1024;
/// Random bytes in a password that is made.
const MADE: usize = 18;
/// Bytes.
const SALT: usize = 16;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks customers up, exports, decides about alerts, signs reviews off.
    Reviewer,
    /// Keeps the gateway going: suspends and resumes contractors, verifies the ledger. Looks nobody up.
    Operator,
    /// Sees everything and changes nothing.
    Auditor,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Account {
    pub name: String,
    pub role: Role,
    /// There is one to sign in with.
    pub has_password: bool,
    /// A name in a client certificate that is as good as a password: `URI:…` or `DNS:…`.
    pub certificate: Option<String>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub created: i64,
}

/// Why an account is not as somebody wants it.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(
        "an account's name has 1 to 64 characters out of a-z, 0-9, '.', '_', '-', '@', such as anna or anna@shop.example"
    )]
    Name,
    #[error("a password has at least {LEAST} characters, and at most {MOST} bytes")]
    Password,
    #[error("a certificate is named as URI:spiffe://… or DNS:…")]
    Certificate,
    #[error("there is an account {0} already")]
    Exists(String),
    #[error("there is no account {0}")]
    Missing(String),
    #[error("the password could not be hashed")]
    Hash,
    #[error(transparent)]
    Store(#[from] ReviewError),
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Reviewer, Role::Operator, Role::Auditor];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Reviewer => "reviewer",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
        }
    }

    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl Store {
    /// All accounts, by name.
    ///
    /// # Errors
    /// What the database says.
    pub fn accounts(&self) -> Result<Vec<Account>, ReviewError> {
        self.read(|connection| {
            let sql =
                "SELECT name, role, password IS NOT NULL, certificate, created FROM account ORDER BY name";
            let mut statement = connection.prepare_cached(sql)?;
            let accounts = statement.query_map([], account)?.flat_map(Result::transpose);
            accounts.collect()
        })
    }

    /// # Errors
    /// What the database says.
    pub fn account(&self, name: &str) -> Result<Option<Account>, ReviewError> {
        self.one("name", name)
    }

    /// The account that a certificate with this name stands for.
    ///
    /// # Errors
    /// What the database says.
    pub fn account_of_certificate(&self, name: &str) -> Result<Option<Account>, ReviewError> {
        self.trusted()?;
        self.one("certificate", name)
    }

    fn one(&self, column: &str, value: &str) -> Result<Option<Account>, ReviewError> {
        self.read(|connection| {
            let sql = format!(
                "SELECT name, role, password IS NOT NULL, certificate, created FROM account WHERE {column} = ?1"
            );
            let found = connection.prepare_cached(&sql)?.query_row([value], account).optional()?;
            Ok(found.flatten())
        })
    }

    /// Makes an account.
    ///
    /// # Errors
    /// Where name, password or certificate are not fit, or are there already.
    pub fn add_account(
        &self,
        name: &str,
        role: Role,
        password: Option<&str>,
        certificate: Option<&str>,
    ) -> Result<(), AccountError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return Err(AccountError::Name);
        }
        if certificate.is_some_and(|name| !(name.starts_with("URI:") || name.starts_with("DNS:"))) {
            return Err(AccountError::Certificate);
        }
        let password = password.map(hash).transpose()?;
        let added = self
            .change(|change| change.run(&ADD, params![name, role.as_str(), password, certificate, now()]))?;
        if added == 0 { Err(AccountError::Exists(name.to_owned())) } else { Ok(()) }
    }

    /// Takes an account away, and ends its sessions; false where there is none.
    ///
    /// # Errors
    /// What the database says.
    pub fn remove_account(&self, name: &str) -> Result<bool, ReviewError> {
        self.change(|change| {
            change.run(&END_ALL, params![name])?;
            Ok(change.run(&REMOVE, params![name])? > 0)
        })
    }

    /// Gives another role; what is open goes by it with the next request.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn set_role(&self, name: &str, role: Role) -> Result<(), AccountError> {
        let changed = self.change(|change| change.run(&ROLE, params![name, role.as_str(), now()]))?;
        if changed == 0 { Err(AccountError::Missing(name.to_owned())) } else { Ok(()) }
    }

    /// Gives another password, and ends all sessions and tokens of the account but `keep`.
    ///
    /// # Errors
    /// Where there is no such account, or the password is not fit.
    pub fn set_password(&self, name: &str, password: &str, keep: Option<&[u8]>) -> Result<(), AccountError> {
        let password = hash(password)?;
        let changed = self.change(|change| {
            change.run(&END_OTHERS, params![name, keep])?;
            change.run(&PASSWORD, params![name, password, now()])
        })?;
        if changed == 0 { Err(AccountError::Missing(name.to_owned())) } else { Ok(()) }
    }

    /// The account, where the password is right. It takes its time, and as long where there is no such account.
    ///
    /// # Errors
    /// What the database says.
    pub fn check_password(&self, name: &str, password: &str) -> Result<Option<Account>, ReviewError> {
        self.trusted()?;
        let known: Option<String> = self.read(|connection| {
            let sql = "SELECT password FROM account WHERE name = ?1";
            let found = connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
            Ok(found.flatten())
        })?;
        let hash = known.as_deref().unwrap_or(NOBODY);
        let fits =
            password.len() <= MOST && Argon2::default().verify_password(password.as_bytes(), hash).is_ok();
        if fits && known.is_some() { self.account(name) } else { Ok(None) }
    }
}

/// The hash of a password that nobody knows, for accounts that are not there.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A role that this version does not know is none.
fn account(row: &Row) -> rusqlite::Result<Option<Account>> {
    let role: String = row.get(1)?;
    let Some(role) = Role::parse(&role) else { return Ok(None) };
    Ok(Some(Account {
        name: row.get(0)?,
        role,
        has_password: row.get(2)?,
        certificate: row.get(3)?,
        created: row.get(4)?,
    }))
}

/// Argon2id with the crate's parameters (19 MiB, two passes: RFC 9106, as OWASP advises).
fn hash(password: &str) -> Result<String, AccountError> {
    if password.chars().count() < LEAST || password.len() > MOST {
        return Err(AccountError::Password);
    }
    let mut salt = [0; SALT];
    rand::fill(&mut salt).map_err(|_| AccountError::Hash)?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|_| AccountError::Hash)
}

/// A password that nobody chose: 144 random bits.
///
/// # Errors
/// Where the system has no randomness.
pub fn new_password() -> Result<String, AccountError> {
    let mut bytes = [0; MADE];
    rand::fill(&mut bytes).map_err(|_| AccountError::Hash)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_right_or_wrong_and_a_new_one_ends_sessions() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("fieldgate.db")).unwrap();
        store.add_account("anna", Role::Reviewer, Some("correct horse battery"), None).unwrap();
        assert_eq!(
            store.check_password("anna", "correct horse battery").unwrap().unwrap().role,
            Role::Reviewer
        );
        assert!(store.check_password("anna", "correct horse").unwrap().is_none());
        assert!(store.check_password("bert", "correct horse battery").unwrap().is_none());
        let again = store.add_account("anna", Role::Auditor, None, None);
        assert!(matches!(again, Err(AccountError::Exists(_))));
        assert!(matches!(store.add_account("An na", Role::Auditor, None, None), Err(AccountError::Name)));
        assert!(matches!(store.set_password("anna", "short", None), Err(AccountError::Password)));
        let token =
            store.begin_session("anna", super::super::SessionKind::Browser, now() + 1_000_000_000).unwrap();
        assert!(store.session(&token).unwrap().is_some());
        store.set_password("anna", &new_password().unwrap(), None).unwrap();
        assert!(store.session(&token).unwrap().is_none());
        assert!(store.check_password("anna", "correct horse battery").unwrap().is_none());
    }

    #[test]
    fn an_account_without_a_password_has_none_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("fieldgate.db")).unwrap();
        store.add_account("anna", Role::Auditor, None, Some("URI:spiffe://shop.example/anna")).unwrap();
        assert!(store.check_password("anna", "").unwrap().is_none());
        let found = store.account_of_certificate("URI:spiffe://shop.example/anna").unwrap();
        assert_eq!(found.unwrap().name, "anna");
        // The made-up hash is one that is compared, so that it takes as long.
        assert!(argon2::password_hash::phc::PasswordHash::new(NOBODY).is_ok());
    }
}
