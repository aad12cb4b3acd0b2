//! Why a handler or an operation did not give a reply.
//!
//! An `Error` that leaves a handler becomes the client's error reply. Operations give errors for what the shard
//! answered with `-...`, for what the gateway could not do (shard down, time-out) and for what the operator has
//! not granted, each with its own kind, so that `?` does the right thing and a `match` can do more.

/// What went wrong, for code that wants to tell the cases apart.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// async fn read(cx: Cx, args: Args) -> Result<Option<Vec<u8>>> {
///     match cx.call(get(args.key())).await {
///         // The value is too large to come here: the shard's reply goes to the client by itself.
///         Err(error) if error.kind == ErrorKind::TooLarge => cx.pass(),
///         reply => reply,
///     }
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", hooks: ["GET" => read],
/// #     capabilities: { commands: ["GET"] },
/// # }
/// # fn main() {
/// # let mut world = sluicegate_plugin::harness::world::World::new(&PLUGIN, "", 1, 1);
/// # world.redis.run(&["SET", "k", &"v".repeat(2 << 20)]);
/// # assert_eq!(world.ask(0, 1, &["GET", "k"]).unwrap().bytes().unwrap().len(), 2 << 20);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The plugin itself said so.
    Plugin,
    /// The shard answered an error.
    Reply,
    /// The gateway could not bring an answer, in time or at all; the text says whether the command may have run.
    Backend,
    /// A wait of the plugin's own, as of [`timeout`](crate::wait::timeout), took too long. A shard that takes too long is
    /// `Backend`.
    Timeout,
    /// The operator's configuration does not grant the operation.
    Denied,
    /// The shard's reply is longer than the plugin may be given. The command has run.
    TooLarge,
    /// Not an error: the command goes on as it came. Made by `Cx::pass`.
    Pass,
}

/// An error with its text for the client: code first, without the leading `-`.
///
/// A shard's own error goes through `?` as it is; a plugin's own is made here:
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// assert_eq!(Error::new("no such user").text, "ERR no such user");
/// assert_eq!(Error::code("WRONGTYPE", "not a board").text, "WRONGTYPE not a board");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The text for the client, as in `ERR no such key`.
    pub text: String,
}

/// What handlers and operations return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of the plugin, answered as `-ERR <text>`.
    #[cold]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self::code("ERR", text)
    }

    /// An error of the plugin with its own code, answered as `-<code> <text>`.
    #[cold]
    pub fn code(code: &str, text: impl AsRef<str>) -> Self {
        Self::of(ErrorKind::Plugin, joined(&[code, " ", text.as_ref()]))
    }

    pub(crate) fn of(kind: ErrorKind, text: String) -> Self {
        Self { kind, text }
    }

    /// Redis's own words for a wrong number of arguments; `command` in lower case.
    ///
    /// ```
    /// # use sluicegate_plugin::error::Error;
    /// assert_eq!(Error::arity("get").text, "ERR wrong number of arguments for 'get' command");
    /// ```
    #[cold]
    pub fn arity(command: &str) -> Self {
        Self::new(joined(&["wrong number of arguments for '", command, "' command"]))
    }

    /// Redis's own words for options that make no sense.
    pub fn syntax() -> Self {
        Self::new("syntax error")
    }

    /// Redis's own words for a number that is none.
    pub fn not_an_integer() -> Self {
        Self::new("value is not an integer or out of range")
    }

    /// Redis's own words for a number with a fraction that is none.
    pub fn not_a_float() -> Self {
        Self::new("value is not a valid float")
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// The parts as one text: formatting machinery is a tenth of a small guest.
#[inline(never)]
pub(crate) fn joined(parts: &[&str]) -> String {
    parts.concat()
}
