//! What the work needs, as its caller knows it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files and ports that stay in reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Files, and folders with all below them. What is not there is left out.
    pub read: BTreeSet<PathBuf>,
    /// Folders in which files are made, changed, moved and removed.
    pub write: BTreeSet<PathBuf>,
    /// TCP ports to listen on; 0 is one that the system chooses.
    pub bind: BTreeSet<u16>,
    /// TCP ports to connect to. Without a list, all.
    pub connect: Option<BTreeSet<u16>>,
    /// Host names are resolved.
    pub names: bool,
}

impl Reach {
    /// The file, and what takes its place: a new file of that name, or what a link of that name leads to, as
    /// long as that is in one of the folders of today.
    pub fn read_file(&mut self, path: &Path) {
        self.read.extend(folders_of(path));
    }

    /// The folder that the file is or will be in.
    pub fn write_beside(&mut self, path: &Path) {
        self.write.extend(folders_of(path));
    }

    /// The port of an `http` or `https` URL.
    pub fn connect_to(&mut self, host: &str, port: u16) {
        self.names |= host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_err();
        if let Some(ports) = &mut self.connect {
            ports.insert(port);
        }
    }
}

/// The folder by its name, and the one that a link leads to.
fn folders_of(path: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = |path: &Path| match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("."),
    };
    let real = path.canonicalize().ok().map(|real| folder(&real));
    [folder(path)].into_iter().chain(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_two_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive) = (folder.path().join("live"), folder.path().join("archive"));
        std::fs::create_dir(&live).unwrap();
        std::fs::create_dir(&archive).unwrap();
        std::fs::write(archive.join("key1.pem"), "").unwrap();
        std::os::unix::fs::symlink("../archive/key1.pem", live.join("key.pem")).unwrap();
        let mut reach = Reach::default();
        reach.read_file(&live.join("key.pem"));
        assert_eq!(reach.read, [archive.canonicalize().unwrap(), live].into());
    }

    #[test]
    fn a_host_is_resolved_where_it_is_no_address() {
        let names = |host: &str| {
            let mut reach = Reach { connect: Some(BTreeSet::new()), ..Reach::default() };
            reach.connect_to(host, 443);
            assert_eq!(reach.connect, Some([443].into()));
            reach.names
        };
        assert!(names("orders.internal") && names("localhost"));
        assert!(!names("127.0.0.1") && !names("[::1]"));
    }
}
