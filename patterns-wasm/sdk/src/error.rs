//! Why a handler or an operation did not give a reply.
//!
//! An `Error` that leaves a handler becomes the client's error reply. Operations give errors for what the shard
//! answered with `-...`, for what the gateway could not do (shard down, time-out) and for what the operator has
//! not granted, each with its own kind, so that `?` does the right thing and a `match` can do more.

/// What went wrong, for code that wants to tell the cases apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The plugin itself said so.
    Plugin,
    /// The shard answered an error.
    Reply,
    /// The gateway could not bring an answer; the text says whether the command may have run.
    Backend,
    /// The operation took too long.
    Timeout,
    /// The operator's configuration does not grant the operation.
    Denied,
    /// The shard's reply is longer than the plugin may be given. The command has run.
    TooLarge,
    /// Not an error: the command goes on as it came. Made by `Cx::pass`.
    Pass,
}

/// An error with its text for the client: code first, without the leading `-`.
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
    pub fn new(text: impl AsRef<str>) -> Self {
        Self::with_code("ERR", text)
    }

    /// An error of the plugin with its own code, answered as `-<code> <text>`.
    pub fn with_code(code: &str, text: impl AsRef<str>) -> Self {
        let mut line = String::from(code);
        line.push(' ');
        line.push_str(text.as_ref());
        Self::of(ErrorKind::Plugin, line)
    }

    pub(crate) fn of(kind: ErrorKind, text: String) -> Self {
        Self { kind, text }
    }

    /// Redis's own words for a wrong number of arguments.
    pub fn arity(command: &str) -> Self {
        let mut text = String::from("wrong number of arguments for '");
        text.push_str(command);
        text.push_str("' command");
        Self::new(text)
    }

    /// Redis's own words for options that make no sense.
    pub fn syntax() -> Self {
        Self::new("syntax error")
    }

    /// Redis's own words for a number that is none.
    pub fn not_an_integer() -> Self {
        Self::new("value is not an integer or out of range")
    }
}
