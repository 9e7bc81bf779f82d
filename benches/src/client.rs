//! HTTP/1.1 over one kept connection, as small as measuring needs: the client shares the machine
//! with the server and must not be what is measured.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::{Result, fail};

/// An answer takes longer than this only if the server hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// An answer larger than this is an error.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// Header lines of a remote-write 1.0 body.
pub const REMOTE_WRITE_1: &str = "Content-Type: application/x-protobuf\r\n\
    Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n";

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Seconds in `Retry-After`.
    pub retry_after_s: Option<u64>,
    /// Samples written, as remote write 2.0 tells.
    pub samples_written: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text, cut to what fits an error.
    #[must_use]
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(500)]).into_owned()
    }
}

/// What the head of an answer says.
#[derive(Debug, Default)]
struct Head {
    status: u16,
    content_length: usize,
    is_chunked: bool,
    retry_after_s: Option<u64>,
    samples_written: Option<u64>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_string() })
    }

    /// `GET path`.
    ///
    /// # Errors
    /// If the connection fails or the answer is not HTTP.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.answer()
    }

    /// `POST path` with a remote-write 1.0 body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn push(&mut self, path: &str, body: &[u8]) -> Result<Answer> {
        self.post(path, REMOTE_WRITE_1, body)
    }

    /// `POST path` with form parameters.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn form(&mut self, path: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", escape(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.post(path, headers, body.as_bytes())
    }

    /// `POST path` with these header lines beside host and length.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Result<Answer> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer> {
        let head = self.head()?;
        let mut body = Vec::new();
        if head.is_chunked {
            while self.chunk(&mut body)? {}
        } else {
            self.append(head.content_length, &mut body)?;
        }
        let Head { status, retry_after_s, samples_written, .. } = head;
        Ok(Answer { status, retry_after_s, samples_written, body })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.by_ref().take(64 << 10).read_line(&mut line)? == 0 {
            return fail("the server closed the connection");
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    fn head(&mut self) -> Result<Head> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let Some(status) = status else { return fail(format!("not an HTTP answer: {line:?}")) };
        let mut head = Head { status, ..Head::default() };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => match value.parse() {
                    Ok(length) => head.content_length = length,
                    Err(_) => return fail(format!("Content-Length is {value:?}")),
                },
                "transfer-encoding" => head.is_chunked = value.eq_ignore_ascii_case("chunked"),
                "retry-after" => head.retry_after_s = value.parse().ok(),
                "x-prometheus-remote-write-samples-written" => {
                    head.samples_written = value.parse().ok();
                }
                _ => {}
            }
        }
        Ok(head)
    }

    /// Reads a chunk; false if it was the last.
    fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        let line = self.line()?;
        let Ok(length) = usize::from_str_radix(line.split(';').next().unwrap_or(""), 16) else {
            return fail(format!("chunk size is {line:?}"));
        };
        if length > 0 {
            self.append(length, body)?;
        }
        self.line_after_chunk()?;
        Ok(length > 0)
    }

    fn line_after_chunk(&mut self) -> Result<()> {
        let line = self.line()?;
        if line.is_empty() { Ok(()) } else { fail(format!("chunk ends in {line:?}")) }
    }

    fn append(&mut self, length: usize, body: &mut Vec<u8>) -> Result<()> {
        if body.len().saturating_add(length) > ANSWER_BYTES_MAX {
            return fail(format!("answer is larger than {ANSWER_BYTES_MAX} bytes"));
        }
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..])?;
        Ok(())
    }
}

/// Percent-encodes all but letters, digits and `-._~`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(byte.into());
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A listener that takes one request and answers with `answer`; gives the request back.
    fn stub(answer: &'static [u8]) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let handle = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|w| w == b"\r\n\r\n") || request.ends_with(b"\r\n\r\n") {
                let count = stream.read(&mut buffer).expect("a request");
                request.extend_from_slice(&buffer[..count]);
                if request.starts_with(b"GET") {
                    break;
                }
            }
            stream.write_all(answer).expect("a client that reads");
            request
        });
        (address, handle)
    }

    #[test]
    fn a_body_of_stated_length_is_read_and_the_request_is_complete() {
        let (address, stub) = stub(
            b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\ncontent-length: 2\r\n\
              X-Prometheus-Remote-Write-Samples-Written: 4\r\n\r\nno",
        );
        let answer =
            Client::connect(address).expect("it listens").form("/x", &[("query", "a + é")]);
        let expected = Answer {
            status: 503,
            retry_after_s: Some(7),
            samples_written: Some(4),
            body: b"no".to_vec(),
        };
        assert_eq!(answer.expect("an answer"), expected);
        let request = String::from_utf8(stub.join().expect("no panic")).expect("text");
        assert!(request.starts_with("POST /x HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("Content-Length: 22\r\n\r\nquery=a%20%2B%20%C3%A9"), "{request}");
    }

    #[test]
    fn chunks_are_joined() {
        let (address, _stub) = stub(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              4\r\nhell\r\n1;x=y\r\no\r\n0\r\n\r\n",
        );
        let answer = Client::connect(address).expect("it listens").get("/").expect("an answer");
        assert_eq!((answer.status, answer.excerpt().as_str()), (200, "hello"));
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        let (address, _stub) = stub(b"hello\r\n");
        assert!(Client::connect(address).expect("it listens").get("/").is_err());
    }
}
