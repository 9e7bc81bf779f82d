//! Encryption and passwords, set by a file as Prometheus' `--web.config.file` takes it
//! (<https://prometheus.io/docs/prometheus/latest/configuration/https/>). It holds for all
//! addresses. The file and the certificates it names are looked at again and again, so that a new
//! certificate or password needs no restart; what cannot be used is told and changes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};
use parking_lot::RwLock;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use self::users::Users;

mod file;
mod tls;
pub mod users;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why the file cannot be used.
#[derive(Debug, Error)]
#[error("{}: {cause}", path.display())]
pub struct WebError {
    /// The file at fault: this one, or one that it names.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: String,
}

/// What the file says.
pub struct Rules {
    /// Takes encrypted connections, and no others, if there is one.
    pub tls: Option<TlsAcceptor>,
    /// Who may ask; anybody if there are none.
    pub users: Users,
    /// Paths for which nobody is asked for a password.
    pub open_paths: Vec<String>,
    /// Headers of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The files this is from.
    files: Vec<PathBuf>,
}

/// The rules in force.
pub struct Web {
    path: PathBuf,
    now: RwLock<(Arc<Rules>, Vec<Stamp>)>,
}

/// What tells that a file is another one.
type Stamp = Option<(SystemTime, u64)>;

impl Web {
    /// Reads the file at `path` and those it names.
    ///
    /// # Errors
    /// If one cannot be read or used.
    pub fn open(path: &Path) -> Result<Self, WebError> {
        let (rules, stamps) = load(path)?;
        Ok(Self { path: path.to_owned(), now: RwLock::new((Arc::new(rules), stamps)) })
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.now.read().0)
    }

    /// Reads the files again if one has changed; whether one had.
    ///
    /// # Errors
    /// If one cannot be read or used; the rules stay as they were.
    pub fn look_again(&self) -> Result<bool, WebError> {
        let changed = {
            let now = self.now.read();
            now.0.files.iter().map(|path| stamp(path)).ne(now.1.iter().copied())
        };
        if changed {
            let (rules, stamps) = load(&self.path)?;
            *self.now.write() = (Arc::new(rules), stamps);
        }
        Ok(changed)
    }
}

/// Looks at the files until the server has ended.
pub async fn watch(web: Weak<Web>) {
    let mut told = String::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(web) = web.upgrade() else { return };
        let path = web.path.clone();
        match tokio::task::spawn_blocking(move || web.look_again()).await {
            Ok(Ok(true)) => {
                told.clear();
                tracing::info!(path = %path.display(), "took the changed web configuration");
            }
            // Once for each reason, not every few seconds.
            Ok(Err(error)) if error.to_string() != told => {
                told = error.to_string();
                tracing::error!(%error, "the changed web configuration is not used, the one before is");
            }
            _ => {}
        }
    }
}

/// Stamps are taken before files are read, so that a change meanwhile is seen the next time.
fn load(path: &Path) -> Result<(Rules, Vec<Stamp>), WebError> {
    let (first, file) = (stamp(path), file::read(path)?);
    let mut files = vec![path.to_owned()];
    files.extend(file.names());
    let mut stamps = vec![first];
    stamps.extend(files[1..].iter().map(|path| stamp(path)));
    let wrong = |cause| WebError { path: path.to_owned(), cause };
    let rules = Rules {
        tls: file.tls.as_ref().map(|part| tls::acceptor(part, file.http2)).transpose()?,
        headers: file.headers().map_err(wrong)?,
        users: Users::new(file.users).map_err(wrong)?,
        open_paths: file.open_paths,
        files,
    };
    Ok((rules, stamps))
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
