//! Server reflection of gRPC: what a client asks about the services on the address of OTLP, and the
//! answers. Versions `v1` and `v1alpha` have the same messages.
//!
//! The descriptors are those of OTLP's own packages, put into `descriptors.bin` (a
//! `FileDescriptorSet`) by `descriptors.py` beside it.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::error::IngestError;
use crate::output::{bytes, number};
use crate::wire::{Reader, WireType};

/// Codes of gRPC that an answer may have.
const NOT_FOUND: u8 = 5;
const INVALID_ARGUMENT: u8 = 3;

static DESCRIPTORS: &[u8] = include_bytes!("reflection/descriptors.bin");

/// Empty if the descriptors are not well-formed, which a test rules out.
static INDEX: LazyLock<Index> = LazyLock::new(|| Index::read(DESCRIPTORS).unwrap_or_default());

/// What is found in the descriptors.
#[derive(Debug, Default)]
struct Index {
    files: Vec<File>,
    /// Full names of all that can be asked for, and the number of the file each is in.
    symbols: HashMap<String, usize>,
    services: Vec<String>,
}

#[derive(Debug, Default)]
struct File {
    name: String,
    dependencies: Vec<String>,
    /// A `FileDescriptorProto`.
    descriptor: &'static [u8],
}

/// Answers a `ServerReflectionRequest` with a `ServerReflectionResponse`. What is not known is told
/// in the answer.
///
/// # Errors
/// If the request is not well-formed.
pub fn answer(request: &[u8]) -> Result<Vec<u8>, IngestError> {
    let index = &*INDEX;
    let (mut host, mut asked) = (&[][..], (0, &[][..]));
    let mut reader = Reader::new(request);
    while let Some(field) = reader.field()? {
        match field.number {
            1 | 3..=7 => {
                field.expect(WireType::Length, "field of a reflection request")?;
                let content = reader.bytes("field of a reflection request")?;
                if field.number == 1 {
                    host = content;
                } else {
                    asked = (field.number, content);
                }
            }
            _ => reader.skip(field)?,
        }
    }
    let name = String::from_utf8_lossy(asked.1);
    let (field, content) = match asked.0 {
        3 => files_or_error(index, index.files.iter().position(|f| f.name == name), &name),
        4 => files_or_error(index, index.symbols.get(&*name).copied(), &name),
        5 | 6 => failure(NOT_FOUND, "there are no extensions here"),
        7 => services(index),
        _ => failure(INVALID_ARGUMENT, "the request asks for nothing that is known"),
    };
    let mut out = Vec::new();
    bytes(&mut out, 1, host);
    bytes(&mut out, 2, request);
    bytes(&mut out, field, &content);
    Ok(out)
}

/// Full names of the services.
#[must_use]
pub fn service_names() -> &'static [String] {
    &INDEX.services
}

/// The service that a `HealthCheckRequest` asks for; empty is the server as a whole.
///
/// # Errors
/// If the request is not well-formed.
pub fn health_service(request: &[u8]) -> Result<String, IngestError> {
    let (mut name, mut reader) = (String::new(), Reader::new(request));
    while let Some(field) = reader.field()? {
        if field.number == 1 {
            field.expect(WireType::Length, "service")?;
            name = text(&mut reader)?;
        } else {
            reader.skip(field)?;
        }
    }
    Ok(name)
}

/// A file with all it depends on, itself first.
fn files_or_error(index: &Index, file: Option<usize>, name: &str) -> (u32, Vec<u8>) {
    let Some(first) = file else {
        return failure(NOT_FOUND, &format!("{name:?} is not known here"));
    };
    let (mut wanted, mut next) = (vec![first], 0);
    while let Some(file) = wanted.get(next).and_then(|at| index.files.get(*at)) {
        for dependency in &file.dependencies {
            let at = index.files.iter().position(|file| file.name == *dependency);
            wanted.extend(at.filter(|at| !wanted.contains(at)));
        }
        next += 1;
    }
    let mut out = Vec::new();
    for file in wanted.iter().filter_map(|at| index.files.get(*at)) {
        bytes(&mut out, 1, file.descriptor);
    }
    (4, out)
}

fn services(index: &Index) -> (u32, Vec<u8>) {
    let mut out = Vec::new();
    for name in &index.services {
        let mut service = Vec::new();
        bytes(&mut service, 1, name.as_bytes());
        bytes(&mut out, 1, &service);
    }
    (6, out)
}

fn failure(code: u8, text: &str) -> (u32, Vec<u8>) {
    let mut out = Vec::new();
    number(&mut out, 1, u64::from(code));
    bytes(&mut out, 2, text.as_bytes());
    (7, out)
}

impl Index {
    fn read(set: &'static [u8]) -> Result<Self, IngestError> {
        let mut index = Self::default();
        let mut reader = Reader::new(set);
        while let Some(field) = reader.field()? {
            field.expect(WireType::Length, "file")?;
            let mut file = File { descriptor: reader.bytes("file")?, ..File::default() };
            index.read_file(&mut file)?;
            index.files.push(file);
        }
        index.services.sort_unstable();
        Ok(index)
    }

    fn read_file(&mut self, file: &mut File) -> Result<(), IngestError> {
        let (mut package, mut parts) = (String::new(), Vec::new());
        let mut reader = Reader::new(file.descriptor);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => file.name = text(&mut reader)?,
                2 => package = text(&mut reader)?,
                3 => file.dependencies.push(text(&mut reader)?),
                4..=6 => parts.push((field.number, reader.message("part of file")?)),
                _ => reader.skip(field)?,
            }
        }
        for (number, part) in parts {
            match number {
                4 => self.read_message(&package, part)?,
                // An enum's values are named beside it.
                5 => drop(self.read_named(&package, &package, part)?),
                _ => {
                    let service = self.read_service(&package, part)?;
                    self.services.push(service);
                }
            }
        }
        Ok(())
    }

    /// Notes a name in a scope as one of the file that is being read.
    fn note(&mut self, scope: &str, name: &str) -> String {
        let full = format!("{scope}.{name}");
        self.symbols.insert(full.clone(), self.files.len());
        full
    }

    fn read_message(&mut self, scope: &str, message: Reader<'_>) -> Result<(), IngestError> {
        let full = self.note(scope, &name_of(message)?);
        let mut reader = message;
        while let Some(field) = reader.field()? {
            match field.number {
                2 | 8 => {
                    let name = name_of(reader.message("field")?)?;
                    self.note(&full, &name);
                }
                3 => self.read_message(&full, reader.message("message")?)?,
                4 => drop(self.read_named(&full, &full, reader.message("enum")?)?),
                _ => reader.skip(field)?,
            }
        }
        Ok(())
    }

    fn read_service(&mut self, scope: &str, service: Reader<'_>) -> Result<String, IngestError> {
        let full = format!("{scope}.{}", name_of(service)?);
        self.read_named(scope, &full, service)
    }

    /// An enum or a service: its name, and those of its values or methods in `inner`.
    fn read_named(
        &mut self,
        scope: &str,
        inner: &str,
        part: Reader<'_>,
    ) -> Result<String, IngestError> {
        let full = self.note(scope, &name_of(part)?);
        let mut reader = part;
        while let Some(field) = reader.field()? {
            if field.number == 2 {
                let name = name_of(reader.message("part")?)?;
                self.note(inner, &name);
            } else {
                reader.skip(field)?;
            }
        }
        Ok(full)
    }
}

fn text(reader: &mut Reader<'_>) -> Result<String, IngestError> {
    Ok(String::from_utf8_lossy(reader.bytes("name")?).into_owned())
}

/// Field 1, which is the name of whatever has one.
fn name_of(mut reader: Reader<'_>) -> Result<String, IngestError> {
    while let Some(field) = reader.field()? {
        if field.number == 1 {
            return text(&mut reader);
        }
        reader.skip(field)?;
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    const METRICS: &str = "opentelemetry.proto.collector.metrics.v1.MetricsService";

    #[derive(Clone, PartialEq, Message)]
    struct Answer {
        #[prost(string, tag = "1")]
        host: String,
        #[prost(bytes = "vec", tag = "2")]
        original: Vec<u8>,
        #[prost(message, optional, tag = "4")]
        files: Option<Files>,
        #[prost(message, optional, tag = "6")]
        services: Option<Services>,
        #[prost(message, optional, tag = "7")]
        error: Option<Failure>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Files {
        #[prost(message, repeated, tag = "1")]
        files: Vec<FileName>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct FileName {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, repeated, tag = "3")]
        dependencies: Vec<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Services {
        #[prost(message, repeated, tag = "1")]
        services: Vec<FileName>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Failure {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        text: String,
    }

    fn ask(field: u32, content: &str) -> Answer {
        let mut request = vec![0x0a, 1, b'h'];
        bytes(&mut request, field, content.as_bytes());
        let answer = Answer::decode(&answer(&request).expect("well-formed")[..]);
        let answer = answer.expect("well-formed");
        assert_eq!((answer.host.as_str(), &answer.original), ("h", &request));
        answer
    }

    #[test]
    fn all_services_are_listed() {
        let services = ask(7, "").services.expect("a list").services;
        let names: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
        let expected = [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "opentelemetry.proto.collector.logs.v1.LogsService",
            METRICS,
        ];
        assert_eq!(names, expected);
        assert_eq!(service_names(), expected);
    }

    #[test]
    fn a_symbol_brings_its_file_and_all_that_it_needs() {
        let nested = "opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint.Buckets.offset";
        let value = "opentelemetry.proto.metrics.v1.AGGREGATION_TEMPORALITY_DELTA";
        let method = format!("{METRICS}.Export");
        for (symbol, file, count) in [
            (METRICS, "opentelemetry/proto/collector/metrics/v1/metrics_service.proto", 4),
            (&method, "opentelemetry/proto/collector/metrics/v1/metrics_service.proto", 4),
            (nested, "opentelemetry/proto/metrics/v1/metrics.proto", 3),
            (value, "opentelemetry/proto/metrics/v1/metrics.proto", 3),
            ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto", 1),
            ("grpc.health.v1.Health.Check", "grpc/health/v1/health.proto", 1),
        ] {
            let files = ask(4, symbol).files.expect("files").files;
            assert_eq!((files[0].name.as_str(), files.len()), (file, count), "{symbol}");
            for needed in files.iter().flat_map(|file| &file.dependencies) {
                assert!(files.iter().any(|file| file.name == *needed), "{needed}");
            }
            let by_name = ask(3, file).files.expect("files").files;
            assert_eq!(by_name, files);
        }
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (field, name) in [(3, "x.proto"), (4, "x.Y"), (5, ""), (6, "x.Y")] {
            let error = ask(field, name).error.expect("an error");
            assert_eq!(error.code, 5, "{}", error.text);
        }
        assert_eq!(ask(2, "").error.map(|error| error.code), Some(3));
        assert!(answer(b"\x22\x05x").is_err(), "cut off");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_or_refused(request in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(answer) = answer(&request) {
                prop_assert!(Answer::decode(&answer[..]).is_ok());
            }
        }
    }
}
