//! Landlock: files, TCP ports, other processes.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use super::{Layer, Reach};

/// The newest version whose rights were tried out.
const KNOWN: ABI = ABI::V7;
/// The first versions that have ports, and sockets and signals.
const PORTS: u32 = 4;
const SCOPES: u32 = 6;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
/// Files, folders and sockets; no device, no program.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSock | RemoveFile | RemoveDir | Refer
});

/// What the standard library, tokio, SQLite and the time zones look at.
const SYSTEM: [&str; 6] = [
    // How many processors there are.
    "/proc/self",
    "/sys/fs/cgroup",
    "/proc/sys/vm/overcommit_memory",
    "/dev/urandom",
    "/etc/localtime",
    "/usr/share/zoneinfo",
];
/// What the C library resolves names with, and where it finds the parts of it that it loads.
const RESOLVER: [&str; 11] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];
/// Answers that are too long for a datagram come over TCP (RFC 7766).
const DNS: u16 = 53;

pub(super) fn restrict(reach: &Reach) -> Layer {
    match try_restrict(reach) {
        Ok(layer) => layer,
        Err(error) => Layer::Missing(error.to_string()),
    }
}

fn try_restrict(reach: &Reach) -> Result<Layer, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?;
    ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
    ruleset = ruleset.scope(Scope::Signal | Scope::AbstractUnixSocket)?;
    if reach.connect.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let own = File::open("/proc/self");
    let bind = reach.bind.iter().map(|port| NetPort::new(*port, AccessNet::BindTcp));
    let dns = reach.names.then_some(DNS);
    let connect = reach.connect.iter().flatten().copied().chain(dns.filter(|_| reach.connect.is_some()));
    let connect = connect.map(|port| NetPort::new(port, AccessNet::ConnectTcp));
    let status = ruleset
        .create()?
        .add_rules(path_beneath_rules(readable(reach), READ))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&reach.write, WRITE))?
        .add_rules(bind.chain(connect).map(Ok::<_, RulesetError>))?
        .restrict_self()?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u32,
        LandlockStatus::NotEnabled => {
            return Ok(Layer::Missing("Landlock is switched off in this kernel (lsm=)".to_owned()));
        }
        LandlockStatus::NotImplemented => {
            return Ok(Layer::Missing("this kernel, or what runs the container, has no Landlock".to_owned()));
        }
    };
    // The rule is about the folder that the kernel has in memory now. It keeps what is open.
    std::mem::forget(own);
    let what = what(abi, reach);
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Layer::Whole(what),
        RulesetStatus::PartiallyEnforced => Layer::Part(format!("{what}; the rest needs a newer kernel")),
        RulesetStatus::NotEnforced => Layer::Missing("the kernel enforces none of it".to_owned()),
    })
}

/// What a kernel of this version enforces of it.
fn what(abi: u32, reach: &Reach) -> String {
    let mut parts = vec!["files"];
    if abi >= PORTS {
        parts.push("tcp bind");
        parts.extend(reach.connect.is_some().then_some("tcp connect"));
    }
    if abi >= SCOPES {
        parts.extend(["signals", "abstract sockets"]);
    }
    format!("abi {abi}: {}", parts.join(", "))
}

fn readable(reach: &Reach) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = reach.read.iter().cloned().collect();
    paths.extend(SYSTEM.map(PathBuf::from));
    if reach.names {
        paths.extend(RESOLVER.map(PathBuf::from));
        paths.extend(resolver_folder(Path::new("/etc/resolv.conf")));
    }
    paths
}

/// The folder in which `resolv.conf` is replaced when the network changes; a file that is mounted is not.
fn resolver_folder(file: &Path) -> Option<PathBuf> {
    let real = file.canonicalize().ok()?;
    let folder = real.parent()?;
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    (device(&real) == device(folder)).then(|| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_credited_with_what_it_has() {
        let mut reach = Reach::default();
        assert_eq!(what(1, &reach), "abi 1: files");
        assert_eq!(what(4, &reach), "abi 4: files, tcp bind");
        reach.connect = Some([443].into());
        assert_eq!(what(7, &reach), "abi 7: files, tcp bind, tcp connect, signals, abstract sockets");
    }

    #[test]
    fn where_names_are_resolved_the_resolver_finds_its_files() {
        let mut reach = Reach { read: [PathBuf::from("/srv/rules")].into(), ..Reach::default() };
        let hosts = PathBuf::from("/etc/hosts");
        assert!(!readable(&reach).contains(&hosts));
        reach.names = true;
        let paths = readable(&reach);
        assert!(paths.contains(&hosts) && paths.contains(&PathBuf::from("/srv/rules")));
        // A link leads to where the file is replaced.
        let folder = tempfile::tempdir().unwrap();
        let (run, etc) = (folder.path().join("run"), folder.path().join("etc"));
        std::fs::create_dir(&run).unwrap();
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(run.join("stub.conf"), "").unwrap();
        std::os::unix::fs::symlink(run.join("stub.conf"), etc.join("resolv.conf")).unwrap();
        assert_eq!(resolver_folder(&etc.join("resolv.conf")), run.canonicalize().ok());
        assert_eq!(resolver_folder(&etc.join("missing")), None);
    }
}
