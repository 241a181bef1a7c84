//! `plinth serve --ephemeral`: a server for tests, which leaves nothing behind.
//!
//! The database is in memory, the port any that is free, and the one thing on the disk is the
//! cluster file, in a directory of its own that goes when the server ends. Settings that would keep
//! something are refused rather than passed over.

use std::{
    env, fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use crate::{
    cli::settings::{DurabilitySetting, Settings},
    engine::directory::DatabaseId,
};

/// Where an ephemeral server listens unless told otherwise.
pub(super) const LISTEN: &str = "127.0.0.1:0";

/// Fails if the settings ask for something that lasts.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let lasting = [
        ("data-dir", settings.data_dir.is_some()),
        ("backup-dir", settings.backup_dir.is_some()),
        ("archive", settings.archive.is_some()),
    ];
    if let Some((name, _)) = lasting.iter().find(|(_, is_set)| *is_set) {
        return Err(format!(
            "an ephemeral server keeps nothing on disk, and the setting {name} is for what is kept \
             there: leave out one of --ephemeral and {name}"
        ));
    }
    match settings.durability {
        None | Some(DurabilitySetting::None) => Ok(()),
        Some(_) => Err("an ephemeral server loses everything when it ends, so the setting \
                        durability can only be none: leave it out, or leave out --ephemeral"
            .to_owned()),
    }
}

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct TemporaryDirectory {
    path: PathBuf,
}

impl TemporaryDirectory {
    /// Makes one that nobody else can write to, named after the database.
    pub(super) fn new(id: DatabaseId) -> Result<Self, String> {
        let path = env::temp_dir().join(format!("plinth-{id}"));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            format!(
                "can't create the directory {} for the cluster file: {error}; TMPDIR in the \
                 environment says where temporary files go",
                path.display()
            )
        })?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "can't remove the directory");
        }
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        self.remove();
    }
}
