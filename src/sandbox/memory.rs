//! What is in memory stays there, and what is written is the owner's.

use std::io;

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, setrlimit, umask};

/// From here on a crash leaves no image of the memory, no process of the same user can look into it, no
/// program that is started gains rights, and new files are closed to everybody else.
///
/// # Errors
/// What the system says.
pub fn keep_to_itself() -> io::Result<()> {
    umask(Mode::RWXG | Mode::RWXO);
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The limit does not bind a program that the kernel hands dumps to (core(5)); this does.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}
