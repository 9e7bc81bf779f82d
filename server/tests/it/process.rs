//! The binary: how it starts, how it ends, what it says when it cannot, what it keeps.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::tempdir;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ephemeris"));
    command.arg("serve").arg("--data-dir").arg(data_dir).args(["--listen", "127.0.0.1:0"]);
    command.args(["--otlp-http-listen", "127.0.0.1:0", "--otlp-grpc-listen", "127.0.0.1:0"]);
    command.args(["--self-metrics-interval", "0"]).stdin(Stdio::null());
    command
}

/// Runs it to its end, which must come by itself.
fn output(command: &mut Command) -> Output {
    let child = command.stderr(Stdio::piped()).spawn().expect("the binary was built");
    let id = child.id().to_string();
    let (sender, ended) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
        }
    });
    let output = child.wait_with_output().expect("the child was started here");
    drop(sender);
    watchdog.join().expect("the watchdog does not panic");
    output
}

/// A server in a process of its own, killed when the test ends.
struct Process {
    child: Child,
    address: SocketAddr,
    log: std::thread::JoinHandle<Vec<String>>,
}

impl Process {
    /// Starts it and waits until it says that it is ready.
    fn start(data_dir: &Path) -> Self {
        let mut child =
            command(data_dir).stderr(Stdio::piped()).spawn().expect("the binary was built");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, ready) = std::sync::mpsc::channel();
        let log = std::thread::spawn(move || {
            let mut lines = Vec::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.contains(" ready ")
                    && let Some((_, address)) = line.split_once("address=")
                {
                    let _ = sender.send(address.trim().to_owned());
                }
                lines.push(line);
            }
            lines
        });
        let address = ready.recv_timeout(PATIENCE);
        let address = address.expect("it says where it listens").parse().expect("an address");
        Self { child, address, log }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process is gone");
    }

    fn wait(mut self) -> (Option<i32>, Vec<String>) {
        let code = self.child.wait().expect("the child was started here").code();
        (code, self.log.join().expect("the reader does not panic"))
    }
}

#[test]
fn it_ends_well_after_either_signal() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempdir().expect("a temporary directory");
        let process = Process::start(dir.path());
        process.signal(signal);
        let (code, log) = process.wait();
        assert_eq!(code, Some(0), "{log:?}");
        assert!(log.last().is_some_and(|line| line.contains("stopped")), "{log:?}");
    }
}

#[test]
fn an_open_connection_does_not_hold_up_the_end() {
    let dir = tempdir().expect("a temporary directory");
    let process = Process::start(dir.path());
    let idle = std::net::TcpStream::connect(process.address).expect("it listens");
    process.signal("-TERM");
    assert_eq!(process.wait().0, Some(0));
    drop(idle);
}

#[test]
fn what_it_cannot_do_it_says() {
    let dir = tempdir().expect("a temporary directory");
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let taken = listener.local_addr().expect("a bound socket has an address").to_string();
    let mut other = Command::new(env!("CARGO_BIN_EXE_ephemeris"));
    other.args(["serve", "--listen", &taken, "--data-dir"]).arg(dir.path());
    let failed = output(&mut other);
    assert_eq!(failed.status.code(), Some(1));
    assert!(said(&failed).contains(&format!("cannot listen on {taken}: ")), "{}", said(&failed));
    drop(listener);

    let failed = output(command(dir.path()).args(["--retention", "soon"]));
    assert_eq!(failed.status.code(), Some(1));
    let text = "ephemeris: --retention: \"soon\" is no duration; write 15s, 1h30m, 400d or 0\n";
    assert_eq!(said(&failed), text);

    let failed = output(command(dir.path()).env("EPHEMERIS_DURABILITY", "maybe"));
    assert!(said(&failed).contains("EPHEMERIS_DURABILITY: "), "{}", said(&failed));

    let file = dir.path().join("c.yaml");
    std::fs::write(&file, "colour: red\n").expect("the directory is writable");
    let failed = output(command(dir.path()).arg("--config").arg(&file));
    assert!(said(&failed).contains("unknown key \"colour\""), "{}", said(&failed));
}

#[test]
fn a_data_directory_has_one_owner() {
    let dir = tempdir().expect("a temporary directory");
    let process = Process::start(dir.path());
    let second = output(&mut command(dir.path()));
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("in use"), "{said}");
    process.signal("-TERM");
    assert_eq!(process.wait().0, Some(0));
}

/// One exchange over a connection of its own: status line and body.
fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> (String, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let length = body.len();
    let head = format!("{head}Host: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream.write_all(body).expect("the body is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer is whole");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// Writes one sample a series and returns the time of them.
fn write_some(address: SocketAddr, first: u32) -> i64 {
    let at = crate::support::minute_ms();
    let names: Vec<String> = (first..first + 100).map(|i| format!("s{i}")).collect();
    let all = names.iter().zip(first..).map(|(name, i)| {
        crate::support::series(&[("__name__", "x"), ("n", name)], &[(at, f64::from(i) + 0.25)])
    });
    let message = prost::Message::encode_to_vec(&crate::support::request(all.collect()));
    let head = "POST /api/v1/write HTTP/1.1\r\nContent-Type: application/x-protobuf\r\n\
                Content-Encoding: snappy\r\n";
    let (status, text) = exchange(address, head, &crate::support::compress(&message));
    assert_eq!(status, "HTTP/1.1 204 No Content", "{text}");
    at
}

/// Count and sum of all that was written, as the server has it.
fn count_and_sum(address: SocketAddr, at: i64) -> (String, String) {
    let ask = |query: &str| {
        let query = crate::support::encode(query);
        let time = crate::support::seconds(at);
        let head = format!("GET /api/v1/query?query={query}&time={time} HTTP/1.1\r\n");
        let (_, body) = exchange(address, &head, b"");
        let answer: serde_json::Value = serde_json::from_str(&body).expect("the answer is JSON");
        answer["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned()
    };
    (ask("count(x)"), ask("sum(x)"))
}

#[test]
fn nothing_acknowledged_is_lost_on_a_kill_or_on_an_end() {
    let dir = tempdir().expect("a temporary directory");
    let process = Process::start(dir.path());
    let at = write_some(process.address, 0);
    process.signal("-KILL");
    assert_eq!(process.wait().0, None);

    let process = Process::start(dir.path());
    assert_eq!(count_and_sum(process.address, at), ("100".to_owned(), "4975".to_owned()));
    let at = at.max(write_some(process.address, 100));
    process.signal("-TERM");
    assert_eq!(process.wait().0, Some(0));

    let process = Process::start(dir.path());
    assert_eq!(count_and_sum(process.address, at), ("200".to_owned(), "19950".to_owned()));
    process.signal("-TERM");
    assert_eq!(process.wait().0, Some(0));
}

#[test]
fn a_snapshot_is_a_data_directory() {
    let dir = tempdir().expect("a temporary directory");
    let process = Process::start(dir.path());
    let at = write_some(process.address, 0);
    let head = "POST /api/v1/admin/tsdb/snapshot HTTP/1.1\r\n";
    let (status, body) = exchange(process.address, head, b"");
    assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).expect("the answer is JSON");
    let name = answer["data"]["name"].as_str().expect("the snapshot has a name");
    let copy = dir.path().join("snapshots").join(name);
    // What comes later is not in it.
    write_some(process.address, 100);

    let other = Process::start(&copy);
    assert_eq!(count_and_sum(other.address, at), ("100".to_owned(), "4975".to_owned()));
    assert_eq!(count_and_sum(process.address, at).0, "200");
    for process in [process, other] {
        process.signal("-TERM");
        assert_eq!(process.wait().0, Some(0));
    }
}

/// Begins a write and sends all but the last byte of it.
fn half_a_write(address: SocketAddr) -> (std::net::TcpStream, u8, i64) {
    use std::io::Write as _;
    let at = crate::support::minute_ms();
    let series = crate::support::series(&[("__name__", "x")], &[(at, 7.5)]);
    let message = prost::Message::encode_to_vec(&crate::support::request(vec![series]));
    let body = crate::support::compress(&message);
    let (last, most) = body.split_last().expect("the body is not empty");
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let head =
        format!("POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), most].concat()).expect("it is sent");
    (stream, *last, at)
}

/// Waits until two requests are in flight: the one begun, and the one that asks.
fn wait_until_begun(address: SocketAddr) {
    let began = std::time::Instant::now();
    while !exchange(address, "GET /metrics HTTP/1.1\r\n", b"")
        .1
        .contains("ephemeris_http_requests_in_flight 2\n")
    {
        assert!(began.elapsed() < PATIENCE, "the request is not begun");
    }
}

/// Waits until nobody listens at `address` any more.
fn wait_until_closed(address: SocketAddr) {
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(began.elapsed() < PATIENCE, "it still listens");
        std::thread::yield_now();
    }
}

#[test]
fn a_write_begun_before_the_end_is_finished() {
    use std::io::{Read as _, Write as _};
    let dir = tempdir().expect("a temporary directory");
    let process = Process::start(dir.path());
    let (mut stream, last, at) = half_a_write(process.address);
    wait_until_begun(process.address);
    process.signal("-TERM");
    wait_until_closed(process.address);
    stream.write_all(&[last]).expect("the connection is kept");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert_eq!(process.wait().0, Some(0));

    let process = Process::start(dir.path());
    assert_eq!(count_and_sum(process.address, at), ("1".to_owned(), "7.5".to_owned()));
    process.signal("-TERM");
    assert_eq!(process.wait().0, Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = tempdir().expect("a temporary directory");
    let process = Process::start(dir.path());
    let (stream, ..) = half_a_write(process.address);
    wait_until_begun(process.address);
    process.signal("-TERM");
    wait_until_closed(process.address);
    process.signal("-TERM");
    assert_eq!(process.wait().0, Some(130));
    drop(stream);
}

#[test]
fn delta_totals_survive_a_kill() {
    let dir = tempdir().expect("a temporary directory");
    let at = crate::support::minute_ms() - 60_000;
    let send = |process: &Process, second: i64, value: i64| {
        let point = serde_json::json!({
            "startTimeUnixNano": format!("{}000000", at + second * 1000 - 1000),
            "timeUnixNano": format!("{}000000", at + second * 1000), "asInt": value});
        let metric = serde_json::json!({"name": "d", "sum": {"aggregationTemporality": 1,
            "isMonotonic": true, "dataPoints": [point]}});
        let body = crate::otlp::request(&metric);
        let head = "POST /v1/metrics HTTP/1.1\r\nContent-Type: application/json\r\n";
        let (status, text) = exchange(process.address, head, body.as_bytes());
        assert_eq!((status.as_str(), text.as_str()), ("HTTP/1.1 200 OK", "{}"));
    };
    for round in 0..3 {
        let process = Process::start(dir.path());
        // The last one before the kill is sent again, as by a sender that got no answer.
        for second in round * 10..=round * 10 + 10 {
            send(&process, second, 1);
        }
        process.signal("-KILL");
        assert_eq!(process.wait().0, None);
    }
    let process = Process::start(dir.path());
    let query = crate::support::encode("d_total");
    let time = crate::support::seconds(at + 30_000);
    let head = format!("GET /api/v1/query?query={query}&time={time} HTTP/1.1\r\n");
    let (_, body) = exchange(process.address, &head, b"");
    assert!(body.contains("\"31\""), "31 seconds with one each: {body}");
    process.signal("-TERM");
    assert_eq!(process.wait().0, Some(0));
}

/// Pushes lines, one a request, until the server is gone; answers those that were acknowledged.
fn push_until_gone(address: SocketAddr, thread: usize, sent: &AtomicUsize) -> Vec<String> {
    use std::io::{Read as _, Write as _};
    let at = crate::support::minute_ms();
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let line = format!("line {thread}-{n}");
        let body = format!(
            r#"{{"streams":[{{"stream":{{"app":"a{thread}"}},"values":[["{at}000000","{line}"]]}}]}}"#
        );
        let head = format!(
            "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut answer = String::new();
        let answered = std::net::TcpStream::connect(address).and_then(|mut stream| {
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
            stream.read_to_string(&mut answer)
        });
        if answered.is_err() || !answer.starts_with("HTTP/1.1 204 ") {
            break;
        }
        acknowledged.push(line);
        sent.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

#[test]
fn every_acknowledged_line_is_there_once_after_a_kill() {
    let dir = tempdir().expect("a temporary directory");
    let process = Process::start(dir.path());
    let (address, sent) = (process.address, Arc::new(AtomicUsize::new(0)));
    let pusher = |thread| {
        let sent = Arc::clone(&sent);
        std::thread::spawn(move || push_until_gone(address, thread, &sent))
    };
    let pushers: Vec<_> = (0..4).map(pusher).collect();
    let began = std::time::Instant::now();
    while sent.load(Ordering::Relaxed) < 200 {
        assert!(began.elapsed() < PATIENCE, "pushes are not answered");
        std::thread::yield_now();
    }
    process.signal("-KILL");
    process.wait();
    let acknowledged: Vec<String> =
        pushers.into_iter().flat_map(|pusher| pusher.join().expect("no panic")).collect();

    let process = Process::start(dir.path());
    let query = crate::support::encode("{app=~\"a.\"}");
    let path =
        format!("GET /loki/api/v1/query_range?query={query}&limit=5000&since=1h HTTP/1.1\r\n");
    let (status, body) = exchange(process.address, &path, b"");
    assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).expect("the answer is JSON");
    let streams = answer["data"]["result"].as_array().expect("streams");
    let values = streams.iter().flat_map(|stream| stream["values"].as_array().expect("values"));
    let mut found: Vec<&str> = values.map(|value| value[1].as_str().expect("a line")).collect();
    let all = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), all, "a line comes twice");
    for line in &acknowledged {
        assert!(found.binary_search(&line.as_str()).is_ok(), "{line} is lost");
    }
    assert!(acknowledged.len() >= 200 && all <= acknowledged.len() + 4);
    process.signal("-TERM");
    assert_eq!(process.wait().0, Some(0));
}
