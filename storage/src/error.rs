//! What can go wrong in the store, and what the caller can do about it.

use std::io;

use thiserror::Error;

use crate::encoding::Damage;

/// Result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an [`enum@Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong; another one may work.
    Invalid,
    /// What was asked for does not exist.
    NotFound,
    /// A limit was passed; a smaller request or another setting may work.
    Limit,
    /// Try again a little later.
    Busy,
    /// It took too long.
    Timeout,
    /// The caller asked to stop.
    Canceled,
    /// What is on disk is damaged.
    Corrupt,
    /// The store is closed, or takes no more writes.
    Closed,
    /// A defect of the program or of the machine.
    Internal,
}

/// An error of the store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// What was asked for does not exist.
    #[error("{0}")]
    NotFound(String),
    /// A limit was passed; the text names it.
    #[error("{0}")]
    Limit(String),
    /// Try again later.
    #[error("{0}")]
    Busy(String),
    /// It took too long.
    #[error("{0}")]
    Timeout(String),
    /// The caller asked to stop.
    #[error("canceled")]
    Canceled,
    /// What is on disk is damaged.
    #[error("{place} is damaged: {detail}")]
    Corrupt {
        /// Which file or value.
        place: String,
        /// What was expected and what was found.
        detail: String,
    },
    /// The store is closed, or takes no more writes.
    #[error("{0}")]
    Closed(String),
    /// A file operation failed.
    #[error("{context}: {source}")]
    Io {
        /// What was tried on which file.
        context: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// RocksDB failed, in its own words.
    #[error("{context}: {text}")]
    Rocks {
        /// What was tried.
        context: &'static str,
        /// What RocksDB said.
        text: String,
        /// Whether it found damaged files.
        corrupt: bool,
    },
    /// A promise inside the program was broken.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Limit(_) => ErrorKind::Limit,
            Self::Busy(_) => ErrorKind::Busy,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Canceled => ErrorKind::Canceled,
            Self::Corrupt { .. } | Self::Rocks { corrupt: true, .. } => ErrorKind::Corrupt,
            Self::Closed(_) => ErrorKind::Closed,
            // A full disk is emptied by retention or by its operator.
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorKind::Busy
            }
            Self::Rocks { text, .. } if text.contains("No space left") => ErrorKind::Busy,
            Self::Io { .. } | Self::Rocks { .. } | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Damage found at `place`.
    #[must_use]
    pub fn corrupt(place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Corrupt { place: place.into(), detail: detail.into() }
    }

    /// A failed file operation.
    #[must_use]
    pub fn io(context: impl Into<String>, source: io::Error) -> Self {
        Self::Io { context: context.into(), source }
    }
}

/// Gives [`Damage`] the name of the place it was found at.
pub trait AtPlace<T> {
    /// As an error that names `place`.
    ///
    /// # Errors
    /// The damage, if there is some.
    fn at(self, place: impl FnOnce() -> String) -> Result<T>;
}

impl<T> AtPlace<T> for Result<T, Damage> {
    fn at(self, place: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|damage| Error::corrupt(place(), damage.0))
    }
}
