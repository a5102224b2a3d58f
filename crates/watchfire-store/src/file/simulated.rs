//! A disk in memory that can fail, fill up, and lose power: what was not synced survives in any mixture of 512-byte sectors,
//! and names in unsynced directories may be the old or the new ones. For tests only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, Entry, File, LockGuard, Room};

const SECTOR: usize = 512;

/// A small random generator, so that a seed tells everything.
pub(crate) struct Random(pub(crate) u64);
impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
}

type Node = Arc<Mutex<Content>>;

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// Bytes that may still be written.
    room: Option<u64>,
    /// Whether somebody else removed the directories.
    no_directories: bool,
    /// How large the disk is said to be.
    size: Option<u64>,
    /// Syncs until one fails.
    syncs_until_error: Option<u64>,
    /// Writes until one fails after half of its bytes.
    writes_until_error: Option<u64>,
    /// Changes until the process is dead: the next one has no effect, or half of it, and neither has anything after it.
    changes_until_death: Option<u64>,
    /// The change with which the process died was made, or half of it.
    dead: bool,
    changes: u64,
    /// Done once, when a file has got this name.
    when_named: Option<(PathBuf, Work)>,
}

type Work = Box<dyn FnOnce() + Send>;

impl State {
    /// Counts a change; fails when the process that makes it is dead.
    fn change(&mut self) -> io::Result<()> {
        self.changes += 1;
        match &mut self.changes_until_death {
            Some(0) if self.dead => Err(io::Error::other("simulated death")),
            Some(0) => {
                self.dead = true;
                Err(io::Error::other("simulated death"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The simulated disk; clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
    pub(crate) fn set_room(&self, room: Option<u64>) {
        self.state().room = room;
    }
    pub(crate) fn lose_directories(&self) {
        self.state().no_directories = true;
    }
    pub(crate) fn set_size(&self, size: Option<u64>) {
        self.state().size = size;
    }
    pub(crate) fn fail_sync_after(&self, syncs: u64) {
        self.state().syncs_until_error = Some(syncs);
    }
    pub(crate) fn fail_write_after(&self, writes: u64) {
        self.state().writes_until_error = Some(writes);
    }
    /// Lets the process die with the change after so many.
    pub(crate) fn die_after(&self, changes: u64) {
        self.state().changes_until_death = Some(changes);
    }
    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead
    }
    /// How many changes were made or tried.
    pub(crate) fn changes(&self) -> u64 {
        self.state().changes
    }
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        (state.room, state.syncs_until_error, state.writes_until_error, state.changes_until_death) = (None, None, None, None);
        state.dead = false;
    }

    /// Does something once, right after a file has got this name.
    pub(crate) fn when_named(&self, path: &Path, work: impl FnOnce() + Send + 'static) {
        self.state().when_named = Some((path.to_owned(), Box::new(work)));
    }

    /// What a power cut leaves: a new disk.
    pub(crate) fn cut_power(&self, random: &mut Random) -> SimulatedDisk {
        let state = self.state();
        let mut names = state.durable_names.clone();
        let paths: Vec<_> = state.names.keys().chain(state.durable_names.keys()).cloned().collect();
        for path in paths {
            if random.below(2) == 0 {
                match state.names.get(&path) {
                    Some(node) => names.insert(path, node.clone()),
                    None => names.remove(&path),
                };
            }
        }
        let mut survivors = BTreeMap::new();
        for (path, node) in names {
            let content = lock(&node).clone();
            let bytes = torn(&content, random);
            survivors.insert(path, Arc::new(Mutex::new(Content { now: bytes.clone(), durable: bytes })));
        }
        let state = State { names: survivors.clone(), durable_names: survivors, ..State::default() };
        SimulatedDisk(Arc::new(Mutex::new(state)))
    }

    /// Every file with its bytes.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.state().names.iter().map(|(path, node)| (path.clone(), lock(node).now.clone())).collect()
    }
    /// Puts bytes into a file, as damage or another program does.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let node: Node = Arc::new(Mutex::new(Content { now: bytes.clone(), durable: bytes }));
        let mut state = self.state();
        state.names.insert(path.to_owned(), node.clone());
        state.durable_names.insert(path.to_owned(), node);
    }
    /// A disk of its own with the same files.
    pub(crate) fn copy(&self) -> SimulatedDisk {
        let copy = SimulatedDisk::default();
        for (path, bytes) in self.files() {
            copy.put(&path, bytes);
        }
        copy
    }
}

/// Old and new sectors in any mixture, at any length in between.
fn torn(content: &Content, random: &mut Random) -> Vec<u8> {
    let (old, new) = (&content.durable, &content.now);
    let (short, long) = (old.len().min(new.len()), old.len().max(new.len()));
    let len = match random.below(3) {
        0 => old.len(),
        1 => new.len(),
        _ => short + random.below((long - short) as u64 + 1) as usize,
    };
    let mut out = vec![0; len];
    for start in (0..len).step_by(SECTOR) {
        let end = (start + SECTOR).min(len);
        let source = if random.below(2) == 0 { old } else { new };
        for (byte, at) in out[start..end].iter_mut().zip(start..) {
            // What neither version has was never written: zeros.
            *byte = source.get(at).or_else(|| old.get(at)).copied().unwrap_or(0);
        }
    }
    out
}

impl Disk for SimulatedDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(inside.filter_map(|(path, node)| Some(Entry { name: path.file_name()?.to_str()?.to_owned(), len: lock(node).now.len() as u64 })).collect())
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let node = self.state().names.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimulatedFile { node, disk: self.clone() }))
    }
    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        state.change()?;
        let node = state.names.entry(path.to_owned()).or_default().clone();
        Ok(Arc::new(SimulatedFile { node, disk: self.clone() }))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let node = Node::default();
        let mut state = self.state();
        state.change()?;
        state.names.insert(path.to_owned(), node.clone());
        Ok(Arc::new(SimulatedFile { node, disk: self.clone() }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let inside: Vec<PathBuf> = state.names.keys().filter(|path| path.starts_with(from)).cloned().collect();
        if inside.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        // A directory takes its content along, on the medium too: it was synced before, and its name is one.
        for path in inside {
            let target = if path == from { to.to_owned() } else { to.join(path.strip_prefix(from).unwrap_or(&path)) };
            if let Some(node) = state.names.remove(&path) {
                state.names.insert(target.clone(), node);
            }
            if path != from
                && let Some(node) = state.durable_names.remove(&path)
            {
                state.durable_names.insert(target, node);
            }
        }
        let work = state.when_named.take_if(|(path, _)| path == to);
        drop(state);
        work.into_iter().for_each(|(_, work)| work());
        Ok(())
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let node = state.names.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), node);
        Ok(())
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state().names.keys().any(|name| name.starts_with(path)))
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.names.retain(|path, _| !path.starts_with(dir));
        state.durable_names.retain(|path, _| !path.starts_with(dir));
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.names.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if cfg!(feature = "canary-nofsync") {
            return Ok(());
        }
        let mut state = self.state();
        state.change()?;
        let State { names, durable_names, .. } = &mut *state;
        durable_names.retain(|path, _| path.parent() != Some(dir));
        durable_names.extend(names.iter().filter(|(path, _)| path.parent() == Some(dir)).map(|(p, n)| (p.clone(), n.clone())));
        Ok(())
    }
    fn room(&self, _dir: &Path) -> io::Result<Room> {
        let state = self.state();
        if state.no_directories {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Room { free: state.room.unwrap_or(u64::MAX), size: state.size.unwrap_or(u64::MAX) })
    }
    fn lock(&self, _path: &Path) -> io::Result<Option<LockGuard>> {
        Ok(Some(Box::new(())))
    }
}

struct SimulatedFile {
    node: Node,
    disk: SimulatedDisk,
}

/// Counts down; says whether this is the call that fails.
fn strikes(left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => {
            *left = None;
            true
        }
        Some(n) => {
            *n -= 1;
            false
        }
        None => false,
    }
}

impl File for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.node).now.len() as u64)
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let content = lock(&self.node);
        let from = offset as usize;
        let bytes = content.now.get(from..from + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let mut content = lock(&self.node);
        let end = offset as usize + buf.len();
        let grows = end.saturating_sub(content.now.len()) as u64;
        // The write with which the process dies is made by half, as a torn one; later ones not at all.
        let dead = state.dead;
        let dies = state.change().is_err();
        if dead && dies {
            return Err(io::Error::other("simulated death"));
        }
        let broken = strikes(&mut state.writes_until_error) || dies;
        let full = state.room.is_some_and(|room| room < grows);
        let kept = if broken || full { buf.len() / 2 } else { buf.len() };
        if content.now.len() < offset as usize + kept {
            content.now.resize(offset as usize + kept, 0);
        }
        content.now[offset as usize..offset as usize + kept].copy_from_slice(&buf[..kept]);
        if broken {
            return Err(io::Error::other("simulated I/O error"));
        }
        if full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(room) = &mut state.room {
            *room -= grows;
        }
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.state().change()?;
        lock(&self.node).now.resize(len as usize, 0);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        {
            let mut state = self.disk.state();
            state.change()?;
            if strikes(&mut state.syncs_until_error) {
                return Err(io::Error::other("simulated I/O error"));
            }
        }
        if cfg!(feature = "canary-nofsync") {
            return Ok(());
        }
        let mut content = lock(&self.node);
        content.durable = content.now.clone();
        Ok(())
    }
}
