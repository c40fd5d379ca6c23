//! seccomp: the system calls that the gateway's work needs, and no others.
//!
//! They are what `strace` shows of all end-to-end tests, and what other versions of the C library, the
//! standard library, tokio and SQLite call in their place. Every other one fails with ENOSYS, as on an older
//! kernel, so that a library that tries a newer call first goes on with the older one.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};

use super::Layer;

/// Whatever their arguments are.
#[rustfmt::skip]
const CALLS: &[c_long] = &[
    // Memory; what maps it and protects it is below.
    libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_membarrier,
    // Threads, signals and time.
    libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_gettid, libc::SYS_getpid,
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_restart_syscall, libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity, libc::SYS_setpriority, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn, libc::SYS_sigaltstack, libc::SYS_nanosleep, libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday, libc::SYS_getcpu,
    // What the process is told about itself.
    libc::SYS_getrandom, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    libc::SYS_getppid, libc::SYS_getrusage, libc::SYS_sysinfo, libc::SYS_uname, libc::SYS_getcwd,
    // Files that are open.
    libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_preadv, libc::SYS_write, libc::SYS_writev,
    libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_lseek, libc::SYS_fstat, libc::SYS_fstatfs,
    libc::SYS_getdents64, libc::SYS_fcntl, libc::SYS_flock, libc::SYS_fsync, libc::SYS_fdatasync,
    libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fadvise64, libc::SYS_fchmod, libc::SYS_fchown,
    libc::SYS_copy_file_range, libc::SYS_sendfile, libc::SYS_close, libc::SYS_close_range, libc::SYS_dup,
    libc::SYS_dup3,
    // Files by their names: which ones, Landlock says.
    libc::SYS_openat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_statfs, libc::SYS_faccessat,
    libc::SYS_faccessat2, libc::SYS_readlinkat, libc::SYS_mkdirat, libc::SYS_unlinkat, libc::SYS_renameat,
    libc::SYS_renameat2, libc::SYS_linkat, libc::SYS_fchmodat, libc::SYS_utimensat,
    // Sockets and waiting; what makes a socket is below.
    libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4, libc::SYS_connect,
    libc::SYS_shutdown, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_getsockopt,
    libc::SYS_setsockopt, libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_recvmsg,
    libc::SYS_sendmmsg, libc::SYS_recvmmsg, libc::SYS_ppoll, libc::SYS_epoll_create1, libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_eventfd2, libc::SYS_pipe2,
];

/// What newer architectures have no number for.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLD_CALLS: &[c_long] = &[
    libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink, libc::SYS_mkdir,
    libc::SYS_rmdir, libc::SYS_unlink, libc::SYS_rename, libc::SYS_link, libc::SYS_chmod, libc::SYS_poll,
    libc::SYS_epoll_wait, libc::SYS_dup2, libc::SYS_pipe, libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[c_long] = &[];

/// A call is allowed where the bits of an argument under the mask are these; all of them, where there are
/// several.
type Bits = (u8, u32, u32);

const ALL: u32 = u32::MAX;
const EXECUTABLE: u32 = libc::PROT_EXEC as u32;
const WRITABLE: u32 = libc::PROT_WRITE as u32;
const THREAD: u32 = libc::CLONE_THREAD as u32;
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;
/// Without the flags that a socket is made with.
const SOCKET_TYPE: u32 = 0xf;
const STREAM: u32 = libc::SOCK_STREAM as u32;
const DATAGRAM: u32 = libc::SOCK_DGRAM as u32;

/// Only in one of these ways.
fn ways() -> Vec<(c_long, Vec<Vec<Bits>>)> {
    let family = |family: i32| (0, ALL, family as u32);
    let kind = |kind| (1, SOCKET_TYPE, kind);
    let sockets = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].map(family);
    let sockets =
        sockets.into_iter().flat_map(|family| [vec![family, kind(STREAM)], vec![family, kind(DATAGRAM)]]);
    // How the C library learns which addresses this machine has.
    let routes = vec![family(libc::AF_NETLINK), (2, ALL, libc::NETLINK_ROUTE as u32)];
    let one_of =
        |argument, values: &[u32]| values.iter().map(|value| vec![(argument, ALL, *value)]).collect();
    vec![
        // Threads, no processes and no namespaces. clone3 has its flags in memory, where a filter cannot see
        // them; without it the C library calls clone.
        (libc::SYS_clone, vec![vec![(0, THREAD | NAMESPACES, THREAD)]]),
        // No memory that can be written and run, and none that is made runnable later.
        (libc::SYS_mmap, vec![vec![(2, EXECUTABLE, 0)], vec![(2, EXECUTABLE | WRITABLE, EXECUTABLE)]]),
        (libc::SYS_mprotect, vec![vec![(2, EXECUTABLE, 0)]]),
        (libc::SYS_socket, sockets.chain([routes]).collect()),
        (libc::SYS_socketpair, vec![vec![family(libc::AF_UNIX)]]),
        // Names of threads and of memory.
        (libc::SYS_prctl, one_of(0, &[libc::PR_SET_NAME as u32, libc::PR_SET_VMA as u32])),
        (libc::SYS_ioctl, one_of(1, &TERMINAL_AND_FILE.map(|request| request as u32))),
        // Its own limits, to be read.
        (libc::SYS_prlimit64, vec![vec![(0, ALL, 0), (2, ALL, 0)]]),
        // Signals to itself.
        (libc::SYS_tgkill, vec![vec![(0, ALL, std::process::id())]]),
    ]
}

/// Whether it is a terminal, how wide that is, not to wait, not to be inherited, how much can be read.
const TERMINAL_AND_FILE: [libc::Ioctl; 5] =
    [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONBIO, libc::FIOCLEX, libc::FIONREAD];

pub(super) fn restrict() -> Layer {
    let applied = program().and_then(|(program, count)| apply_filter_all_threads(&program).map(|()| count));
    match applied {
        Ok(count) => Layer::Whole(format!("{count} system calls allowed")),
        Err(error) => Layer::Missing(error.to_string()),
    }
}

/// The filter, and how many system calls it lets through.
fn program() -> seccompiler::Result<(BpfProgram, usize)> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.iter().chain(OLD_CALLS).map(|call| (*call, Vec::new())).collect();
    for (call, ways) in ways() {
        rules.insert(call, ways.iter().map(|bits| rule(bits)).collect::<Result<_, _>>()?);
    }
    let count = rules.len();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::ENOSYS as u32),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok((filter.try_into()?, count))
}

fn rule(bits: &[Bits]) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = bits.iter().map(|(argument, mask, value)| {
        let compare = SeccompCmpOp::MaskedEq((*mask).into());
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, compare, (*value).into())
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}
