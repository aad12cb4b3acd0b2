//! Everything that the tour runs on: a temporary folder, three shards, the plugin files and the gateway.
//!
//! In: what `find` found. Out: a `Stage` whose gateway serves. Dropping it ends all of it in order: the gateway drains,
//! the shards end, the folder goes. Plugins are copies in the folder, so that the tour may replace one. The gateway
//! is started from a real YAML file there, as a user's would be.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::shards::{self, Shard};
use super::stop::Stop;
use super::{DemoError, LOCAL};
use crate::config::{self, Config};
use crate::server::{Gateway, StartError};

/// Where the gateway listens, unless another program does.
pub(super) const PORT: u16 = 6380;
/// Plugins of the demo: the first is needed, the others are used if they are there.
const PLUGINS: [&str; 2] = ["cache", "pass"];

/// What runs while the tour runs. The gateway ends first, then the fields in this order.
#[derive(Debug)]
pub(super) struct Stage {
    /// Taken when it is shut down.
    gateway: Option<Gateway>,
    pub(super) shards: Vec<Shard>,
    pub(super) config: Config,
    pub(super) address: SocketAddr,
    pub(super) plugins: Vec<&'static str>,
    folder: Folder,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.shutdown();
        }
    }
}

/// A temporary folder, until it is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder harms nobody.
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    /// A new one.
    pub(super) fn new() -> Result<Self, DemoError> {
        new_folder().map(Self)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Stage {
    /// Starts everything.
    pub(super) fn set_up(
        server: &Path,
        plugin_folder: &Path,
        stop: &Stop,
    ) -> Result<Self, DemoError> {
        let folder = Folder::new()?;
        let plugins = copy_plugins(plugin_folder, &folder.0)?;
        let shards = shards::start_all(server, &folder.0, stop)?;
        let addresses: Vec<_> = shards.iter().map(|shard| shard.address).collect();
        let file = folder.0.join("gateway.yaml");
        let (gateway, config) = match start_gateway(&file, PORT, &addresses, &plugins) {
            Err(DemoError::Gateway(StartError::Listen { .. })) => {
                start_gateway(&file, 0, &addresses, &plugins)?
            }
            started => started?,
        };
        let Some((_, address)) = gateway.addresses().first().cloned() else {
            gateway.shutdown();
            return Err(DemoError::NoAddress);
        };
        Ok(Self { gateway: Some(gateway), shards, config, address, plugins, folder })
    }

    /// A plugin's file, which the gateway watches.
    pub(super) fn plugin_file(&self, name: &str) -> PathBuf {
        self.folder.0.join(format!("{name}.wasm"))
    }

    /// The gateway's configuration.
    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.0.join("gateway.yaml")
    }
}

fn new_folder() -> Result<PathBuf, DemoError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("sluicegate-demo-{}-{}", std::process::id(), now.as_millis());
    let folder = std::env::temp_dir().join(name);
    match std::fs::create_dir(&folder) {
        Ok(()) => Ok(folder),
        Err(error) => Err(DemoError::File { file: folder, error }),
    }
}

/// Copies the plugins that are there.
fn copy_plugins(from: &Path, to: &Path) -> Result<Vec<&'static str>, DemoError> {
    let mut copied = Vec::new();
    for name in PLUGINS {
        let file = from.join(format!("{name}.wasm"));
        match std::fs::copy(&file, to.join(format!("{name}.wasm"))) {
            Ok(_) => copied.push(name),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(DemoError::File { file, error }),
        }
    }
    Ok(copied)
}

fn start_gateway(
    file: &Path,
    port: u16,
    shards: &[SocketAddr],
    plugins: &[&str],
) -> Result<(Gateway, Config), DemoError> {
    std::fs::write(file, yaml(port, shards, plugins))
        .map_err(|error| DemoError::File { file: file.to_path_buf(), error })?;
    let loaded = config::load(file).map_err(|faults| {
        DemoError::Config(faults.iter().map(|fault| format!("\n  {fault}")).collect())
    })?;
    let gateway = Gateway::start_from(loaded.config.clone(), &file.display().to_string())?;
    Ok((gateway, loaded.config))
}

/// The configuration of the gateway: what a user would write, with the demo's ports.
fn yaml(port: u16, shards: &[SocketAddr], plugins: &[&str]) -> String {
    let mut files = String::new();
    let mut bindings = String::new();
    for name in plugins {
        files.push_str(&format!("  {name}: {{file: {name}.wasm, limits: {{call_timeout: 3s}}}}\n"));
        let config = match *name {
            "cache" => ", config: {grace: 20s, lease: 2s, wait: 1s}",
            _ => "",
        };
        bindings.push_str(&format!("      - {{use: {name}, keys: [\"{name}:*\"]{config}}}\n"));
    }
    let lines = shards::NAMES.iter().zip(shards);
    let shards: String = lines
        .map(|(name, address)| format!("      - {{name: {name}, address: \"{address}\"}}\n"))
        .collect();
    format!(
        "# Written by `sluicegate demo`, which takes it away when it ends.
drain_timeout: 2s
plugin_cache: off
plugins:
{files}pools:
  main:
    listen: {LOCAL}:{port}
    shards:
{shards}    plugins:
{bindings}"
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn configuration_loads_with_three_named_shards_and_the_plugins_that_are_there() {
        let shards = [7001, 7002, 7003].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        for plugins in [&PLUGINS[..], &PLUGINS[..1]] {
            let text = yaml(PORT, &shards, plugins);
            let loaded = config::parse(&text, Path::new("gateway.yaml")).unwrap();
            assert_eq!(loaded.warnings, []);
            let pool = &loaded.config.pools[0];
            let names: Vec<_> = pool.shards.iter().map(|shard| shard.name.as_str()).collect();
            assert_eq!(names, shards::NAMES);
            assert_eq!(pool.shards[1].address.to_string(), "127.0.0.1:7002");
            let found: Vec<_> =
                loaded.config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
            assert_eq!(found, plugins);
            assert_eq!(pool.bindings.len(), plugins.len());
        }
    }
}
