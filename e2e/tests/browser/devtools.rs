//! Controls a real browser with its `DevTools` protocol: <https://chromedevtools.github.io/devtools-protocol/>. Messages stay JSON: a
//! client with types would drop messages that a newer browser sends in another form, and with them errors of the page.

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

/// Time without a message after which the browser counts as broken.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Time that the browser has to exit.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A separate browser process with one tab, which ends when this is dropped.
pub(crate) struct Browser {
    process: Process,
    socket: WebSocket<TcpStream>,
    session: Value,
    calls: u64,
    events: Vec<(String, Value)>,
    _profile: TempDir,
}

impl Browser {
    /// Starts the browser, and subscribes to all events that a page can cause.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let (process, address) = launch(profile.path());
        let stream = TcpStream::connect(address.trim_start_matches("ws://").split('/').next().unwrap()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
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

    /// Loads a page and everything that it requests.
    pub(crate) fn open(&mut self, page: &Path) {
        self.events.clear();
        let answer = self.call("Page.navigate", &json!({ "url": address(page) }));
        assert!(answer["errorText"].is_null(), "{answer}");
        while self.events("Page.loadEventFired").is_empty() {
            let message = self.read();
            self.note(message);
        }
    }

    /// Evaluates an expression in the page, even if its own scripts are disabled.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", &json!({ "expression": expression, "returnByValue": true }));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The events with this name since the page was opened.
    pub(crate) fn events(&self, method: &str) -> Vec<&Value> {
        self.events.iter().filter(|(name, _)| name == method).map(|(_, parameters)| parameters).collect()
    }

    /// Sets the width of the window.
    pub(crate) fn resize(&mut self, width: u32) {
        // Not a mobile device: there, a page that is too wide enlarges the window, which would hide the problem.
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Sets the preferred color scheme: `light` or `dark`.
    pub(crate) fn prefer(&mut self, theme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": theme });
        self.call("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// Saves a screenshot of the whole page.
    pub(crate) fn picture(&mut self, file: &Path) {
        let metrics = self.call("Page.getLayoutMetrics", &json!({}));
        let size = &metrics["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let answer = self.call("Page.captureScreenshot", &json!({ "clip": clip, "captureBeyondViewport": true }));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// Sends a command, which must succeed.
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
        // After a request to exit, the browser waits for its helpers. If it were killed, they would continue to write into the directory
        // that is being removed.
        let _ = self.socket.send(Message::text(json!({ "id": 0, "method": "Browser.close" }).to_string()));
        let started = Instant::now();
        while started.elapsed() < EXIT_TIMEOUT && matches!(self.process.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A process that is killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn address(file: &Path) -> String {
    format!("file://{}", file.display())
}

/// Launches a browser, and returns the address at which it listens.
fn launch(profile: &Path) -> (Process, String) {
    let process = Command::new("chromium")
        // The tests may run as root, where the sandbox does not work. They only open pages that this repository has generated.
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"])
        // Overlay scrollbars, like on mobile devices, so that the page gets the full width of the window.
        .arg("--hide-scrollbars")
        // Use a file for shared memory, because that of a container is small.
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
    // Read all output: a browser that cannot write blocks.
    std::thread::spawn(move || error.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    let mut printed = Vec::new();
    while let Ok(line) = lines.recv_timeout(TIMEOUT) {
        if let Some(address) = line.strip_prefix("DevTools listening on ") {
            return (process, address.to_owned());
        }
        printed.push(line);
    }
    panic!("chromium listens nowhere: {}", printed.join("\n"));
}
