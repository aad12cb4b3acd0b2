//! `sluicegate plugin`: the tools of those who write plugins, and of those who run them.
//!
//! `new` writes a project, `build` and `test` call cargo in one, `check` loads a file as a gateway would, `bench` measures
//! it (`measure` with `flow`, `backend` and `crowd`), `reload` asks a running gateway. `demo` has `plugin run`.
//! In: arguments. Out: an `Outcome`, or one line that says what to do.

pub mod arguments;
mod backend;
pub mod bench;
pub mod build;
pub mod check;
mod crowd;
pub mod flow;
pub mod measure;
pub mod new;
pub mod project;
pub mod reload;
mod sdk_files;

use crate::cli::Outcome;
use arguments::PluginCommand;

/// Carries out a subcommand; `plugin run` is the caller's.
pub fn run(command: PluginCommand) -> Result<Outcome, String> {
    match command {
        PluginCommand::New { name } => new::new(&name),
        PluginCommand::Build { path } => build::build(&path),
        PluginCommand::Test { path, args } => build::test(&path, &args),
        PluginCommand::Check { file, config, plugin, gateway } => {
            let read = match (plugin, gateway) {
                (Some(name), Some(gateway)) => check::Setting::Gateway(gateway, name),
                _ => check::Setting::Config(config),
            };
            check::check(&file, &read)
        }
        PluginCommand::Bench { file, config, only, json, quick } => {
            bench::bench(&file, config.as_deref(), only.as_deref(), (json, quick))
        }
        PluginCommand::Reload { names, address, config, user, password } => {
            let target = reload::Target { address, config, auth_user: user, password };
            reload::reload(&target, &names)
        }
        PluginCommand::Run { .. } => Err("plugin run is not carried out here".to_owned()),
    }
}
