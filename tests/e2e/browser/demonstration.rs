//! The pages with a month of history on them, as somebody sees them who tries the demonstration.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::Browser;
use super::pages::name;
use super::walk::walk;

struct Demo {
    child: Child,
    origin: String,
    password: String,
    _folder: tempfile::TempDir,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start() -> Demo {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args([
            "demo",
            "--traffic",
            "--listen",
            "127.0.0.1:0",
            "--shop",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let origin =
        lines.find(|line| line.starts_with("http://127.0.0.1:")).expect("the demo says where its pages are");
    let line = lines.next().unwrap();
    let (_, password) = line.split_once("shown once: ").expect("the demo shows a password");
    let password = password.to_owned();
    // It must not write to somebody who has gone.
    std::thread::spawn(move || lines.for_each(drop));
    Demo { child, origin, password, _folder: folder }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstrations_pages_are_good_to_look_at_and_have_something_to_show() {
    let demo = start();
    let browser = Browser::start(&demo.origin).await;
    browser.open("/").await;
    browser.sign_in("reviewer", &demo.password).await;
    browser.see("Overview").await;
    let mut flaws = Vec::new();
    let seen = walk(&browser, 1, async |path, _| {
        flaws.extend(browser.flaws(&format!("demo-{}", name(path))).await);
        let unreached = browser.unreached().await;
        flaws.extend(
            unreached.into_iter().chain(browser.console().await).map(|flaw| format!("{path}: {flaw}")),
        );
    })
    .await;
    assert!(flaws.is_empty(), "{flaws:#?}");
    assert!(seen.len() >= 10, "{seen:?}");
    // Somebody about whom the traffic told something.
    browser.open("/disclosures?outcome=disclosed&contractor=parcelco").await;
    assert_eq!(browser.count("#table tbody tr").await, 50, "a page of entries");
    browser.follow("Older").await;
    assert!(browser.path().await.contains("before="));
    browser.see("Newest").await;
    browser.close().await;
}
