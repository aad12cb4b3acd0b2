//! What a plugin is: its manifest, its config, its handlers; and `plugin!`, which writes all three down once.
//!
//! The macro makes one static `PLUGIN` and, in a guest, the custom section `sluicegate-manifest` and the link to the
//! exported functions. A handler's number is its place in hooks, then commands, then tasks.

use std::any::Any;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::args::Args;
use crate::convert::IntoReply;
use crate::cx::Cx;
use crate::error::Result as HandlerResult;
use crate::reply::Reply;

/// A handler under way.
pub type HandlerFuture = Pin<Box<dyn PollReply>>;

/// A future whose result becomes a reply. Not a future around another one: that would hold it twice.
#[doc(hidden)]
pub trait PollReply {
    /// As `Future::poll`.
    fn poll_reply(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<HandlerResult<Reply>>;
}

impl<F: Future<Output: IntoReply>> PollReply for F {
    fn poll_reply(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<HandlerResult<Reply>> {
        self.poll(context).map(IntoReply::into_reply)
    }
}

/// Reads a JSON config, or says why it is refused.
pub type ReadConfig = fn(&[u8]) -> Result<Rc<dyn Any>, String>;

/// Everything that the executor needs to know of a plugin. [`plugin!`](crate::plugin!) makes it.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// async fn hello(_cx: Cx, _args: Args) -> &'static str {
///     "hello"
/// }
/// sluicegate_plugin::plugin! { name: "hello", version: "1.0.0", commands: ["HELLO" => hello] }
///
/// # fn main() {
/// assert!(PLUGIN.manifest.starts_with(r#"{"name":"hello","version":"1.0.0","abi":"2.0.0""#));
/// assert_eq!(PLUGIN.handlers.len(), 1);
/// # }
/// ```
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

impl Plugin {
    /// The number of the first task's handler.
    pub(crate) fn first_task(&self) -> u16 {
        u16::try_from(self.handlers.len() - self.tasks.len()).unwrap_or(u16::MAX)
    }
}

/// A handler's future. Used by [`plugin!`](crate::plugin!).
#[doc(hidden)]
pub fn boxed<F>(future: F) -> HandlerFuture
where
    F: Future<Output: IntoReply> + 'static,
{
    Box::pin(future)
}

/// Whether `names` holds `name`, for a check at compile time. Used by [`plugin!`](crate::plugin!).
#[doc(hidden)]
#[must_use]
pub const fn is_one_of(name: &str, names: &[&str]) -> bool {
    let mut names = names;
    while let [first, rest @ ..] = names {
        if is_same(first.as_bytes(), name.as_bytes()) {
            return true;
        }
        names = rest;
    }
    false
}

const fn is_same(mut left: &[u8], mut right: &[u8]) -> bool {
    while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
        if *a != *b {
            return false;
        }
        (left, right) = (left_rest, right_rest);
    }
    left.is_empty() && right.is_empty()
}

/// Joins JSON items with commas.
#[doc(hidden)]
#[macro_export]
macro_rules! __json_list {
    () => { "[]" };
    ($first:expr $(, $rest:expr)*) => { concat!("[", $first $(, ",", $rest)*, "]") };
}

/// What stands in the brackets, or else what stands behind them.
#[doc(hidden)]
#[macro_export]
macro_rules! __plugin_or {
    ([] $default:expr) => {
        $default
    };
    ([$given:expr] $default:expr) => {
        $given
    };
}

/// The config's type, or `NoConfig`.
#[doc(hidden)]
#[macro_export]
macro_rules! __plugin_config {
    () => {
        $crate::config::NoConfig
    };
    ($config:ty) => {
        $config
    };
}

/// Declares the plugin of this crate. Only a name, a version and one handler must be there:
///
/// ```
/// use sluicegate_plugin::prelude::*;
///
/// async fn hello(_cx: Cx, args: Args) -> Result<String> {
///     Ok(format!("hello {}", args.get::<&str>(1)?))
/// }
///
/// sluicegate_plugin::plugin! { name: "hello", version: "1.0.0", commands: ["HELLO" => hello] }
/// # fn main() {
/// # let mut world = sluicegate_plugin::harness::world::World::new(&PLUGIN, "", 1, 1);
/// # assert_eq!(world.ask(0, 1, &["HELLO", "you"]), Some(Reply::bulk("hello you")));
/// # }
/// ```
///
/// The sections stand in this order; each may be left out, and so may each part in braces:
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # #[derive(serde::Deserialize, Default)]
/// # #[serde(default)]
/// # struct Settings {}
/// # impl Config for Settings {}
/// # async fn get(cx: Cx, _args: Args) -> Result<Reply> { cx.pass() }
/// # async fn stats(_cx: Cx, _args: Args) -> i64 { 0 }
/// # async fn flush(_cx: Cx, _args: Args) {}
/// sluicegate_plugin::plugin! {
///     name: "example",
///     version: "1.0.0",                       // or env!("CARGO_PKG_VERSION")
///     config: Settings,                       // default NoConfig: any key is refused
///     about: "grace 20s: how long ...",       // one paragraph for operators that names every key of the config
///     hooks: ["GET" => get],                  // commands of Redis that it may take
///     commands: [                             // commands of its own; arity and keys as in Redis's COMMAND
///         "EXAMPLE.STATS" => stats { arity: -2, keys: (1, 1, 1), flags: ["readonly"] },
///     ],                                      // default: any number of arguments, no keys, no flags
///     tasks: ["flush" => flush],              // for spawn, watch_session and timers
///     timers: ["flush" { every_ms: 30_000, jitter_ms: 5_000 }],
///     capabilities: { commands: ["GET"], wait: true, background: true, shared_bytes: 65_536 },
///                                             // what it may do once granted; default: nothing
///     metrics: ["hits": "counter"],           // counter, gauge or histogram; numbered from 0
/// }
/// # fn main() { assert!(PLUGIN.manifest.contains("\"timers\":[{\"task\":\"flush\",\"every_ms\":30000,\"jitter_ms\":5000}]")); }
/// ```
///
/// A timer's task runs on one worker of the gateway, for each binding. A timer that names no task does not compile:
///
/// ```compile_fail
/// # use sluicegate_plugin::prelude::*;
/// # async fn flush(_cx: Cx, _args: Args) {}
/// sluicegate_plugin::plugin! {
///     name: "example", version: "1.0.0", tasks: ["flush" => flush], timers: ["flsuh" { every_ms: 30_000 }]
/// }
/// # fn main() {}
/// ```
///
/// It is one declarative macro on purpose. A procedural one could read attributes on handlers, but it is a crate of its own
/// that is compiled for every build, and what it makes cannot be read here.
#[macro_export]
macro_rules! plugin {
    (
        name: $name:literal,
        version: $version:expr
        $(, config: $config:ty)?
        $(, about: $about:literal)?
        $(, hooks: [ $($hook:literal => $hook_fn:path),* $(,)? ])?
        $(, commands: [ $($command:literal => $command_fn:path $({
            $(arity: $arity:literal)? $($(,)? keys: ($first:literal, $last:literal, $step:literal))?
            $($(,)? flags: [ $($flag:literal),* $(,)? ])? $(,)?
        })?),* $(,)? ])?
        $(, tasks: [ $($task:literal => $task_fn:path),* $(,)? ])?
        $(, timers: [ $($timer:literal { every_ms: $every:literal $(, jitter_ms: $jitter:literal)? $(,)? }),* $(,)? ])?
        $(, capabilities: {
            $(commands: [ $($granted:literal),* $(,)? ])? $($(,)? wait: $wait:literal)?
            $($(,)? background: $background:literal)? $($(,)? shared_bytes: $shared:literal)? $(,)?
        })?
        $(, metrics: [ $($metric:literal: $metric_kind:literal),* $(,)? ])?
        $(,)?
    ) => {
        const MANIFEST: &str = concat!(
            "{\"name\":\"", $name, "\",\"version\":\"", $version, "\",\"abi\":\"2.0.0\",\"hooks\":",
            $crate::__json_list!($($(concat!("\"", $hook, "\"")),*)?),
            ",\"commands\":",
            $crate::__json_list!($($(concat!(
                "{\"name\":\"", $command,
                "\",\"arity\":", $crate::__plugin_or!([$($($arity)?)?] "-1"),
                ",\"keys\":", $crate::__plugin_or!(
                    [$($(concat!("[", $first, ",", $last, ",", $step, "]"))?)?] "[0,0,0]"
                ),
                ",\"flags\":", $crate::__json_list!($($($(concat!("\"", $flag, "\"")),*)?)?), "}"
            )),*)?),
            ",\"tasks\":",
            $crate::__json_list!($($(concat!("\"", $task, "\"")),*)?),
            ",\"timers\":",
            $crate::__json_list!($($(concat!(
                "{\"task\":\"", $timer, "\",\"every_ms\":", $every,
                ",\"jitter_ms\":", $crate::__plugin_or!([$($jitter)?] 0), "}"
            )),*)?),
            ",\"capabilities\":{\"commands\":",
            $crate::__json_list!($($($(concat!("\"", $granted, "\"")),*)?)?),
            ",\"wait\":", $crate::__plugin_or!([$($($wait)?)?] false),
            ",\"background\":", $crate::__plugin_or!([$($($background)?)?] false),
            ",\"shared_bytes\":", $crate::__plugin_or!([$($($shared)?)?] 0),
            "},\"metrics\":",
            $crate::__json_list!($($(
                concat!("{\"name\":\"", $metric, "\",\"kind\":\"", $metric_kind, "\"}")
            ),*)?),
            ",\"config\":\"", $crate::__plugin_or!([$($about)?] "no keys"), "\"}"
        );

        /// The plugin of this crate.
        #[allow(unreachable_pub, reason = "a test outside of the crate may name it")]
        pub static PLUGIN: $crate::plugin::Plugin = $crate::plugin::Plugin {
            manifest: MANIFEST,
            init: $crate::config::read::<$crate::__plugin_config!($($config)?)>,
            handlers: &[
                $($(|cx, args| $crate::plugin::boxed($hook_fn(cx, args)),)*)?
                $($(|cx, args| $crate::plugin::boxed($command_fn(cx, args)),)*)?
                $($(|cx, args| $crate::plugin::boxed($task_fn(cx, args)),)*)?
            ],
            tasks: &[$($($task),*)?],
        };

        const _: () = {
            assert!(!PLUGIN.handlers.is_empty(), "plugin! needs at least one hook, command or task");
            $($(assert!(
                $crate::plugin::is_one_of($timer, PLUGIN.tasks),
                concat!("the timer '", $timer, "' names no task of plugin!")
            );)*)?
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

#[cfg(test)]
mod tests {
    use super::is_one_of;
    use crate::prelude::*;

    async fn nothing(_cx: Cx, _args: Args) {}

    crate::plugin! {
        name: "whole",
        version: "1.0.0",
        about: "no keys",
        hooks: ["GET" => nothing, "SET" => nothing],
        commands: ["A" => nothing, "B" => nothing { arity: -2 }, "C" => nothing { keys: (1, 1, 1), flags: ["write"] }],
        tasks: ["t" => nothing],
        timers: ["t" { every_ms: 10, jitter_ms: 5 }, "t" { every_ms: 20 }],
        capabilities: { wait: true, shared_bytes: 7 },
        metrics: ["hits": "counter", "left": "gauge"],
    }

    #[test]
    fn manifest_has_what_was_given_and_the_defaults_of_the_rest() {
        let wanted = concat!(
            r#"{"name":"whole","version":"1.0.0","abi":"2.0.0","hooks":["GET","SET"],"commands":["#,
            r#"{"name":"A","arity":-1,"keys":[0,0,0],"flags":[]},{"name":"B","arity":-2,"keys":[0,0,0],"flags":[]},"#,
            r#"{"name":"C","arity":-1,"keys":[1,1,1],"flags":["write"]}],"tasks":["t"],"#,
            r#""timers":[{"task":"t","every_ms":10,"jitter_ms":5},{"task":"t","every_ms":20,"jitter_ms":0}],"#,
            r#""capabilities":{"commands":[],"wait":true,"background":false,"shared_bytes":7},"#,
            r#""metrics":[{"name":"hits","kind":"counter"},{"name":"left","kind":"gauge"}],"config":"no keys"}"#,
        );
        assert_eq!(PLUGIN.manifest, wanted);
        assert_eq!(PLUGIN.handlers.len(), 6);
    }

    #[test]
    fn name_is_one_of_a_list_only_when_it_is_there_as_a_whole() {
        let names = ["flush", "sweep"];
        let cases =
            [("flush", true), ("sweep", true), ("flus", false), ("sweeps", false), ("", false)];
        for (name, wanted) in cases {
            assert_eq!(is_one_of(name, &names), wanted, "{name}");
        }
    }
}
