//! Who is signed in: sessions of browsers, and tokens of programs.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::params;
use serde::Serialize;
use utoipa::ToSchema;

use super::statement::Statement;
use super::{ReviewError, Role, Store, now};

pub const MIGRATION: &str = "
CREATE TABLE session (
    hash    BLOB PRIMARY KEY,
    account TEXT NOT NULL,
    role    TEXT,
    kind    TEXT NOT NULL,
    label   TEXT NOT NULL DEFAULT '',
    begun   INTEGER NOT NULL,
    used    INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_account ON session (account);";

// An account may be gone by the time that its session is begun.
const BEGIN: Statement = Statement::new(
    "session-begin",
    "INSERT INTO session (hash, account, role, kind, label, begun, used, expires)
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7
     WHERE ?3 IS NOT NULL OR EXISTS (SELECT 1 FROM account WHERE name = ?2)",
);
const EXPIRE: Statement = Statement::new("session-expire", "DELETE FROM session WHERE expires < ?1");
pub const USED: Statement =
    Statement::new("session-used", "UPDATE session SET used = ?2 WHERE hash = ?1 AND used < ?2");
const END: Statement = Statement::new("session-end", "DELETE FROM session WHERE hash = ?1");
pub const END_ALL: Statement = Statement::new("session-end-all", "DELETE FROM session WHERE account = ?1");
pub const STATEMENTS: &[Statement] = &[BEGIN, EXPIRE, USED, END, END_ALL];

/// Random bytes of a token.
const BYTES: usize = 32;
/// Microseconds; a session's last use is written down no oftener.
const NOTE: i64 = 60_000_000;

/// What proves a session. Shown once, kept as a hash.
pub struct Token(String);

/// How somebody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// By a cookie.
    Browser,
    /// By a bearer token.
    Program,
}

/// Somebody who is signed in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// Tells sessions apart, and proves nothing: of its token's hash the first bytes.
    pub id: String,
    #[serde(skip)]
    pub hash: Vec<u8>,
    pub account: String,
    pub role: Role,
    pub kind: SessionKind,
    /// What a program's token is for.
    pub label: String,
    /// Microseconds since 1970-01-01T00:00:00Z, as the others.
    pub begun: i64,
    pub used: i64,
    pub expires: i64,
}

impl Token {
    fn new() -> Option<Token> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).ok()?;
        Some(Token(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// As a client shows it.
    pub fn of(text: &str) -> Token {
        Token(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> Vec<u8> {
        digest(&SHA256, self.0.as_bytes()).as_ref().to_vec()
    }

    /// What a form must show: who can read it has the page, and the cookie alone does not give it.
    pub fn form_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, format!("form {}", self.0).as_bytes()))
    }
}

impl SessionKind {
    fn as_str(self) -> &'static str {
        match self {
            SessionKind::Browser => "browser",
            SessionKind::Program => "program",
        }
    }
}

impl Store {
    /// Begins a session of an account that is there.
    ///
    /// # Errors
    /// What the database says.
    pub fn begin_session(
        &self,
        account: &str,
        kind: SessionKind,
        expires: i64,
    ) -> Result<Token, ReviewError> {
        self.begin(account, None, kind, "", expires)
    }

    /// Begins one of somebody whom an identity provider vouches for.
    ///
    /// # Errors
    /// What the database says.
    pub fn begin_foreign_session(
        &self,
        account: &str,
        role: Role,
        expires: i64,
    ) -> Result<Token, ReviewError> {
        self.begin(account, Some(role), SessionKind::Browser, "", expires)
    }

    /// Makes a token for a program.
    ///
    /// # Errors
    /// What the database says.
    pub fn new_token(&self, account: &str, label: &str, expires: i64) -> Result<Token, ReviewError> {
        self.begin(account, None, SessionKind::Program, label, expires)
    }

    fn begin(
        &self,
        account: &str,
        role: Option<Role>,
        kind: SessionKind,
        label: &str,
        expires: i64,
    ) -> Result<Token, ReviewError> {
        self.change(|change| {
            let token = Token::new().ok_or(rusqlite::Error::InvalidQuery)?;
            change.run(&EXPIRE, params![now()])?;
            let role = role.map(Role::as_str);
            let values = params![token.hash(), account, role, kind.as_str(), label, now(), expires];
            change.run(&BEGIN, values)?;
            Ok(token)
        })
    }

    /// The session that a token proves. Its role is that of the account now.
    ///
    /// # Errors
    /// What the database says.
    pub fn session(&self, token: &Token) -> Result<Option<Session>, ReviewError> {
        self.trusted()?;
        let hash = token.hash();
        let sessions = self.sessions_where("session.hash = ?1", &hash)?;
        let Some(session) = sessions.into_iter().next() else { return Ok(None) };
        if session.expires <= now() {
            return Ok(None);
        }
        Ok(Some(session))
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// What the database says.
    pub fn note_use(&self, session: &Session) -> Result<(), ReviewError> {
        if now() - session.used < NOTE {
            return Ok(());
        }
        if let Some(fleet) = &self.fleet {
            // Nobody waits for the database to see a page.
            fleet.note_use(&session.hash, now());
            return Ok(());
        }
        self.change(|change| change.run(&USED, params![session.hash, now()]))?;
        Ok(())
    }

    /// The sessions and tokens of an account, the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn sessions_of(&self, account: &str) -> Result<Vec<Session>, ReviewError> {
        let mut sessions = self.sessions_where("session.account = ?1 AND ?1 <> ''", account)?;
        sessions.retain(|session| session.expires > now());
        sessions.sort_by_key(|session| std::cmp::Reverse(session.begun));
        Ok(sessions)
    }

    fn sessions_where(&self, which: &str, value: impl rusqlite::ToSql) -> Result<Vec<Session>, ReviewError> {
        let sql = format!(
            "SELECT session.hash, session.account, coalesce(session.role, account.role), kind, label, begun, used,
                expires FROM session LEFT JOIN account ON account.name = session.account WHERE {which}"
        );
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([value])?;
            let mut sessions = Vec::new();
            while let Some(row) = rows.next()? {
                let (hash, role, kind): (Vec<u8>, Option<String>, String) =
                    (row.get(0)?, row.get(2)?, row.get(3)?);
                let used = row.get(6)?;
                let used = self.fleet.as_ref().map_or(used, |fleet| fleet.used(&hash, used));
                // An account that is gone has no role, and no session.
                let Some(role) = role.as_deref().and_then(Role::parse) else { continue };
                sessions.push(Session {
                    id: hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect(),
                    hash,
                    account: row.get(1)?,
                    role,
                    kind: if kind == "program" { SessionKind::Program } else { SessionKind::Browser },
                    label: row.get(4)?,
                    begun: row.get(5)?,
                    used,
                    expires: row.get(7)?,
                });
            }
            Ok(sessions)
        })
    }

    /// Ends a session of an account by its id; false where there is none.
    ///
    /// # Errors
    /// What the database says.
    pub fn end_session(&self, account: &str, id: &str) -> Result<bool, ReviewError> {
        let hash =
            self.sessions_of(account)?.into_iter().find(|session| session.id == id).map(|found| found.hash);
        let Some(hash) = hash else { return Ok(false) };
        Ok(self.change(|change| change.run(&END, params![hash]))? > 0)
    }

    /// Ends all sessions and tokens of an account.
    ///
    /// # Errors
    /// What the database says.
    pub fn end_sessions(&self, account: &str) -> Result<usize, ReviewError> {
        self.change(|change| change.run(&END_ALL, params![account]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_time_by_order_and_with_its_account() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("fieldgate.db")).unwrap();
        store.add_account("anna", Role::Reviewer, None, None).unwrap();
        let hour = 3_600_000_000;
        let late = store.begin_session("anna", SessionKind::Browser, now() - 1).unwrap();
        assert!(store.session(&late).unwrap().is_none());
        let token = store.begin_session("anna", SessionKind::Browser, now() + hour).unwrap();
        let session = store.session(&token).unwrap().unwrap();
        assert_eq!((session.account.as_str(), session.role), ("anna", Role::Reviewer));
        store.set_role("anna", Role::Auditor).unwrap();
        assert_eq!(store.session(&token).unwrap().unwrap().role, Role::Auditor);
        assert!(!store.end_session("bert", &session.id).unwrap());
        assert!(store.end_session("anna", &session.id).unwrap());
        assert!(store.session(&token).unwrap().is_none());
        let token = store.new_token("anna", "siem", now() + hour).unwrap();
        assert_eq!(store.session(&token).unwrap().unwrap().kind, SessionKind::Program);
        store.remove_account("anna").unwrap();
        assert!(store.session(&token).unwrap().is_none());
        let foreign = store.begin_foreign_session("bert@shop.example", Role::Operator, now() + hour).unwrap();
        assert_eq!(store.session(&foreign).unwrap().unwrap().role, Role::Operator);
        assert!(store.session(&Token::of("")).unwrap().is_none());
        let bytes = std::fs::read(Store::path_of(&folder.path().join("fieldgate.db"))).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(foreign.as_str()));
    }
}
