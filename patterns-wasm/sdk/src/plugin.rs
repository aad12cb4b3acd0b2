//! What a plugin is: its manifest, its config, its handlers; and `plugin!`, which writes all three down once.
//!
//! The macro makes one static `PLUGIN` and, in a guest, the custom section `sluicegate-manifest` and the link to the
//! exported functions. A handler's number is its place in hooks, then commands, then tasks.

use std::any::Any;
use std::pin::Pin;
use std::rc::Rc;

use crate::args::Args;
use crate::config::Fields;
use crate::cx::Cx;
use crate::error::Result as HandlerResult;
use crate::json::Json;
use crate::reply::Reply;

/// A handler under way.
pub type HandlerFuture = Pin<Box<dyn Future<Output = HandlerResult<Reply>>>>;

/// Reads a JSON config, or says why it is refused.
pub type ReadConfig = fn(&[u8]) -> Result<Rc<dyn Any>, String>;

/// Everything the executor needs to know of a plugin.
pub struct Plugin {
    /// The JSON manifest.
    pub manifest: &'static str,
    /// Reads the config.
    pub init: ReadConfig,
    /// Hooks, then commands, then tasks.
    pub handlers: &'static [fn(Cx, Args) -> HandlerFuture],
    /// The names of the tasks, the last of the handlers.
    pub tasks: &'static [&'static str],
}

/// A binding's config as a plugin wants it.
pub trait Config: Sized + 'static {
    /// Reads the fields it knows; unknown keys are refused afterwards.
    fn read(fields: &mut Fields) -> Result<Self, String>;
}

/// For plugins that need no config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoConfig;

impl Config for NoConfig {
    fn read(_fields: &mut Fields) -> Result<Self, String> {
        Ok(Self)
    }
}

/// Reads a JSON config into `T`: an empty text counts as `{}`, and a key that `T` did not ask for is refused.
pub fn read_config<T: Config>(text: &[u8]) -> Result<Rc<dyn Any>, String> {
    let json = if text.is_empty() { Json::Object(Vec::new()) } else { Json::parse(text)? };
    let mut fields = Fields::new(json)?;
    let config = T::read(&mut fields)?;
    fields.finish()?;
    Ok(Rc::new(config))
}

/// Joins JSON items with commas.
#[doc(hidden)]
#[macro_export]
macro_rules! __json_list {
    () => { "[]" };
    ($first:expr $(, $rest:expr)*) => { concat!("[", $first $(, ",", $rest)*, "]") };
}

/// Declares the plugin of this crate. See `patterns-wasm/pass` for the smallest and `patterns-wasm/cache` for a real one.
#[macro_export]
macro_rules! plugin {
    (
        name: $name:literal,
        version: $version:expr,
        config: $config:ty,
        about: $about:literal,
        hooks: [ $($hook:literal => $hook_fn:path),* $(,)? ],
        commands: [ $($command:literal => $command_fn:path {
            arity: $arity:literal, keys: ($first:literal, $last:literal, $step:literal), flags: [ $($flag:literal),* ]
        }),* $(,)? ],
        tasks: [ $($task:literal => $task_fn:path),* $(,)? ],
        capabilities: {
            commands: [ $($granted:literal),* $(,)? ], wait: $wait:literal, background: $background:literal,
            shared_bytes: $shared:literal $(,)?
        },
        metrics: [ $($metric:literal: $metric_kind:literal),* $(,)? ] $(,)?
    ) => {
        const MANIFEST: &str = concat!(
            "{\"name\":\"", $name, "\",\"version\":\"", $version, "\",\"abi\":\"1.0.0\",\"hooks\":",
            $crate::__json_list!($(concat!("\"", $hook, "\"")),*),
            ",\"commands\":",
            $crate::__json_list!($(concat!(
                "{\"name\":\"", $command, "\",\"arity\":", $arity, ",\"keys\":[", $first, ",", $last, ",", $step,
                "],\"flags\":", $crate::__json_list!($(concat!("\"", $flag, "\"")),*), "}"
            )),*),
            ",\"tasks\":",
            $crate::__json_list!($(concat!("\"", $task, "\"")),*),
            ",\"capabilities\":{\"commands\":",
            $crate::__json_list!($(concat!("\"", $granted, "\"")),*),
            ",\"wait\":", $wait, ",\"background\":", $background, ",\"shared_bytes\":", $shared,
            "},\"metrics\":",
            $crate::__json_list!($(concat!("{\"name\":\"", $metric, "\",\"kind\":\"", $metric_kind, "\"}")),*),
            ",\"config\":\"", $about, "\"}"
        );

        /// The plugin of this crate.
        pub static PLUGIN: $crate::plugin::Plugin = $crate::plugin::Plugin {
            manifest: MANIFEST,
            init: $crate::plugin::read_config::<$config>,
            handlers: &[
                $(|cx, args| Box::pin($hook_fn(cx, args)),)*
                $(|cx, args| Box::pin($command_fn(cx, args)),)*
                $(|cx, args| Box::pin($task_fn(cx, args)),)*
            ],
            tasks: &[$($task),*],
        };

        #[cfg(target_arch = "wasm32")]
        mod sluicegate_plugin_link {
            #[used]
            #[unsafe(link_section = "sluicegate-manifest")]
            static SECTION: [u8; super::MANIFEST.len()] = {
                let text = super::MANIFEST.as_bytes();
                let mut section = [0; super::MANIFEST.len()];
                let mut at = 0;
                while at < section.len() {
                    section[at] = text[at];
                    at += 1;
                }
                section
            };

            #[unsafe(no_mangle)]
            extern "Rust" fn sluicegate_plugin_of_this_module() -> &'static $crate::plugin::Plugin {
                &super::PLUGIN
            }
        }
    };
}
