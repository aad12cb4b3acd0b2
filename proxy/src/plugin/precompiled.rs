//! Compiled code of plugins, kept on disk so that a restart does not compile again.
//!
//! A file is named by the module's SHA-256 and the engine's compatibility hash, lies in a directory that only the
//! gateway's user can enter (0700, its own), and is written beside its name and renamed. Anything unexpected means: compile.
//! The one `unsafe` of the crate is here: wasmtime trusts compiled code as it trusts a program. So no file from anywhere
//! else is ever read, and a user's `.cwasm` is never accepted.
#![allow(
    unsafe_code,
    reason = "loading compiled code trusts it; this reviewed file reads only what the gateway itself has written"
)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{Engine, Module};

use super::generation::hex;
use super::limits::COMPILED_FILES_MAX;

/// The directory of compiled code.
#[derive(Debug, Clone)]
pub struct CompiledCache {
    directory: PathBuf,
}

impl CompiledCache {
    /// Uses `directory`, made if need be. `None` when it is not ours alone: then nothing is cached.
    pub fn open(directory: &Path) -> Option<Self> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.ok()?;
        is_private(directory).then(|| Self { directory: directory.to_path_buf() })
    }

    /// The module of `wasm`, from the cache or compiled and then kept. The flag tells whether it was there.
    pub(super) fn module(
        &self,
        engine: &Engine,
        wasm: &[u8],
        sha256: &[u8; 32],
    ) -> wasmtime::Result<(Module, bool)> {
        let path = self.directory.join(file_name(engine, sha256));
        if let Some(module) = self.load(engine, &path) {
            return Ok((module, true));
        }
        let module = Module::from_binary(engine, wasm)?;
        // A full disk or a lost race is no reason not to run: the next start compiles again.
        if self.store(&path, &module.serialize()?).is_ok() {
            self.drop_oldest(COMPILED_FILES_MAX);
        }
        Ok((module, false))
    }

    /// Leaves so many files, those that were written last: each version of a plugin that is being written makes one.
    fn drop_oldest(&self, files_max: usize) {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
            .filter_map(|path| Some((std::fs::metadata(&path).ok()?.modified().ok()?, path)))
            .collect();
        files.sort();
        let over = files.len().saturating_sub(files_max);
        for (_, path) in files.iter().take(over) {
            // Another process may have done so.
            let _ = std::fs::remove_file(path);
        }
    }

    fn load(&self, engine: &Engine, path: &Path) -> Option<Module> {
        let file = std::fs::symlink_metadata(path).ok()?;
        if !file.is_file() || !is_private(&self.directory) || !is_ours(&file) {
            return None;
        }
        // SAFETY: the file is a regular one of our own user in a directory that only we can change, so it holds what
        // `store` wrote: the output of `Module::serialize`. wasmtime checks its version and settings itself.
        unsafe { Module::deserialize_file(engine, path) }.ok()
    }

    fn store(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        // A name of this call alone: engines of one process may store the same module at once.
        static STORED: AtomicU64 = AtomicU64::new(0);
        let number = STORED.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_extension(format!("{}-{number}.new", std::process::id()));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
        let written = file.write_all(code).and_then(|()| std::fs::rename(&beside, path));
        if written.is_err() {
            // Best effort: what is left over has a name that nothing reads.
            let _ = std::fs::remove_file(&beside);
        }
        written
    }
}

/// Named by everything that makes compiled code valid.
fn file_name(engine: &Engine, sha256: &[u8; 32]) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}.cwasm", hex(sha256), hasher.finish())
}

/// A directory, no link, that is ours and that nobody else can enter.
fn is_private(directory: &Path) -> bool {
    std::fs::symlink_metadata(directory).is_ok_and(|found| {
        found.is_dir() && is_ours(&found) && found.permissions().mode().trailing_zeros() >= 6
    })
}

fn is_ours(found: &std::fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::CompiledCache;
    use crate::plugin::test_support::guest;

    /// A directory of this test, gone with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("sluicegate-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn oldest_code_goes_when_there_is_too_much() {
        let scratch = Scratch::new("oldest");
        let cache = CompiledCache::open(&scratch.0).unwrap();
        for name in ["a.cwasm", "b.cwasm", "c.cwasm", "other"] {
            let path = scratch.0.join(name);
            std::fs::write(&path, name).unwrap();
            // Their order in time does not depend on how finely the file system tells it.
            let age = u64::from(b'z' - name.as_bytes()[0]);
            let written = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
            std::fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(written)
                .unwrap();
        }
        cache.drop_oldest(2);
        let left = std::fs::read_dir(&scratch.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["b.cwasm", "c.cwasm", "other"]);
    }

    #[test]
    fn compiled_code_is_kept_and_damage_means_compile_again() {
        let scratch = Scratch::new("kept");
        let cache = CompiledCache::open(&scratch.0).unwrap();
        let engine = wasmtime::Engine::default();
        let wasm = guest("pass.wasm");
        let key = [7; 32];
        let from_cache = || cache.module(&engine, &wasm, &key).unwrap().1;
        assert!(!from_cache());
        assert!(from_cache());
        let file = std::fs::read_dir(&scratch.0).unwrap().next().unwrap().unwrap().path();
        std::fs::write(&file, b"no code").unwrap();
        assert!(!from_cache(), "damage is compiled over");
        assert!(from_cache());
        let other =
            wasmtime::Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        assert!(!cache.module(&other, &wasm, &key).unwrap().1, "another engine, another name");
        assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 2, "nothing left over");
    }

    #[test]
    fn code_of_another_engine_and_links_are_not_taken_under_the_right_name() {
        let scratch = Scratch::new("foreign");
        let cache = CompiledCache::open(&scratch.0).unwrap();
        let engine = wasmtime::Engine::default();
        let wasm = guest("pass.wasm");
        let from_cache = || cache.module(&engine, &wasm, &[3; 32]).unwrap().1;
        assert!(!from_cache());
        let file = std::fs::read_dir(&scratch.0).unwrap().next().unwrap().unwrap().path();
        let good = std::fs::read(&file).unwrap();
        let other =
            wasmtime::Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        let foreign = other.precompile_module(&wasm).unwrap();
        for bytes in [&foreign[..], &good[..good.len() / 2], &wasm, b""] {
            std::fs::write(&file, bytes).unwrap();
            assert!(!from_cache(), "{} bytes that are not what was stored", bytes.len());
            assert!(from_cache(), "compiled over");
        }
        let elsewhere = Scratch::new("elsewhere");
        std::fs::write(&elsewhere.0, &good).unwrap();
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&elsewhere.0, &file).unwrap();
        assert!(!from_cache(), "a link leads out of the directory");
        assert!(std::fs::symlink_metadata(&file).unwrap().is_file(), "replaced by a file");
        assert_eq!(std::fs::read(&elsewhere.0).unwrap(), good, "what it led to is untouched");
        std::fs::remove_file(&elsewhere.0).unwrap();
    }

    #[test]
    fn directory_that_others_can_enter_is_not_used() {
        let scratch = Scratch::new("open");
        let cache = CompiledCache::open(&scratch.0).unwrap();
        let engine = wasmtime::Engine::default();
        let wasm = guest("pass.wasm");
        cache.module(&engine, &wasm, &[1; 32]).unwrap();
        std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!cache.module(&engine, &wasm, &[1; 32]).unwrap().1);
        assert!(CompiledCache::open(&scratch.0).is_none());
        // Only root can give a file away, to see that another's is not taken.
        std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(0o700)).unwrap();
        let file = std::fs::read_dir(&scratch.0).unwrap().next().unwrap().unwrap().path();
        if std::os::unix::fs::chown(&file, Some(12_345), None).is_ok() {
            assert!(!cache.module(&engine, &wasm, &[1; 32]).unwrap().1);
        }
        assert!(CompiledCache::open(&scratch.0.join("../missing/\0")).is_none());
    }
}
