//! A power cut: after the server is killed, its data directory is put back to what was synced.
//!
//! The server runs with a small library preloaded (`power_cut/forget.c`, built with `cc`) that notes
//! at each sync what the file or the directory then held. [`PowerCut::cut`] makes the data directory
//! of that: names that were not synced are gone, removals that were not synced are undone, files
//! have the bytes of their last sync. To some cuts a part of what was appended since is left, as a
//! disk may do.
//!
//! It is no model of disks that lie about a sync or damage what they hold.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{BenchError, Result, fail};

const SOURCE: &str = include_str!("../power_cut/forget.c");
/// One of so many cuts leaves a part of the bytes appended since the last sync.
const TORN_EVERY: u64 = 2;

/// The preloaded library, what it noted, and the directory that is cut.
#[derive(Debug)]
pub struct PowerCut {
    /// Beside the data directory, since links reach no other file system.
    beside: tempfile::TempDir,
    data_dir: PathBuf,
}

impl PowerCut {
    /// Prepares to run `server` on `data_dir`, which must be there and counts as synced.
    ///
    /// # Errors
    /// If the library cannot be built (it needs `cc`), or files cannot be written.
    pub fn new(server: &Path, data_dir: &Path) -> Result<Self> {
        let data_dir = data_dir.canonicalize()?;
        let parent = data_dir.parent().unwrap_or(Path::new("/"));
        let beside = tempfile::Builder::new().prefix("power-cut-").tempdir_in(parent)?;
        let source = beside.path().join("forget.c");
        fs::write(&source, SOURCE)?;
        let library = beside.path().join("forget.so");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-pthread", "-Wno-format-truncation", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()
            .map_err(|e| BenchError(format!("cc: {e}; a C compiler is needed")))?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr);
            return fail(format!("cc on forget.c: {}: {said}", built.status));
        }
        let cut = Self { beside, data_dir };
        let quoted = |path: &Path| format!("'{}'", path.display());
        let script = format!(
            "#!/bin/sh\nPOWER_CUT_DATA={} POWER_CUT_MIRROR={} LD_PRELOAD={} exec {} \"$@\"\n",
            quoted(&cut.data_dir),
            quoted(&cut.mirror()),
            quoted(&library),
            quoted(&server.canonicalize()?),
        );
        fs::write(cut.server(), script)?;
        fs::set_permissions(cut.server(), fs::Permissions::from_mode(0o700))?;
        cut.start_mirror()?;
        Ok(cut)
    }

    /// The server to start in place of the real one.
    #[must_use]
    pub fn server(&self) -> PathBuf {
        self.beside.path().join("server")
    }

    /// Puts the data directory back to what was synced; no server may run. `random` decides what is
    /// left of appended bytes that were not. Answers how many bytes were dropped.
    ///
    /// # Errors
    /// If files cannot be read or written.
    pub fn cut(&self, random: u64) -> Result<u64> {
        let left = self.beside.path().join("left");
        fs::create_dir(&left)?;
        let mut dropped = 0;
        let root = fs::metadata(&self.data_dir)?.ino();
        self.restore(root, &left, random, &mut dropped)?;
        fs::remove_dir_all(&self.data_dir)?;
        fs::rename(&left, &self.data_dir)?;
        fs::remove_dir_all(self.mirror())?;
        self.start_mirror()?;
        Ok(dropped)
    }

    fn mirror(&self) -> PathBuf {
        self.beside.path().join("mirror")
    }

    fn noted(&self, kind: &str, inode: u64) -> PathBuf {
        self.mirror().join(kind).join(inode.to_string())
    }

    /// Notes all of the data directory as synced.
    fn start_mirror(&self) -> Result<()> {
        for kind in ["data", "names", "keep"] {
            fs::create_dir_all(self.mirror().join(kind))?;
        }
        self.note_directory(&self.data_dir)
    }

    fn note_directory(&self, dir: &Path) -> Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let (path, about) = (entry.path(), entry.metadata()?);
            let kind = if about.is_dir() { 'd' } else { 'f' };
            let name = entry.file_name();
            names.extend(format!("{kind}{} {}\0", about.ino(), name.display()).bytes());
            if about.is_dir() {
                self.note_directory(&path)?;
            } else {
                fs::copy(&path, self.noted("data", about.ino()))?;
                fs::hard_link(&path, self.noted("keep", about.ino()))?;
            }
        }
        fs::write(self.noted("names", fs::metadata(dir)?.ino()), names)?;
        Ok(())
    }

    /// Makes the synced entries of directory `inode` in `to`.
    fn restore(&self, inode: u64, to: &Path, random: u64, dropped: &mut u64) -> Result<()> {
        // A directory that was never synced is empty.
        let names = read_or_empty(&self.noted("names", inode))?;
        let names = String::from_utf8_lossy(&names);
        for line in names.split_terminator('\0') {
            let parsed = line.split_at_checked(1).and_then(|(kind, rest)| {
                let (inode, name) = rest.split_once(' ')?;
                Some((kind, inode.parse::<u64>().ok()?, name))
            });
            let Some((kind, inode, name)) = parsed else { return fail(format!("entry {line:?}")) };
            let path = to.join(name);
            if kind == "d" {
                fs::create_dir(&path)?;
                self.restore(inode, &path, random, dropped)?;
                continue;
            }
            let mut bytes = read_or_empty(&self.noted("data", inode))?;
            let live = read_or_empty(&self.noted("keep", inode))?;
            let appended = live.get(bytes.len()..).unwrap_or_default();
            let torn = torn_bytes(appended.len() as u64, random, inode);
            *dropped += appended.len() as u64 - torn;
            bytes.extend(appended.iter().take(usize::try_from(torn).unwrap_or(0)));
            fs::write(&path, bytes)?;
        }
        Ok(())
    }
}

/// How many of the bytes appended since the last sync are left.
fn torn_bytes(appended: u64, random: u64, inode: u64) -> u64 {
    if !random.is_multiple_of(TORN_EVERY) {
        return 0;
    }
    ((random / TORN_EVERY) ^ inode) % (appended + 1)
}

fn read_or_empty(path: &Path) -> Result<Vec<u8>> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => fail(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script of the shell with the library preloaded, as the server would be.
    fn run(cut: &PowerCut, script: &str) {
        let status = Command::new(cut.server()).args(["-c", script]).status().expect("it runs");
        assert!(status.success(), "{script}: {status}");
    }

    #[test]
    fn what_was_not_synced_is_gone_and_what_was_is_there() {
        let parent = tempfile::tempdir().expect("a directory");
        let data = parent.path().join("data");
        fs::create_dir(&data).expect("a directory");
        fs::write(data.join("old"), "old").expect("a file");
        fs::write(data.join("removed"), "removed").expect("a file");
        let cut = PowerCut::new(Path::new("/bin/sh"), &data).expect("it is prepared");
        // `sync FILE` is fsync, for directories too.
        run(
            &cut,
            &format!(
                "cd '{}' && echo one > a && echo b > b && echo c > old && mkdir d e && sync a && \
                 sync . && echo two >> a && rm removed && echo x > d/x && sync d d/x && \
                 echo y > e/y && sync e/y",
                data.display()
            ),
        );
        // An odd number leaves nothing of what was appended.
        let dropped = cut.cut(1).expect("it is cut");
        let text = |name: &str| fs::read_to_string(data.join(name)).ok();
        assert_eq!(text("a").as_deref(), Some("one\n"));
        assert_eq!(text("removed").as_deref(), Some("removed"), "its removal was not synced");
        assert_eq!(text("old").as_deref(), Some("old"));
        assert_eq!(text("b").as_deref(), Some(""), "a name without its bytes");
        assert_eq!(text("d/x").as_deref(), Some("x\n"));
        assert_eq!(text("e/y"), None, "the name was not synced");
        assert_eq!(dropped, 4 + 2);
        // What is left counts as synced.
        run(&cut, &format!("cd '{}' && rm a && sync .", data.display()));
        cut.cut(1).expect("it is cut");
        assert_eq!(text("a"), None);
        assert_eq!(text("d/x").as_deref(), Some("x\n"));
    }

    #[test]
    fn some_cuts_leave_a_part() {
        assert_eq!(torn_bytes(0, 6, 1), 0);
        assert_eq!(torn_bytes(10, 7, 0), 0);
        assert_eq!(torn_bytes(10, 8, 0), 4);
        assert_eq!(torn_bytes(10, 42, 0), 10);
    }
}
