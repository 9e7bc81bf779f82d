//! A server in memory: remote write in, and just the queries that verifying asks.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use ephemeris_ingest::Limits;
use ephemeris_ingest::remote_write::{Buffers, decode};
use ephemeris_model::{BodyKind, Labels, WriteBatch};
use serde_json::{Value, json};

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    BusyOnce,
    Refuse,
    LoseOne,
    ChangeBits,
}

type Series = BTreeMap<Labels, BTreeMap<i64, f64>>;

/// Listens until the test process ends.
pub(crate) struct MemoryServer {
    address: SocketAddr,
}

impl MemoryServer {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(Mutex::new((fault, Series::new())));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, stream) = (Arc::clone(&state), stream.expect("a client"));
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(stream: TcpStream, state: &Mutex<(Fault, Series)>) {
    let mut reader = BufReader::new(stream);
    while let Some((path, body)) = request(&mut reader) {
        let (fault, series) = &mut *state.lock().expect("no panic before");
        let (head, answer) = if path == "/api/v1/query" {
            ("200 OK", query(series, &form_value(&body, "query")).to_string())
        } else {
            write(fault, series, &body)
        };
        let length = answer.len();
        let text = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{answer}");
        reader.get_mut().write_all(text.as_bytes()).expect("a client that reads");
    }
}

/// Path and body of the next request; none once the client is gone.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line);
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length?.trim().parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((lines[0].split(' ').nth(1)?.to_owned(), body))
}

fn write(fault: &mut Fault, series: &mut Series, body: &[u8]) -> (&'static str, String) {
    match *fault {
        Fault::BusyOnce => {
            *fault = Fault::None;
            return ("503 Busy\r\nRetry-After: 0", String::new());
        }
        Fault::Refuse => return ("400 Bad Request", "no".to_owned()),
        Fault::None | Fault::LoseOne | Fault::ChangeBits => {}
    }
    let mut buffers = Buffers::default();
    let batch = decode(BodyKind::RemoteWrite1, body, &Limits::default(), &mut buffers);
    store(fault, series, &batch.expect("well-formed"));
    ("204 No Content", String::new())
}

fn store(fault: &mut Fault, series: &mut Series, batch: &WriteBatch<'_>) {
    for sent in &batch.series {
        let mut pairs = Vec::new();
        batch.read_labels(sent, &mut pairs).expect("well-formed");
        let text = |bytes| std::str::from_utf8(bytes).expect("UTF-8").to_owned();
        let labels = Labels::from_pairs(pairs.into_iter().map(|(n, v)| (text(n), text(v))));
        let stored = series.entry(labels).or_default();
        for sample in &batch.samples[sent.samples.start as usize..sent.samples.end as usize] {
            if *fault == Fault::LoseOne {
                *fault = Fault::None;
                continue;
            }
            let flip = u64::from(*fault == Fault::ChangeBits);
            let value = f64::from_bits(sample.value.to_bits() ^ flip);
            let kept = stored.entry(sample.timestamp_ms).or_insert(value);
            if value.total_cmp(kept).is_gt() {
                *kept = value;
            }
        }
    }
}

fn form_value(body: &[u8], name: &str) -> String {
    let body = String::from_utf8_lossy(body);
    let value = body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let mut decoded = Vec::new();
    let mut bytes = value.unwrap_or_default().bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let hex: String = bytes.by_ref().take(2).map(char::from).collect();
            decoded.push(u8::from_str_radix(&hex, 16).expect("two digits"));
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).expect("UTF-8")
}

fn query(series: &Series, expression: &str) -> Value {
    let vector = |value: usize| {
        let result = json!([{ "metric": {}, "value": [0, value.to_string()] }]);
        json!({ "data": { "resultType": "vector", "result": result } })
    };
    if expression.starts_with("count(") {
        return vector(series.values().filter(|samples| !samples.is_empty()).count());
    }
    if let Some(of_metric) = expression.strip_prefix("sum(count_over_time(") {
        let name = of_metric.split('{').next();
        let of_metric = series.iter().filter(|(labels, _)| labels.metric_name() == name);
        return vector(of_metric.map(|(_, samples)| samples.len()).sum());
    }
    // name{satellite="…"}[…] or name[…]
    let name = expression.split(['{', '[']).next().unwrap_or_default();
    let satellite = expression.split('"').nth(1);
    let matching = series.iter().filter(|(labels, _)| {
        labels.metric_name() == Some(name)
            && satellite.is_none_or(|wanted| labels.get("satellite") == Some(wanted))
    });
    let result: Vec<Value> = matching
        .map(|(labels, samples)| {
            let metric: serde_json::Map<_, _> =
                labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of our days are exact")]
            let values: Vec<Value> = samples
                .iter()
                .map(|(time, value)| json!([*time as f64 / 1e3, value.to_string()]))
                .collect();
            json!({ "metric": metric, "values": values })
        })
        .collect();
    json!({ "data": { "resultType": "matrix", "result": result } })
}
