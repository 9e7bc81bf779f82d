//! The text of the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::WebError;

/// What is written, its paths taken from where the file lies.
pub(super) struct File {
    pub(super) tls: Option<Tls>,
    pub(super) http2: bool,
    pub(super) users: BTreeMap<String, String>,
    pub(super) open_paths: Vec<String>,
    headers: BTreeMap<String, String>,
}

/// `tls_server_config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    #[serde(default)]
    pub(super) client_auth_type: ClientAuth,
    pub(super) client_ca_file: Option<PathBuf>,
    #[serde(default = "oldest")]
    pub(super) min_version: Version,
    #[serde(default = "newest")]
    pub(super) max_version: Version,
}

/// Whether a client must show a certificate. A certificate that is asked for and not checked, which
/// Prometheus can be told to do too, proves nothing and is not offered.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
pub(super) enum ClientAuth {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

/// A version of TLS.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

const fn oldest() -> Version {
    Version::Tls12
}

const fn newest() -> Version {
    Version::Tls13
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tls_server_config: Option<Tls>,
    #[serde(default)]
    http_server_config: Http,
    #[serde(default)]
    basic_auth_users: BTreeMap<String, String>,
    #[serde(default)]
    auth_excluded_paths: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Http {
    http2: bool,
    headers: BTreeMap<String, String>,
}

impl Default for Http {
    fn default() -> Self {
        Self { http2: true, headers: BTreeMap::new() }
    }
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<File, WebError> {
    let wrong = |cause: String| WebError { path: path.to_owned(), cause };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let written: Option<Written> =
        serde_yaml_ng::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let Some(mut written) = written else {
        return Err(wrong("it is empty; leave web_config_file out to serve without".to_owned()));
    };
    if let Some(tls) = &mut written.tls_server_config {
        let beside = path.parent().unwrap_or(Path::new(""));
        tls.cert_file = beside.join(&tls.cert_file);
        tls.key_file = beside.join(&tls.key_file);
        tls.client_ca_file = tls.client_ca_file.take().map(|file| beside.join(file));
        tls.check().map_err(wrong)?;
    }
    Ok(File {
        tls: written.tls_server_config,
        http2: written.http_server_config.http2,
        users: written.basic_auth_users,
        open_paths: written.auth_excluded_paths,
        headers: written.http_server_config.headers,
    })
}

impl Tls {
    fn check(&self) -> Result<(), String> {
        let verifies = self.client_auth_type != ClientAuth::NoClientCert;
        if verifies && self.client_ca_file.is_none() {
            return Err(
                "client_auth_type asks for certificates, so client_ca_file must say whose".into()
            );
        }
        if !verifies && self.client_ca_file.is_some() {
            return Err("client_ca_file is given, and client_auth_type does not ask for \
                        certificates; set it to RequireAndVerifyClientCert"
                .into());
        }
        if self.min_version > self.max_version {
            return Err("min_version is above max_version".into());
        }
        Ok(())
    }
}

impl File {
    /// The files this one names.
    pub(super) fn names(&self) -> Vec<PathBuf> {
        let of_tls = |tls: &Tls| {
            let both = [tls.cert_file.clone(), tls.key_file.clone()];
            both.into_iter().chain(tls.client_ca_file.clone()).collect()
        };
        self.tls.as_ref().map(of_tls).unwrap_or_default()
    }

    /// Headers of every answer.
    pub(super) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let header = |(name, value): (&String, &String)| {
            let wrong = || format!("{name:?}: {value:?} is no header");
            let name = HeaderName::try_from(name).map_err(|_| wrong())?;
            let value = HeaderValue::try_from(value).map_err(|_| wrong())?;
            Ok((name, value))
        };
        self.headers.iter().map(header).collect()
    }
}
