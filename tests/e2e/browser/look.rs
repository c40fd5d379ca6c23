//! How a page looks: to axe-core, to the keyboard, and to people.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Browser;

/// axe-core 4.14.1 (Mozilla Public License 2.0, in the same folder), as it is published.
const AXE: &str = include_str!("axe/axe.min.js");

/// WCAG 2.0, 2.1 and 2.2, levels A and AA, and what is good practice.
const RUN_AXE: &str = r#"
    const done = arguments[arguments.length - 1];
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] }).then(
        (found) => done(found.violations
            .filter((violation) => ['serious', 'critical'].includes(violation.impact))
            .flatMap((violation) => violation.nodes.map((node) =>
                `${violation.id} (${violation.impact}): ${node.target.join(' ')}: ${node.failureSummary}`))),
        (error) => done([`axe-core itself: ${error}`]));
"#;

/// What stands out on the right, but for what scrolls by itself; only the innermost of it.
const OVERFLOW: &str = r#"
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const scrolls = (element) => {
        for (let at = element.parentElement; at && at !== document.documentElement; at = at.parentElement)
            if (getComputedStyle(at).overflowX !== 'visible') return true;
        return false;
    };
    const wide = [...document.body.querySelectorAll('*')]
        .filter((element) => element.getBoundingClientRect().right > width + 1 && !scrolls(element));
    const found = wide.filter((element) => !wide.some((other) => other !== element && element.contains(other)))
        .map((element) => `${element.tagName.toLowerCase()}.${element.className}: ${element.textContent.trim().slice(0, 60)}`);
    return found.length ? found : [`the page is ${document.documentElement.scrollWidth} wide`];
"#;

/// All that the Tab key should reach, in the order of the page.
const REACHABLE: &str = r#"
    const controls = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
    return [...document.querySelectorAll(controls)]
        .filter((element) => !element.disabled && element.checkVisibility({ visibilityProperty: true }))
        // Of several radio buttons with one name, Tab reaches one.
        .filter((element, _, all) => element.type !== 'radio'
            || all.find((other) => other.type === 'radio' && other.name === element.name) === element)
        .map((element, at) => (element.setAttribute('data-reach', at), at)).length;
"#;

/// Which of them has the focus, and whether that is to be seen: by an outline, or by a change of its colours.
const FOCUS: &str = r#"
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    const box = element.getBoundingClientRect();
    return { at: element.getAttribute('data-reach'), name: element.outerHTML.slice(0, 120),
        seen: (outlined || style.boxShadow !== 'none') && box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0 };
"#;

impl Browser {
    /// How wide the window is, and whether its user likes dark pages.
    pub async fn window(&self, width: u32, height: u32, dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// What axe-core finds serious or critical on the page as it is now.
    pub async fn axe(&self) -> Vec<String> {
        if self.run("return typeof axe", &[]).await == "undefined" {
            self.run(&format!("{AXE}; window.axe = axe;"), &[]).await;
        }
        let found = self.client.execute_async(RUN_AXE, Vec::new()).await.unwrap();
        found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// What makes the page wider than its window.
    pub async fn overflow(&self) -> Vec<String> {
        let found = self.run(OVERFLOW, &[]).await;
        found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// A picture of the whole page, in `target/pictures`.
    pub async fn picture(&self, name: &str) {
        let size = "const page = document.documentElement; return [page.clientWidth, page.scrollHeight]";
        let size = self.run(size, &[]).await;
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let picture = json!({ "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", picture).await;
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("pictures");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// A picture of the page as it would be on paper.
    pub async fn printed(&self, name: &str) {
        self.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
        self.picture(&format!("{name}-print")).await;
        self.devtools("Emulation.setEmulatedMedia", json!({ "media": "" })).await;
    }

    /// The page wide and narrow, light and dark: a picture of each; nothing that axe-core finds serious, nothing
    /// that stands out on the right.
    pub async fn looks_good(&self, name: &str) {
        assert_eq!(self.flaws(name).await, [""; 0], "{name}");
    }

    /// What [`Browser::looks_good`] would find.
    pub async fn flaws(&self, name: &str) -> Vec<String> {
        let mut flaws = Vec::new();
        for (width, height) in [(1280, 800), (400, 800)] {
            for (dark, scheme) in [(false, "light"), (true, "dark")] {
                self.window(width, height, dark).await;
                self.picture(&format!("{name}-{width}-{scheme}")).await;
                let found = self.axe().await.into_iter().chain(self.overflow().await);
                flaws.extend(found.map(|flaw| format!("{name} at {width}, {scheme}: {flaw}")));
            }
        }
        self.window(1280, 800, false).await;
        flaws
    }

    /// Goes through the page by Tab: all that can be used is reached, in the order of the page, and seen when it is.
    pub async fn keyboard_reaches_everything(&self) {
        assert_eq!(self.unreached().await, [""; 0], "by Tab, at {}", self.path().await);
    }

    /// What [`Browser::keyboard_reaches_everything`] would find.
    pub async fn unreached(&self) -> Vec<String> {
        let all = self.run(REACHABLE, &[]).await.as_u64().unwrap();
        assert!(all > 0, "nothing to reach");
        self.run("document.activeElement.blur(); window.getSelection().removeAllRanges()", &[]).await;
        let (mut missing, mut unseen): (Vec<u64>, Vec<String>) = ((0..all).collect(), Vec::new());
        // A field for a day has several stops.
        for _ in 0..all * 4 + 2 {
            if missing.is_empty() {
                break;
            }
            self.key("Tab", 9).await;
            let focus = self.run(FOCUS, &[]).await;
            if focus.is_null() {
                continue;
            }
            if focus["seen"] == false {
                unseen.push(format!("the focus is not to be seen on {}", focus["name"]));
            }
            let at = focus["at"].as_str().and_then(|at| at.parse().ok());
            missing.retain(|known| Some(*known) != at);
        }
        for at in missing {
            let name =
                format!("return document.querySelector('[data-reach=\"{at}\"]').outerHTML.slice(0, 120)");
            unseen.push(format!("Tab does not reach {}", self.run(&name, &[]).await));
        }
        unseen
    }

    /// Types one character.
    pub async fn typed(&self, text: &str) {
        self.devtools("Input.dispatchKeyEvent", json!({ "type": "keyDown", "text": text, "key": text }))
            .await;
        self.devtools("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": text })).await;
    }

    /// Presses and releases a key.
    pub async fn key(&self, name: &str, code: u32) {
        let text = if name == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let key = json!({ "type": kind, "key": name, "code": name, "text": text, "windowsVirtualKeyCode": code });
            self.devtools("Input.dispatchKeyEvent", key).await;
        }
    }
}
