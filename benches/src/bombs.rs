//! Bodies that are small as they come and large once decompressed, or say so: each must be refused
//! soon, and cost no more memory than the limit and a little.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::client::{Client, REMOTE_WRITE_1};
use crate::report::{Report, megabytes};
use crate::send::WRITE_PATH;
use crate::server::Server;
use crate::{Result, fail};

/// The limit on a body after decompression, as the server's default.
const LIMIT_BYTES: u64 = 32 << 20;
/// What a refusal may cost beyond it.
const MORE_BYTES: u64 = 8 << 20;
/// Zeros that a bomb holds.
const ZEROS_BYTES: u64 = 512 << 20;
/// Times each is sent; the median counts.
const ROUNDS: usize = 5;

const OTLP_PATH: &str = "/v1/metrics";
const GZIP: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n";
const DEFLATE: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: deflate\r\n";
const ZSTD: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: zstd\r\n";
const SNAPPY: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";
const LZ4: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: lz4\r\n";
const TWICE: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip, gzip\r\n";

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for the server.
    pub server_flags: Vec<String>,
    /// A refusal that takes longer is an error.
    pub time_max: Duration,
}

struct Bomb {
    name: &'static str,
    path: &'static str,
    headers: &'static str,
    body: Vec<u8>,
    status: u16,
}

/// Sends each to a server of its own.
///
/// # Errors
/// If one is not refused as it should be, takes too long or too much memory, or the server does not
/// answer afterwards.
pub fn run(options: &Options) -> Result<Report> {
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let (mut report, mut failures) = (Report::default(), Vec::new());
    for bomb in bombs()? {
        let (figures, failure) = throw(&bomb, options, &binary)?;
        report.add(bomb.name, figures);
        failures.extend(failure.map(|text| format!("{}: {text}", bomb.name)));
    }
    if failures.is_empty() {
        Ok(report)
    } else {
        fail(format!("{}\n{report}", failures.join("\n")))
    }
}

/// What it cost, and what is wrong with it.
fn throw(bomb: &Bomb, options: &Options, binary: &Path) -> Result<(String, Option<String>)> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(binary, &dir.path().join("data"), &options.server_flags)?;
    let before = server.memory()?.now;
    let (mut times, mut failure) = ([Duration::ZERO; ROUNDS], None);
    for time in &mut times {
        let mut client = Client::connect(server.address())?;
        let start = Instant::now();
        let answer = client.post(bomb.path, bomb.headers, &bomb.body)?;
        *time = start.elapsed();
        if answer.status != bomb.status {
            failure = Some(format!("answer {} {}", answer.status, answer.excerpt()));
        }
    }
    times.sort_unstable();
    let median = times[ROUNDS / 2];
    let grown = server.memory()?.peak.saturating_sub(before);
    let allowed = LIMIT_BYTES + MORE_BYTES + bomb.body.len() as u64;
    if grown > allowed {
        failure = Some(format!("{} of memory are allowed", megabytes(allowed)));
    }
    if median > options.time_max {
        failure = Some(format!("{:?} are allowed", options.time_max));
    }
    if Client::connect(server.address())?.get("/-/ready")?.status != 200 {
        failure = Some("the server is not ready any more".to_owned());
    }
    server.stop()?;
    let (sent, grown) = (megabytes(bomb.body.len() as u64), megabytes(grown));
    let figures = format!("{sent} refused with {} in {median:.1?}, {grown} of memory", bomb.status);
    Ok((figures, failure))
}

fn bombs() -> Result<Vec<Bomb>> {
    let zeros = || std::io::repeat(0).take(ZEROS_BYTES);
    let (mut gzip, mut deflate) = (Vec::new(), Vec::new());
    let level = flate2::Compression::best();
    flate2::read::GzEncoder::new(zeros(), level).read_to_end(&mut gzip)?;
    flate2::read::ZlibEncoder::new(zeros(), level).read_to_end(&mut deflate)?;
    let zstd = zstd::stream::encode_all(zeros(), 3)?;
    let mut window = zstd::stream::Encoder::new(Vec::new(), 3)?;
    window.window_log(27)?;
    window.write_all(&vec![7; 1 << 20])?;
    let window = window.finish()?;
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    std::io::copy(&mut zeros(), &mut lz4)?;
    let lz4 = lz4.finish().map_err(std::io::Error::from)?;
    let twice = gzip.clone();
    let otlp = |name, headers, body, status| Bomb { name, path: OTLP_PATH, headers, body, status };
    Ok(vec![
        Bomb {
            name: "snappy that declares 2.7 GB",
            path: WRITE_PATH,
            headers: REMOTE_WRITE_1,
            body: declares(2_700_000_000, 1 << 20),
            status: 400,
        },
        Bomb {
            name: "snappy that holds 64 MiB",
            path: WRITE_PATH,
            headers: REMOTE_WRITE_1,
            body: snappy_zeros(64 << 20)?,
            status: 413,
        },
        otlp("snappy that holds 64 MiB, to OTLP", SNAPPY, snappy_zeros(64 << 20)?, 413),
        otlp("gzip, 1000:1", GZIP, gzip, 413),
        otlp("deflate, 1000:1", DEFLATE, deflate, 413),
        otlp("zstd, 10000:1", ZSTD, zstd, 413),
        otlp("zstd with a window of 128 MiB", ZSTD, window, 400),
        otlp("lz4, 255:1", LZ4, lz4, 413),
        otlp("gzip in gzip", TWICE, twice, 415),
    ])
}

/// A snappy block of one literal that declares to hold more.
fn declares(mut length: u64, body_bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while length >= 0x80 {
        body.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    body.push(length.to_le_bytes()[0]);
    body.resize(body_bytes, 0);
    body
}

fn snappy_zeros(bytes: usize) -> Result<Vec<u8>> {
    Ok(ephemeris_ingest::body::compress_snappy(&vec![0; bytes])?)
}
