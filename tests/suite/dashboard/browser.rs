//! A headless Chromium, driven over WebDriver. That is JSON over plain HTTP, for which a library is
//! not needed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::client::request;
use crate::fixture::wait_until;

/// One browser with one page.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

/// No request leaves the machine, whatever a page or the browser itself wants.
const ARGUMENTS: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

impl Browser {
    pub fn start() -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "chromedriver", "--port=0"]);
        let mut driver = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.find(|line| line.contains("started successfully on port")).unwrap();
        let port = said.rsplit(' ').next().unwrap().trim_end_matches('.').parse().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": ARGUMENTS },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let mut browser = Self { driver, port, session: String::new() };
        let opened = browser.command("POST", "", &capabilities);
        browser.session = format!("/{}", opened["sessionId"].as_str().unwrap());
        browser.resize(1400, 1000);
        browser
    }

    #[track_caller]
    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session{}{path}", self.session);
        let headers = [("Content-Type", "application/json")];
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let response = request(self.port, method, &path, &headers, &body).unwrap();
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()["value"].clone()
    }

    #[track_caller]
    pub fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// What a script returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The same with an argument, in the script `arguments[0]`.
    #[track_caller]
    pub fn run_with(&self, script: &str, argument: &Value) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": [argument] }))
    }

    /// What an expression is.
    #[track_caller]
    pub fn get(&self, expression: &str) -> Value {
        self.run(&format!("return {expression}"))
    }

    /// What who listens is told that an element is, and how it is called.
    #[track_caller]
    pub fn heard(&self, selector: &str) -> [String; 2] {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.command("POST", "/element", &query);
        let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        ["role", "label"].map(|what| {
            let said = self.command("GET", &format!("/element/{id}/computed{what}"), &Value::Null);
            said.as_str().unwrap().to_owned()
        })
    }

    /// The text that is seen at a selector; of several, a line each.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let script = "return [...document.querySelectorAll(arguments[0])].map((node) => node.innerText).join('\\n')";
        self.run_with(script, &selector.into()).as_str().unwrap().to_owned()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn wait(&self, expression: &str) {
        wait_until(&format!("{expression}: {}", self.get("document.body.innerText")), || {
            self.get(&format!("Boolean({expression})")) == true
        });
    }

    /// Waits until the page has been drawn once more from now on.
    #[track_caller]
    pub fn wait_for_refresh(&self) {
        let round = self.get("Number(document.body.dataset.round ?? 0)");
        self.wait(&format!("Number(document.body.dataset.round ?? 0) > {round}"));
    }

    /// Does something that asks anew, and waits until the answer is drawn.
    #[track_caller]
    pub fn and_drawn(&self, script: &str) {
        let round = self.get("Number(document.body.dataset.round ?? 0)");
        self.run(script);
        self.wait(&format!(
            "Number(document.body.dataset.round ?? 0) > {round} && !document.body.dataset.asking"
        ));
    }

    /// Types keys, as a person does.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.command("POST", "/actions", &body);
    }

    #[track_caller]
    pub fn back(&self) {
        self.command("POST", "/back", &json!({}));
    }

    /// Width and height of what is seen, as on a device that has no more.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        // They take width away, and not from a picture.
        self.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
    }

    /// As for a reader who likes it dark.
    #[track_caller]
    pub fn darken(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// A picture (PNG) of the page in its whole length.
    pub fn picture(&self) -> Vec<u8> {
        use base64::Engine as _;
        let taken =
            self.devtools("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// What the browser complained of since it was last asked.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.command("POST", "/se/log", &json!({ "type": "browser" }));
        entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser; without it the browser ends by itself.
        let path = format!("/session{}", self.session);
        let _ended = request(self.port, "DELETE", &path, &[], "");
        let _killed = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}
