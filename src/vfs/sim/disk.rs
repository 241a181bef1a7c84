//! What is on the simulated disk: what the engine sees, what is durable, and what lies between.
//!
//! Every file has its durable bytes, its present bytes, and the effects that lead from one to the
//! other in order. Directories are the same for names. A sync folds effects into what is durable;
//! a power cut folds some of them, as [`super::cut`] chooses.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use super::{cold::ColdPages, pages::Pages};

/// A file, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(u64);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(FileId),
    Directory,
}

/// All that a name map has.
pub(super) type Names = BTreeMap<PathBuf, Node>;

/// A change of a file that isn't durable yet.
#[derive(Clone, Debug)]
pub(super) enum FileEffect {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
}

/// A change of a directory that isn't durable yet.
#[derive(Clone, Debug)]
pub(super) enum NameEffect {
    Add { path: PathBuf, node: Node },
    Remove { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf, node: Node },
}

/// An effect and its place in the order of all effects of the disk.
#[derive(Clone, Debug)]
pub(super) struct Pending<E> {
    pub(super) sequence: u64,
    pub(super) effect: E,
}

/// A file's bytes, as they are, as they are durable, and what leads from one to the other.
#[derive(Clone, Debug, Default)]
pub(super) struct FileState {
    /// The name it was created with or renamed to last.
    pub(super) path: PathBuf,
    pub(super) durable: Pages,
    pub(super) current: Pages,
    pub(super) pending: Vec<Pending<FileEffect>>,
    /// Alive as long as the file is mapped.
    pub(super) mapped: Weak<ColdPages>,
}

/// A disk.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<FileId, FileState>,
    pub(super) names: Names,
    pub(super) durable_names: Names,
    /// By directory.
    pub(super) pending_names: BTreeMap<PathBuf, Vec<Pending<NameEffect>>>,
    next_file: u64,
    sequence: u64,
}

impl Node {
    fn file(&self) -> Option<FileId> {
        match self {
            Self::File(file) => Some(*file),
            Self::Directory => None,
        }
    }
}

impl FileEffect {
    pub(super) fn apply(&self, pages: &mut Pages) {
        match self {
            Self::Write { offset, bytes } => pages.write(bytes, *offset),
            Self::SetLen(len) => pages.set_len(*len),
        }
    }
}

impl NameEffect {
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            Self::Add { path, node } => {
                names.insert(path.clone(), *node);
            }
            Self::Remove { path } => {
                names.remove(path);
            }
            Self::Rename { from, to, node } => {
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
        }
    }
}

impl Disk {
    /// An empty disk with nothing but its root.
    pub(super) fn new() -> Self {
        let names = Names::from([(PathBuf::from("/"), Node::Directory)]);
        Self::from_durable(BTreeMap::new(), names, 0)
    }

    /// A disk where everything is durable.
    pub(super) fn from_durable(
        files: BTreeMap<FileId, FileState>,
        names: Names,
        next_file: u64,
    ) -> Self {
        Self {
            files,
            durable_names: names.clone(),
            names,
            pending_names: BTreeMap::new(),
            next_file,
            sequence: 0,
        }
    }

    /// How many changes there have been.
    pub(super) fn changes(&self) -> u64 {
        self.sequence
    }

    pub(super) fn next_file(&self) -> u64 {
        self.next_file
    }

    /// A copy that nobody has anything of open or mapped: files that have lost all their names
    /// are gone.
    pub(super) fn duplicate(&self) -> Self {
        let mut copy = self.clone();
        let pending = self.pending_names.values().flatten();
        let pending = pending.filter_map(|pending| match &pending.effect {
            NameEffect::Add { node, .. } | NameEffect::Rename { node, .. } => Some(node),
            NameEffect::Remove { .. } => None,
        });
        let nodes = self.names.values().chain(self.durable_names.values()).chain(pending);
        let named: BTreeSet<FileId> = nodes.filter_map(Node::file).collect();
        copy.files.retain(|id, _| named.contains(id));
        for file in copy.files.values_mut() {
            file.mapped = Weak::new();
        }
        copy
    }

    /// A hash of all names and of the bytes that they stand for.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, node) in &self.names {
            path.hash(&mut hasher);
            if let Some(file) = node.file().and_then(|file| self.files.get(&file)) {
                file.current.hash_into(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// The bytes that all files take, each once.
    pub(super) fn used(&self) -> u64 {
        let files: BTreeSet<FileId> = self.names.values().filter_map(Node::file).collect();
        files.iter().filter_map(|id| self.files.get(id)).map(|file| file.current.len()).sum()
    }

    /// Whoever maps a file promises that nobody writes to it any more.
    pub(super) fn assert_not_mapped(&self, file: FileId) {
        let state = &self.files[&file];
        let is_mapped = state.mapped.strong_count() > 0;
        assert!(!is_mapped, "{} is written to while it is mapped", state.path.display());
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<FileId> {
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = FileId(self.next_file);
        self.add_name(path, NameEffect::Add { path: path.to_path_buf(), node: Node::File(file) })?;
        self.next_file += 1;
        let path = path.to_path_buf();
        self.files.insert(file, FileState { path, ..FileState::default() });
        Ok(file)
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            None => {
                let path_buf = path.to_path_buf();
                self.add_name(path, NameEffect::Add { path: path_buf, node: Node::Directory })
            }
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if from.parent() != to.parent() {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let file = self.file(from)?;
        let node = Node::File(file);
        let effect = NameEffect::Rename { from: from.to_path_buf(), to: to.to_path_buf(), node };
        self.add_name(from, effect)?;
        self.files.entry(file).or_default().path = to.to_path_buf();
        Ok(())
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = Node::File(self.file(from)?);
        if self.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.add_name(to, NameEffect::Add { path: to.to_path_buf(), node })
    }

    pub(super) fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        if self.children(path)?.next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.add_name(path, NameEffect::Remove { path: path.to_path_buf() })
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.add_name(path, NameEffect::Remove { path: path.to_path_buf() })
    }

    pub(super) fn children(&self, directory: &Path) -> io::Result<impl Iterator<Item = &PathBuf>> {
        self.directory(directory)?;
        Ok(self.names.keys().filter(move |path| path.parent() == Some(directory)))
    }

    pub(super) fn sync_directory(&mut self, directory: &Path) -> io::Result<()> {
        self.directory(directory)?;
        for pending in self.pending_names.remove(directory).unwrap_or_default() {
            pending.effect.apply(&mut self.durable_names);
        }
        Ok(())
    }

    pub(super) fn add_file_effect(&mut self, file: FileId, effect: FileEffect) {
        let sequence = self.next_sequence();
        let file = self.files.entry(file).or_default();
        effect.apply(&mut file.current);
        file.pending.push(Pending { sequence, effect });
    }

    pub(super) fn sync_file(&mut self, file: FileId) {
        let file = self.files.entry(file).or_default();
        for pending in file.pending.drain(..) {
            pending.effect.apply(&mut file.durable);
        }
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn add_name(&mut self, path: &Path, effect: NameEffect) -> io::Result<()> {
        let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        self.directory(directory)?;
        effect.apply(&mut self.names);
        let sequence = self.next_sequence();
        let pending = self.pending_names.entry(directory.to_path_buf()).or_default();
        pending.push(Pending { sequence, effect });
        Ok(())
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}
