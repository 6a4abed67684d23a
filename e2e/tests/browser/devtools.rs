//! A real browser, asked by its own protocol: <https://chromedevtools.github.io/devtools-protocol/>. What it says stays JSON: a client
//! with a type for every message drops those that a newer browser says otherwise, and a complaint that is dropped is none.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// A browser that says nothing for so long is broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long it may take to end.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// A browser of its own with one tab, gone when this is dropped.
pub(crate) struct Browser {
    process: Process,
    socket: WebSocket<TcpStream>,
    session: Value,
    calls: u64,
    events: Vec<(String, Value)>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it, with everything listened to that a page could do.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let (process, address) = launched(profile.path());
        let stream = TcpStream::connect(address.trim_start_matches("ws://").split('/').next().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(&address, stream).unwrap();
        let mut browser =
            Self { process, socket, session: Value::Null, calls: 0, events: Vec::new(), _profile: profile };
        let tab = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = browser.call("Target.attachToTarget", &json!({ "targetId": tab["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].clone();
        for domain in ["Page", "Network", "Log", "Runtime", "Audits"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Loads a page, and all that it asks for.
    pub(crate) fn open(&mut self, page: &Path) {
        self.open_address(&address(page));
    }

    /// The same, by its address.
    pub(crate) fn open_address(&mut self, address: &str) {
        self.events.clear();
        let answer = self.call("Page.navigate", &json!({ "url": address }));
        assert!(answer["errorText"].is_null(), "{answer}");
        while self.events("Page.loadEventFired").is_empty() {
            let message = self.read();
            self.note(message);
        }
    }

    /// Asks the page; works where its own scripts do not, too.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", &json!({ "expression": expression, "returnByValue": true }));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// What happened under this name since the page was opened.
    pub(crate) fn events(&self, method: &str) -> Vec<&Value> {
        self.events.iter().filter(|(name, _)| name == method).map(|(_, parameters)| parameters).collect()
    }

    /// A window as wide as this.
    pub(crate) fn resize(&mut self, width: u32) {
        // No telephone: there a page that is too wide makes the window wider, and nothing would be noticed.
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// What the person prefers: `light` or `dark`.
    pub(crate) fn prefer(&mut self, theme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": theme });
        self.call("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// The whole page, for a person to look at.
    pub(crate) fn picture(&mut self, file: &Path) {
        let metrics = self.call("Page.getLayoutMetrics", &json!({}));
        let size = &metrics["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let answer = self.call("Page.captureScreenshot", &json!({ "clip": clip, "captureBeyondViewport": true }));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// Gives a command, which must succeed.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let mut message = self.read();
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(message);
        }
    }

    fn note(&mut self, mut message: Value) {
        if let Some(method) = message["method"].as_str() {
            self.events.push((method.to_owned(), message["params"].take()));
        }
    }

    fn read(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to end, it waits for its helpers; killed, it leaves them to write into a folder that is being removed.
        let _ = self.socket.send(Message::text(json!({ "id": 0, "method": "Browser.close" }).to_string()));
        let began = Instant::now();
        while began.elapsed() < LAST_PATIENCE && matches!(self.process.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Gone when it is dropped, whatever it does.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address of a file.
pub(crate) fn address(file: &Path) -> String {
    format!("file://{}", file.display())
}

/// A browser, and where it listens.
fn launched(profile: &Path) -> (Process, String) {
    let process = Command::new("chromium")
        // The tests may run as root, and open nothing but what this repository made.
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"])
        // Over the page, as a telephone's: a window is as wide as it is said to be.
        .arg("--hide-scrollbars")
        // Its shared memory is a file: a container's own is small.
        .args(["--disable-dev-shm-usage", &format!("--user-data-dir={}", profile.display())])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!("these tests need chromium: apt-get install chromium"),
            _ => panic!("chromium does not start: {error}"),
        });
    let mut process = Process(process);
    let (sender, lines) = mpsc::channel();
    let error = BufReader::new(process.0.stderr.take().unwrap());
    // To its end: a browser that cannot write stops.
    std::thread::spawn(move || error.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    let mut said = Vec::new();
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        if let Some(address) = line.strip_prefix("DevTools listening on ") {
            return (process, address.to_owned());
        }
        said.push(line);
    }
    panic!("chromium listens nowhere: {}", said.join("\n"));
}
