//! Chromium, driven by chromedriver over the WebDriver protocol (W3C).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

const MISSING: &str =
    "it is not installed here; tests/run installs it (Debian: chromium and chromium-driver)";
/// As long as the slowest of machines may need for a page.
const PATIENCE: Duration = Duration::from_secs(20);
const OFTEN: Duration = Duration::from_millis(20);

/// A browser of one's own: nothing in it is left from another test, and nothing stays of it.
pub struct Browser {
    pub client: Client,
    /// What paths are below.
    pub origin: String,
    /// Commands of chromedriver that are beyond the standard.
    session: String,
    driver: Driver,
    looked_at: bool,
}

/// Both processes end with it.
struct Driver {
    chromedriver: tokio::process::Child,
    browser: Option<Pid>,
    profile: TempDir,
}

impl Driver {
    /// Starts chromedriver; also the address that it says.
    async fn start() -> (Driver, String) {
        let profile = tempfile::tempdir().unwrap();
        let mut command = tokio::process::Command::new(installed("chromedriver"));
        command.args(["--port=0", "--log-level=SEVERE"]).kill_on_drop(true);
        // Where the browser has its own files, all of them go with the profile.
        command.env("TMPDIR", profile.path()).env("HOME", profile.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut chromedriver = command.spawn().unwrap();
        let mut lines = BufReader::new(chromedriver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port before it ends");
            let port =
                line.split_once("started successfully on port ").map(|(_, port)| port.trim_end_matches('.'));
            if let Some(port) = port {
                break port.to_owned();
            }
        };
        // It must not wait for somebody to read what else it says.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        (Driver { chromedriver, browser: None, profile }, format!("http://127.0.0.1:{port}"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.chromedriver.start_kill();
        if let Some(browser) = self.browser {
            let _ = kill_process(browser, Signal::KILL);
        }
        // Its helpers end a moment after it, and write until then.
        let began = Instant::now();
        while std::fs::remove_dir_all(self.profile.path()).is_err()
            && began.elapsed() < Duration::from_secs(5)
        {
            std::thread::yield_now();
        }
    }
}

/// The path of a program.
///
/// A test that needs a browser fails where there is none: passing unseen would prove nothing.
fn installed(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is needed: {MISSING}"))
}

impl Browser {
    /// A browser whose paths are below `origin`.
    pub async fn start(origin: &str) -> Browser {
        Browser::start_with(origin, &[]).await
    }

    /// As [`Browser::start`], with more arguments for Chromium.
    pub async fn start_with(origin: &str, arguments: &[&str]) -> Browser {
        let (mut driver, address) = Driver::start().await;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(&driver, arguments));
        let client = builder.connect(&address).await.unwrap();
        let id = client.session_id().await.unwrap().unwrap();
        let process = client.capabilities().unwrap()["goog:processID"].as_i64().unwrap();
        driver.browser = Pid::from_raw(process.try_into().unwrap());
        let session = format!("{address}/session/{id}");
        Browser { client, origin: origin.to_owned(), session, driver, looked_at: false }
    }

    /// Goes to a path.
    pub async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.origin)).await.unwrap();
    }

    /// The path and query of the page.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap().to_string();
        url.strip_prefix(&self.origin)
            .unwrap_or_else(|| panic!("{url} is not below {}", self.origin))
            .to_owned()
    }

    /// All that can be read on the page.
    pub async fn text(&self) -> String {
        let text = self.run("return document.body.innerText", &[]).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page says `text` where it can be seen.
    pub async fn see(&self, text: &str) {
        let began = Instant::now();
        while !self.text().await.contains(text) {
            assert!(
                began.elapsed() < PATIENCE,
                "no {text:?} at {}:\n{}",
                self.path().await,
                self.text().await
            );
            tokio::time::sleep(OFTEN).await;
        }
    }

    /// Waits until the page does not say `text` any more.
    pub async fn gone(&self, text: &str) {
        let began = Instant::now();
        while self.text().await.contains(text) {
            assert!(began.elapsed() < PATIENCE, "still {text:?} at {}", self.path().await);
            tokio::time::sleep(OFTEN).await;
        }
    }

    /// Waits for a field with this label.
    pub async fn field(&self, label: &str) -> Element {
        let label = quoted(label);
        self.at(&format!(
            "//*[self::input or self::select or self::textarea][@aria-label={label} \
             or @id=//label[normalize-space()={label}]/@for \
             or ancestor::label[starts-with(normalize-space(), {label})]]"
        ))
        .await
    }

    /// Writes into a field in the place of what is there.
    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.field(label).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Chooses what a list shows as `text`.
    pub async fn choose(&self, label: &str, text: &str) {
        self.field(label).await.select_by_label(text).await.unwrap();
    }

    /// Presses a button by what is written on it.
    pub async fn press(&self, name: &str) {
        let name = quoted(name);
        let button = self.at(&format!("//button[normalize-space()={name} or @aria-label={name}]")).await;
        button.click().await.unwrap();
    }

    /// Follows a link by what is written on it.
    pub async fn follow(&self, name: &str) {
        let name = quoted(name);
        let link = self.at(&format!("//a[normalize-space()={name} or @aria-label={name}]")).await;
        link.click().await.unwrap();
    }

    /// Waits for an element by its XPath.
    pub async fn at(&self, xpath: &str) -> Element {
        let wait = self.client.wait().at_most(PATIENCE).every(OFTEN);
        match wait.for_element(Locator::XPath(xpath)).await {
            Ok(element) => element,
            Err(CmdError::WaitTimeout) => {
                panic!("no {xpath} at {}:\n{}", self.path().await, self.text().await)
            }
            Err(error) => panic!("{xpath}: {error}"),
        }
    }

    /// How many elements a CSS selector finds now.
    pub async fn count(&self, selector: &str) -> usize {
        self.client.find_all(Locator::Css(selector)).await.unwrap().len()
    }

    /// Where files are put that a page gives out.
    pub async fn downloads(&self) -> PathBuf {
        let folder = self.driver.profile.path().join("downloads");
        let terms = json!({ "behavior": "allow", "downloadPath": folder });
        self.devtools("Browser.setDownloadBehavior", terms).await;
        folder
    }

    /// Waits for the file; its text.
    pub async fn downloaded(&self, folder: &Path) -> String {
        let began = Instant::now();
        loop {
            let files = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
            let whole = |path: &PathBuf| path.extension().is_none_or(|kind| kind != "crdownload");
            // Chromium makes an empty file of the name first.
            let mut texts = files.filter(whole).filter_map(|path| std::fs::read_to_string(path).ok());
            if let Some(text) = texts.find(|text| !text.is_empty()) {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "no file came");
            tokio::time::sleep(OFTEN).await;
        }
    }

    /// What a script returns that is run beside those of the page.
    pub async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.client.execute(script, arguments.to_vec()).await.unwrap()
    }

    /// A command of the DevTools protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.beyond("goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await
    }

    /// What the console was told since it was read last: errors and violations of the security policy.
    pub async fn console(&self) -> Vec<String> {
        let lines = self.beyond("se/log", &json!({ "type": "browser" })).await;
        let severe = lines.as_array().unwrap().iter().filter(|line| line["level"] == "SEVERE");
        severe
            .map(|line| {
                format!("{}: {}", line["source"].as_str().unwrap(), line["message"].as_str().unwrap())
            })
            .collect()
    }

    /// Ends the browser; nothing may be in its console. Each test ends with it.
    pub async fn close(mut self) {
        self.looked_at = true;
        assert_eq!(self.console().await, [""; 0], "errors in the browser's console");
    }

    async fn beyond(&self, command: &str, body: &Value) -> Value {
        let request = Request::post(format!("{}/{command}", self.session));
        let request =
            request.header("content-type", "application/json").body(Full::from(body.to_string())).unwrap();
        let pooled: Pooled<HttpConnector, Full<Bytes>> = Pooled::builder(TokioExecutor::new()).build_http();
        let answer = pooled.request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["value"]["error"].is_null(), "{command}: {answer}");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let unseen = !self.looked_at && !std::thread::panicking();
        assert!(!unseen, "a test ends with Browser::close, so that errors in the console are seen");
    }
}

fn capabilities(driver: &Driver, arguments: &[&str]) -> serde_json::Map<String, Value> {
    let profile = format!("--user-data-dir={}", driver.profile.path().join("profile").display());
    let own = [
        &profile,
        "--headless=new",
        "--lang=en",
        "--window-size=1280,800",
        "--force-color-profile=srgb",
        "--hide-scrollbars",
        // There is no sandbox for root and in containers, and all pages are our own.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ];
    let all = [&own[..], arguments].concat();
    let wanted = json!({
        "browserName": "chrome",
        // The company's own authority is not one that a browser knows.
        "acceptInsecureCerts": true,
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "binary": installed("chromium"),
            "args": all,
        },
    });
    match wanted {
        Value::Object(wanted) => wanted,
        _ => unreachable!(),
    }
}

/// A text in an XPath, which knows no escapes.
fn quoted(text: &str) -> String {
    assert!(!text.contains('"'), "{text}");
    format!("\"{text}\"")
}
