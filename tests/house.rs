//! The house rules that a reader of the code relies on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

/// Each room, and the rooms that it may import.
const ROOMS: [(&str, &[&str]); 23] = [
    ("secrets", &[]),
    ("sandbox", &[]),
    ("model", &[]),
    ("diagnostic", &[]),
    ("filter", &["model"]),
    ("telemetry", &["model"]),
    ("ledger", &["model", "secrets", "telemetry"]),
    ("token", &[]),
    ("rules", &["model", "diagnostic", "filter", "token"]),
    ("transport", &["model", "secrets"]),
    ("signals", &["model"]),
    ("proxy", &["model", "filter", "ledger", "rules", "token", "transport", "signals", "telemetry"]),
    ("witness", &["model", "ledger", "transport"]),
    ("config", &["model", "sandbox", "diagnostic", "ledger", "transport"]),
    ("feed", &["secrets", "ledger", "transport", "config"]),
    ("processing", &["model", "rules", "config"]),
    ("customer", &["model", "ledger", "rules"]),
    (
        "admin",
        &[
            "model",
            "diagnostic",
            "secrets",
            "filter",
            "ledger",
            "rules",
            "signals",
            "transport",
            "config",
            "feed",
            "processing",
            "customer",
            "telemetry",
        ],
    ),
    ("authority", &["secrets"]),
    (
        "app",
        &[
            "model",
            "admin",
            "diagnostic",
            "secrets",
            "sandbox",
            "ledger",
            "rules",
            "token",
            "transport",
            "proxy",
            "witness",
            "config",
            "telemetry",
            "feed",
        ],
    ),
    (
        "demo",
        &[
            "model",
            "admin",
            "filter",
            "signals",
            "proxy",
            "sandbox",
            "diagnostic",
            "ledger",
            "rules",
            "transport",
            "config",
            "authority",
            "app",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "admin",
            "secrets",
            "sandbox",
            "diagnostic",
            "filter",
            "ledger",
            "rules",
            "processing",
            "customer",
            "transport",
            "witness",
            "config",
            "feed",
            "authority",
            "app",
            "demo",
        ],
    ),
    ("main", &["cli"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn room(path: &Path) -> String {
    let first = path.strip_prefix("src").unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

#[test]
fn imports_go_down_only() {
    let mut seen = 0;
    for path in sources(Path::new("src")).iter().filter(|path| **path != Path::new("src/lib.rs")) {
        let from = room(path);
        let (_, allowed) =
            ROOMS.iter().find(|(room, _)| *room == from).unwrap_or_else(|| panic!("{from} is a new room"));
        let text = std::fs::read_to_string(path).unwrap();
        for (at, _) in text.match_indices("crate::") {
            let rest = text[at..].split_once("::").unwrap().1;
            let to: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let known = ROOMS.iter().any(|(room, _)| *room == to);
            assert!(
                !known || to == from || allowed.contains(&to.as_str()),
                "{}: {from} must not import {to}",
                path.display()
            );
            seen += usize::from(known);
        }
    }
    assert!(seen > 50, "{seen} imports");
}

#[test]
fn a_refusal_is_matched_case_by_case() {
    for path in sources(Path::new("src/proxy")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut matching = false;
        for line in text.lines() {
            matching =
                (matching || line.contains("match self") || line.contains("match &refusal")) && line != "}";
            assert!(!matching || !line.trim_start().starts_with("_ =>"), "{}: {line}", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_in_one_file_only() {
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
    let mut allowed = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in sources(Path::new(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let marked = text.lines().any(|line| line.contains("allow(unsafe_code"));
            allowed.extend(marked.then(|| path.display().to_string()));
        }
    }
    assert_eq!(allowed, ["src/filter/simd.rs", "tests/house.rs"]);
}

#[test]
fn each_control_of_the_threat_model_is_proved_by_a_test_that_is_there() {
    let mut names = Vec::new();
    for folder in ["src", "tests"] {
        for path in sources(Path::new(folder)) {
            let text = std::fs::read_to_string(path).unwrap();
            let functions = text.match_indices("fn ").map(|(at, _)| &text[at + 3..]);
            names.extend(functions.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
    let model = std::fs::read_to_string("src/threats.md").unwrap();
    let (_, table) = model.split_once("# Threats and controls").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.contains("---")).skip(1);
    let mut count = 0;
    for row in rows {
        let proof = row.trim_end_matches(" |").rsplit_once(" | ").unwrap().1;
        let proofs: Vec<&str> = proof.split(", ").map(|name| name.trim_matches('`')).collect();
        for name in &proofs {
            assert!(names.iter().any(|known| known == name), "{name}: {row}");
        }
        count += 1;
    }
    assert!(count >= 30, "{count} rows");
}

/// What is copied into the image or mounted is there; what `docker/prepare` makes is not looked for.
#[test]
fn the_files_that_docker_names_are_there() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let compose = read("docker/compose.yaml");
    let mounted: Vec<&str> = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ")?.split_once(':'))
        .map(|(from, _)| from)
        .filter(|from| from.starts_with('.') && !from.starts_with("./state"))
        .collect();
    assert!(mounted.len() >= 7, "{mounted:?}");
    for path in mounted {
        assert!(Path::new("docker").join(path).exists(), "{path} of docker/compose.yaml");
    }
    let ignored = read(".dockerignore");
    let copies = read("docker/Dockerfile");
    let copies =
        copies.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--"));
    for path in copies.flat_map(|line| line.split(' ').rev().skip(1).collect::<Vec<_>>()) {
        assert!(Path::new(path).exists(), "{path} of docker/Dockerfile");
        assert!(
            ignored.lines().any(|line| line.starts_with(&format!("!{path}"))),
            "{path} is in no build context"
        );
    }
    let manifests = read("docker/kubernetes/kustomization.yaml");
    let listed = manifests.lines().filter_map(|line| line.trim().strip_prefix("- "));
    for path in listed.filter(|path| path.ends_with(".yaml")) {
        assert!(Path::new("docker/kubernetes").join(path).exists(), "{path} of kustomization.yaml");
    }
    let prometheus = read("docker/prometheus/prometheus.yml");
    assert!(prometheus.contains("rule_files: [alerts.yml]") && prometheus.contains("job_name: fieldgate"));
}
