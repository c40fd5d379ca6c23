//! A PostgreSQL of the test's own, from the distribution's packages, and a wire to it that can be cut.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fieldgate::authority::Authority;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub struct Postgres {
    folder: TempDir,
    pub port: u16,
    /// As `-c` takes them.
    settings: Vec<String>,
    server: Option<Child>,
}

/// The newest version that is there.
fn program(name: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed")
        .map(|version| version.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is installed")
}

/// The server does not run as root.
fn as_postgres(program: PathBuf) -> Command {
    if rustix::process::getuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

impl Postgres {
    /// With a database `fieldgate` and its tables; the gateways' user is `gateway`.
    pub fn start() -> Postgres {
        Postgres::start_with(&["shared_buffers=32MB".to_owned()])
    }

    /// The same, with settings of its own.
    pub fn start_with(settings: &[String]) -> Postgres {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut postgres = Postgres { folder, port, settings: settings.to_vec(), server: None };
        let made = as_postgres(program("initdb"))
            .args(["-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "-D"])
            .arg(postgres.data())
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        postgres.begin();
        postgres.sql("postgres", "CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'of the owner'");
        postgres.sql("postgres", "CREATE ROLE gateway LOGIN PASSWORD 'of the gateway'");
        postgres.sql("postgres", "CREATE DATABASE fieldgate OWNER owner");
        assert!(postgres.migrate().status.success());
        postgres.sql("fieldgate", "GRANT fieldgate_gateway TO gateway");
        postgres
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn migrate(&self) -> std::process::Output {
        self.migrate_in("fieldgate")
    }

    pub fn migrate_in(&self, database: &str) -> std::process::Output {
        let password = self.password_file("of the owner");
        Command::new(env!("CARGO_BIN_EXE_fieldgate"))
            .args(["fleet", "migrate", "--url"])
            .arg(format!("postgres://owner@127.0.0.1:{}/{database}", self.port))
            .arg("--password-file")
            .arg(password)
            .output()
            .unwrap()
    }

    /// A file with this password.
    pub fn password_file(&self, password: &str) -> PathBuf {
        let path = self.folder.path().join(password.replace(' ', "-"));
        std::fs::write(&path, format!("{password}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// Speaks TLS from its next start on, with a certificate of `authority`; `user` shows one of the contractors'
    /// authority, the others a password.
    pub fn secure(&self, authority: &Authority, user: &str) {
        for (name, from) in [
            ("server.pem", authority.certificate("gateway")),
            ("server.key", authority.key("gateway")),
            ("clients.pem", authority.certificate("contractor-ca")),
        ] {
            // The server reads a key that is its own and nobody else's.
            let text = std::fs::read_to_string(from).unwrap();
            let (path, mode) = (self.data().join(name), PermissionsExt::from_mode(0o600));
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, mode).unwrap();
            let owner = std::fs::metadata(self.data()).unwrap();
            std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let file = self.data().join("postgresql.conf");
        let before = std::fs::read_to_string(&file).unwrap();
        let added = "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\nssl_ca_file = 'clients.pem'\n";
        std::fs::write(file, before + added).unwrap();
        let access = format!(
            "local all all trust\nhostssl all {user} 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        );
        std::fs::write(self.data().join("pg_hba.conf"), access).unwrap();
    }

    /// Starts the server and waits for it.
    pub fn begin(&mut self) {
        let port = self.port.to_string();
        let server = as_postgres(program("postgres"))
            .args(self.settings.iter().flat_map(|setting| ["-c", setting]))
            .args(["-c", "listen_addresses=127.0.0.1", "-p", &port, "-k"])
            .arg(self.folder.path())
            .arg("-D")
            .arg(self.data())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.server = Some(server.unwrap());
        let began = Instant::now();
        while !self.try_sql("postgres", "SELECT 1").0 {
            assert!(began.elapsed() < Duration::from_secs(30), "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The process that listens.
    pub fn pid(&self) -> String {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    /// As with SIGQUIT: nothing is saved any more.
    pub fn end(&mut self) {
        assert!(Command::new("kill").args(["-QUIT", &self.pid()]).status().unwrap().success());
        if let Some(mut server) = self.server.take() {
            server.wait().unwrap();
        }
    }

    /// All that the server does stands still, or goes on.
    pub fn hold(&self, still: bool) {
        let signal = if still { "-STOP" } else { "-CONT" };
        let _ = Command::new("pkill").args([signal, "-P", &self.pid()]).status().unwrap();
    }

    fn try_sql(&self, database: &str, sql: &str) -> (bool, String) {
        let output = Command::new(program("psql"))
            .args(["-U", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql, "-h"])
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string()])
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    /// As its administrator.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let (done, text) = self.try_sql(database, sql);
        assert!(done, "{sql}");
        text.trim_end().to_owned()
    }

    /// A copy of its files as they are, and back.
    pub fn copy(&self, from: &str, to: &str) {
        let folder = self.folder.path();
        let copied = Command::new("cp").arg("-a").arg(folder.join(from)).arg(folder.join(to)).status();
        assert!(copied.unwrap().success());
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_dir_all(self.folder.path().join(name)).unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            self.hold(false);
            let _ = Command::new("kill").args(["-QUIT", &self.pid()]).status();
            let _ = server.wait();
        }
    }
}

/// A wire to a server. While it is deaf, what the server says does not arrive, and the next word of it ends the
/// connection.
pub struct Wire {
    pub address: SocketAddr,
    deaf: Arc<AtomicBool>,
}

impl Wire {
    pub async fn to(port: u16) -> Wire {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, deaf) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let ear = Arc::clone(&deaf);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let ear = Arc::clone(&ear);
                tokio::spawn(async move {
                    let (mut said, mut asked) = (vec![0; 1 << 16], vec![0; 1 << 16]);
                    loop {
                        tokio::select! {
                            read = client.read(&mut asked) => match read {
                                Ok(count) if count > 0 => server.write_all(&asked[..count]).await.unwrap_or(()),
                                _ => return,
                            },
                            read = server.read(&mut said) => match read {
                                Ok(count) if count > 0 && !ear.load(Ordering::Relaxed) => {
                                    client.write_all(&said[..count]).await.unwrap_or(());
                                }
                                _ => return,
                            },
                        }
                    }
                });
            }
        });
        Wire { address, deaf }
    }

    pub fn deafen(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Relaxed);
    }
}
