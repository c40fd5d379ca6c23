//! What started the gateway and looks after it: systemd, or a program that does it the same way.
//!
//! **Guarantees.** A socket that is handed over listens on TCP, is the only one, and no other program inherits
//! it. To tell the supervisor something takes a second at most, and no request depends on it.
//!
//! **Trusts** the environment that the process was started with. **Must not** start a thread.
//!
//! **Called by** the command `serve`: what is here is opened before the process is confined.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self as unix, UnixDatagram};
use std::time::Duration;

use anyhow::{Context, ensure};
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// For a supervisor that does not read what it is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// The socket to serve on, where this process was started with one (sd_listen_fds(3)). The variables that say so
/// are removed from the environment, so the caller is the only thread.
///
/// # Errors
/// Where what was handed over is not exactly one TCP socket that listens: to bind the configured address instead
/// would leave those who wait at the socket alone.
pub fn handed_socket() -> anyhow::Result<Option<TcpListener>> {
    let Some(count) = std::env::var_os("LISTEN_FDS").filter(|_| !is_for_another_process()) else {
        return Ok(None);
    };
    ensure!(count == "1", "LISTEN_FDS is {}: the gateway serves on exactly one socket", count.display());
    let socket = ListenFd::from_env().take_tcp_listener(0);
    let socket = socket.context("the socket that LISTEN_FDS hands over cannot be served on")?;
    let socket =
        socket.context("LISTEN_FDS hands over a socket, and LISTEN_PID is not the id of a process")?;
    ensure!(
        socket_acceptconn(&socket)?,
        "the socket that LISTEN_FDS hands over cannot be served on: it does not listen"
    );
    socket.set_nonblocking(true)?;
    Ok(Some(socket))
}

/// The variables were meant for a program that has started this one, and did not remove them.
fn is_for_another_process() -> bool {
    let id = std::env::var("LISTEN_PID").ok().and_then(|id| id.parse::<u32>().ok());
    id.is_some_and(|id| id != std::process::id())
}

/// What a supervisor is told (sd_notify(3)).
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// Requests are served, at this address.
    Ready(SocketAddr),
    /// What is in work is finished, and no more is accepted.
    Stopping,
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Ready(address) => write!(f, "READY=1\nSTATUS=Serves on {address}"),
            News::Stopping => f.write_str("STOPPING=1\nSTATUS=Finishes what is in work"),
        }
    }
}

/// Who wants to be told; perhaps nobody.
pub struct Supervisor(io::Result<Option<UnixDatagram>>);

impl Supervisor {
    /// Whom `NOTIFY_SOCKET` names. The socket stays connected: one that has no file is out of the reach of a
    /// process that is confined.
    pub fn from_environment() -> Self {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        Supervisor(name.map(|name| connect(&name)).transpose())
    }

    /// Where it cannot be told, the log says so.
    pub fn tell(&self, news: News) {
        let told = match &self.0 {
            Ok(None) => return,
            Ok(Some(socket)) => socket.send(news.to_string().as_bytes()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = told {
            tracing::warn!(error, "the supervisor at NOTIFY_SOCKET cannot be told");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&unix::SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(name)?,
    }
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}
