//! What the process can still do once it serves: the files, ports and system calls that its work needs, and
//! no others.
//!
//! **Guarantees.** What [`enforce`] calls enforced binds its thread and all that start from it, and nothing
//! in the process can lift it. What the kernel does not offer is named, never passed over.
//!
//! **Trusts** the kernel, and its caller to know what the work needs. **Must not** know the configuration, or
//! start a thread.
//!
//! **Called by** `app` for the commands that serve, while the main thread is the only one.

mod calls;
mod files;
mod memory;
mod reach;

use std::fmt;

pub use memory::keep_to_itself;
pub use reach::Reach;

/// What is asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// As much as the kernel offers.
    #[default]
    On,
    /// All of it, or the process does not go on.
    Required,
    Off,
}

impl Demand {
    pub const WORDS: [&'static str; 3] = ["on", "required", "off"];

    pub fn parse(word: &str) -> Option<Self> {
        let at = Demand::WORDS.iter().position(|known| *known == word)?;
        Some([Demand::On, Demand::Required, Demand::Off][at])
    }
}

/// One kind of restriction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// All that was asked for; what that is.
    Whole(String),
    /// Some of it; what that is, and why not the rest.
    Part(String),
    /// Nothing; why.
    Missing(String),
}

impl Layer {
    pub fn is_whole(&self) -> bool {
        matches!(self, Layer::Whole(_))
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layer::Whole(what) | Layer::Part(what) => f.write_str(what),
            Layer::Missing(why) => write!(f, "not enforced: {why}"),
        }
    }
}

/// What came of [`enforce`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforced {
    /// Files, and TCP ports (Linux 5.13; ports 6.7, other processes 6.12).
    pub landlock: Layer,
    /// System calls (Linux 3.17).
    pub seccomp: Layer,
}

impl Enforced {
    pub fn is_whole(&self) -> bool {
        self.landlock.is_whole() && self.seccomp.is_whole()
    }

    fn nothing(why: &str) -> Self {
        Enforced { landlock: Layer::Missing(why.to_owned()), seccomp: Layer::Missing(why.to_owned()) }
    }
}

/// Some of it cannot be had, and all was required.
#[derive(Debug, thiserror::Error)]
#[error(
    "the sandbox is required and not whole (landlock: {}; seccomp: {}); a newer kernel has all of it, \"on\" takes what there is",
    .0.landlock,
    .0.seccomp
)]
pub struct Incomplete(pub Enforced);

/// Whether this process has no other thread; also where the system does not tell.
pub fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").map_or(true, |threads| threads.count() == 1)
}

/// Gives up everything but `reach` and the system calls that the gateway's work needs. Files and ports are given
/// up by this thread and those that it starts, system calls by all threads.
///
/// # Errors
/// Where all of it was required and the kernel does not offer that. What it offers is in force then.
pub fn enforce(demand: Demand, reach: &Reach) -> Result<Enforced, Incomplete> {
    if demand == Demand::Off {
        return Ok(Enforced::nothing("switched off"));
    }
    // In this order: what restricts files is no system call that the work needs.
    let enforced = Enforced { landlock: files::restrict(reach), seccomp: calls::restrict() };
    match enforced.is_whole() || demand == Demand::On {
        true => Ok(enforced),
        false => Err(Incomplete(enforced)),
    }
}
