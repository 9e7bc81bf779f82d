//! A server process: started on free ports and an own data directory, watched through `/proc`,
//! ended by its pid.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::{BenchError, Result, fail};

/// A start that takes longer has failed; that of ten million series takes a while.
const START_TIMEOUT: Duration = Duration::from_secs(300);
/// An end that takes longer has failed; the server's own grace is 60 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
/// Clock ticks of `/proc/PID/stat` in a second, on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `/proc/PID/stat` behind the name: ticks of the process in user code; the kernel's come
/// next.
const OWN_TICKS: usize = 11;
/// The same for children that have ended.
const CHILD_TICKS: usize = 13;

/// A running server. Killed if it is dropped without [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// The most so far.
    pub peak: u64,
}

impl Server {
    /// The server binary that was built with this one.
    ///
    /// # Errors
    /// If there is none.
    pub fn default_binary() -> Result<PathBuf> {
        let own = std::env::current_exe()?;
        // Tests run from `deps`, one level below.
        let found = own.ancestors().skip(1).take(2).map(|dir| dir.join("ephemeris"));
        match found.into_iter().find(|path| path.is_file()) {
            Some(path) => Ok(path),
            None => fail(format!(
                "no server beside {}; build it, or name it with --server",
                own.display()
            )),
        }
    }

    /// Starts `binary` on `data_dir` and waits until it is ready.
    ///
    /// # Errors
    /// If it does not start, or not in time.
    pub fn start(binary: &Path, data_dir: &Path, extra_flags: &[String]) -> Result<Self> {
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--listen", "127.0.0.1:0"])
            .args(["--otlp-http-listen", "127.0.0.1:0", "--otlp-grpc-listen", "127.0.0.1:0"])
            .args(extra_flags);
        let (mut server, lines) = Self::spawn(command, SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let deadline = Instant::now() + START_TIMEOUT;
        server.address = wait_for_address(&lines, deadline)?;
        server.wait_until_ready(deadline, "/-/ready")?;
        Ok(server)
    }

    /// Starts another server that was told to listen at `address`, and waits until `ready_path`
    /// answers 200.
    ///
    /// # Errors
    /// If it does not start, or not in time.
    pub fn start_other(command: Command, address: SocketAddr, ready_path: &str) -> Result<Self> {
        let (mut server, _) = Self::spawn(command, address)?;
        server.wait_until_ready(Instant::now() + START_TIMEOUT, ready_path)?;
        Ok(server)
    }

    fn spawn(mut command: Command, address: SocketAddr) -> Result<(Self, Receiver<String>)> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|e| BenchError(format!("{}: {e}", command.get_program().display())))?;
        let stderr = child.stderr.take();
        let server = Self { child, address };
        match stderr.map(read_lines) {
            Some(lines) => Ok((server, lines)),
            None => fail("the server has no standard error"),
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_until_ready(&mut self, deadline: Instant, path: &str) -> Result<()> {
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return fail(format!("the server ended before it was ready ({status})"));
            }
            let answer = Client::connect(self.address).and_then(|mut c| c.get(path));
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        fail("the server was not ready in time")
    }

    /// Seconds of CPU used so far, by user code and by the kernel for it.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        cpu_seconds(&stat, OWN_TICKS).ok_or_else(|| BenchError(format!("unexpected stat: {stat}")))
    }

    /// Resident memory.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        memory(&status).ok_or_else(|| BenchError(format!("unexpected status: {status}")))
    }

    /// Asks the server to end and waits until it has settled and ended. Gives the seconds of CPU it
    /// used in all; servers of one process are to be ended one after the other.
    ///
    /// # Errors
    /// If it does not end in time, or not with success.
    pub fn stop(mut self) -> Result<f64> {
        let before = ended_children_cpu_seconds()?;
        let pid = self.child.id().to_string();
        let told = Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status()?;
        if !told.success() {
            return fail(format!("kill -TERM {pid}: {told}"));
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    return fail(format!("the server ended with {status}"));
                }
                return Ok(ended_children_cpu_seconds()? - before);
            }
            thread::sleep(Duration::from_millis(20));
        }
        fail("the server did not end in time")
    }

    /// Ends the server at once, as a crash would.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` or `kill` both fail, as there is no process any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands on what the server says, and goes on reading when nobody listens any more.
fn read_lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines): (Sender<String>, _) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(std::result::Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

fn wait_for_address(lines: &Receiver<String>, deadline: Instant) -> Result<SocketAddr> {
    let mut said = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(line) = lines.recv_timeout(left) else {
            return fail(format!("the server does not listen; it said:\n{said}"));
        };
        if let Some(address) = listening_address(&line) {
            return Ok(address);
        }
        said.push_str(&line);
        said.push('\n');
    }
}

/// The address in a line such as `… listening address=127.0.0.1:9090`.
fn listening_address(line: &str) -> Option<SocketAddr> {
    let after = &line[line.find("listening")?..];
    let start = after.find("127.0.0.1:")?;
    let rest = &after[start..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// Bytes this process and all children that have ended brought to disk, or will: what was written
/// to the page cache of files.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn written_bytes() -> Result<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    let bytes = written.and_then(|bytes| bytes.parse().ok());
    bytes.ok_or_else(|| BenchError(format!("unexpected io: {io}")))
}

/// Seconds of CPU of all children that have ended.
fn ended_children_cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    cpu_seconds(&stat, CHILD_TICKS).ok_or_else(|| BenchError(format!("unexpected stat: {stat}")))
}

fn cpu_seconds(stat: &str, first_field: usize) -> Option<f64> {
    // The second field is the name in brackets, which may hold anything.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(first_field)? + ticks(first_field + 1)?) / TICKS_PER_SECOND)
}

fn memory(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory { now: field("VmRSS:")?, peak: field("VmHWM:")? })
}

/// Bytes of all files below `dir`.
///
/// # Errors
/// If it cannot be read.
pub fn directory_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    let entries = fs::read_dir(dir).map_err(|e| BenchError(format!("{}: {e}", dir.display())))?;
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { directory_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_with_and_without_colours() {
        let expected = Some(SocketAddr::from(([127, 0, 0, 1], 4567)));
        let plain = "INFO ephemeris: listening address=127.0.0.1:4567";
        assert_eq!(listening_address(plain), expected);
        let coloured =
            "INFO listening \u{1b}[3maddress\u{1b}[0m\u{1b}[2m=\u{1b}[0m127.0.0.1:4567\u{1b}[0m";
        assert_eq!(listening_address(coloured), expected);
        assert_eq!(listening_address("opening 127.0.0.1:4567"), None);
    }

    #[test]
    fn proc_files_are_read() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 20 0 39 19";
        assert_eq!(cpu_seconds(stat, OWN_TICKS), Some(3.0));
        assert_eq!(cpu_seconds(stat, CHILD_TICKS), Some(0.2));
        assert_eq!(cpu_seconds("12 (a", OWN_TICKS), None);
        let status = "Name:\tx\nVmHWM:\t     300 kB\nVmRSS:\t     200 kB\n";
        assert_eq!(memory(status), Some(Memory { now: 200 << 10, peak: 300 << 10 }));
    }

    #[test]
    fn a_directory_is_measured_with_all_below() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("sub")).expect("a directory");
        fs::write(dir.path().join("a"), [0; 10]).expect("a file");
        fs::write(dir.path().join("sub/b"), [0; 32]).expect("a file");
        assert_eq!(directory_bytes(dir.path()).expect("readable"), 42);
    }
}
