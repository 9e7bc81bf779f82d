//! Snapshots: copies of the data directory of a running store.
//!
//! The order matters: WAL files are kept from deletion, then linked, and only then the database is
//! copied. What is sealed in between is then in both, which is harmless, since replay changes
//! nothing that is there; the other order could lose it.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::open::{DATABASE, WAL};
use crate::store::Inner;
use crate::wal::{io_error, sync_dir};

impl Inner {
    /// Copies the data directory to `dir`, which must not exist.
    pub(crate) fn snapshot(&self, dir: &Path) -> Result<()> {
        if dir.exists() {
            return Err(Error::Invalid(format!("{} exists already", dir.display())));
        }
        let wal_dir = dir.join(WAL);
        fs::create_dir_all(&wal_dir).map_err(|e| io_error("creating", &wal_dir, e))?;
        let copied = self.copy_into(dir, &wal_dir);
        if copied.is_err() {
            // A half copy must not pass for a whole one; if even this fails, the error says it.
            let _ = fs::remove_dir_all(dir);
        }
        copied
    }

    fn copy_into(&self, dir: &Path, wal_dir: &Path) -> Result<()> {
        let _files = self.work.wal_files.lock();
        let open = self.open.read().generation.number();
        for generation in self.wal.generations()? {
            let from = self.wal.path(generation);
            let to = wal_dir.join(from.file_name().unwrap_or_default());
            if generation < open {
                fs::hard_link(&from, &to).map_err(|e| io_error("linking", &from, e))?;
            } else {
                // It still grows, so it is copied; its end may be cut in a record nobody was
                // told of yet.
                fs::copy(&from, &to).map_err(|e| io_error("copying", &from, e))?;
                let synced = fs::File::open(&to).and_then(|file| file.sync_all());
                synced.map_err(|e| io_error("syncing", &to, e))?;
            }
        }
        sync_dir(wal_dir)?;
        self.rocks.checkpoint(&dir.join(DATABASE))?;
        sync_dir(dir)
    }
}
