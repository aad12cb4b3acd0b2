//! Between replies, arguments and Rust types: `FromReply`, `IntoReply`, `FromArg`.
//!
//! Owns nothing and never panics. What does not fit is an error whose text names what came and what was wanted, in
//! Redis's own words where Redis has some. Texts are put together by hand, because formatting is large in a guest.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::args::parse_int;
use crate::error::{Error, Result, joined};
use crate::reply::Reply;

/// A type that a shard's reply can be read as.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// assert_eq!(Reply::Int(7).to::<i64>(), Ok(7));
/// assert_eq!(Reply::Null.to::<Option<String>>(), Ok(None));
/// assert_eq!(
///     Reply::bulk("seven").to::<i64>().unwrap_err().text,
///     "ERR an integer was wanted, the shard gave the string 'seven'"
/// );
/// let pairs = Reply::Array(vec![Reply::bulk("a"), Reply::Int(1), Reply::bulk("b"), Reply::Int(2)]);
/// assert_eq!(pairs.to::<Vec<(String, i64)>>(), Ok(vec![("a".into(), 1), ("b".into(), 2)]));
/// ```
pub trait FromReply: Sized {
    /// Reads a reply that is no error.
    fn from_reply(reply: Reply) -> Result<Self>;

    /// Reads the result of an operation; an error stays one, but for types that take it in (`Result<T>`).
    fn from_result(result: Result<Reply>) -> Result<Self> {
        match result? {
            Reply::Error(text) => Err(Error::of(crate::error::ErrorKind::Reply, text)),
            reply => Self::from_reply(reply),
        }
    }
}

/// What came instead, for an error.
#[cold]
#[inline(never)]
fn unfit(wanted: &str, came: &Reply) -> Error {
    const SHOWN_MAX: usize = 40;
    let text = match came {
        Reply::Null | Reply::NullArray => String::from("null"),
        Reply::Simple(text) => joined(&["'", text, "'"]),
        Reply::Error(text) | Reply::Double(text) => joined(&["'", text, "'"]),
        Reply::Bulk(bytes) => {
            let shown = bytes.get(..SHOWN_MAX);
            let text = String::from_utf8_lossy(shown.unwrap_or(bytes));
            joined(&["the string '", &text, if shown.is_some() { "'..." } else { "'" }])
        }
        Reply::Int(value) => joined(&["the integer ", &decimal(*value)]),
        Reply::Bool(value) => String::from(if *value { "true" } else { "false" }),
        Reply::Array(items) => joined(&["an array of ", &count(items.len())]),
        Reply::Map(items) => joined(&["a map of ", &count(items.len() / 2)]),
    };
    Error::new(joined(&[wanted, " was wanted, the shard gave ", &text]))
}

fn decimal(value: i64) -> String {
    let mut digits = Vec::new();
    crate::reply::put_decimal(&mut digits, value);
    String::from_utf8(digits).unwrap_or_default()
}

fn count(len: usize) -> String {
    decimal(i64::try_from(len).unwrap_or(i64::MAX))
}

impl FromReply for Reply {
    fn from_reply(reply: Reply) -> Result<Self> {
        Ok(reply)
    }
}

/// An error that came as a result is the value: `cx.pipeline((get(a).result(), get(b).result()))`.
impl<T: FromReply> FromReply for Result<T> {
    fn from_reply(reply: Reply) -> Result<Self> {
        Ok(T::from_reply(reply))
    }

    fn from_result(result: Result<Reply>) -> Result<Self> {
        Ok(T::from_result(result))
    }
}

/// Any reply will do that is no error.
impl FromReply for () {
    fn from_reply(_reply: Reply) -> Result<Self> {
        Ok(())
    }
}

impl FromReply for i64 {
    fn from_reply(reply: Reply) -> Result<Self> {
        reply.int().ok_or_else(|| unfit("an integer", &reply))
    }
}

impl FromReply for u64 {
    fn from_reply(reply: Reply) -> Result<Self> {
        let value = reply.int().and_then(|value| Self::try_from(value).ok());
        value.ok_or_else(|| unfit("an integer from 0", &reply))
    }
}

/// A number, also as text.
impl FromReply for f64 {
    fn from_reply(reply: Reply) -> Result<Self> {
        let text = match &reply {
            Reply::Int(value) => Some(decimal(*value)),
            other => other.bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()),
        };
        let value = text.and_then(|text| text.parse().ok());
        value.ok_or_else(|| unfit("a number", &reply))
    }
}

/// 1 and 0, true and false, `OK` and null: what commands answer that do or do not.
impl FromReply for bool {
    fn from_reply(reply: Reply) -> Result<Self> {
        match reply {
            Reply::Int(value @ (0 | 1)) => Ok(value == 1),
            Reply::Bool(value) => Ok(value),
            Reply::Null | Reply::NullArray => Ok(false),
            Reply::Simple(text) if text == "OK" => Ok(true),
            other => Err(unfit("yes or no (1 or 0, true or false, OK or null)", &other)),
        }
    }
}

impl FromReply for Vec<u8> {
    fn from_reply(reply: Reply) -> Result<Self> {
        match reply {
            Reply::Bulk(bytes) => Ok(bytes),
            Reply::Simple(text) => Ok(text.into_owned().into_bytes()),
            Reply::Double(text) => Ok(text.into_bytes()),
            Reply::Int(value) => Ok(decimal(value).into_bytes()),
            other => Err(unfit("a string", &other)),
        }
    }
}

impl FromReply for String {
    fn from_reply(reply: Reply) -> Result<Self> {
        let bytes = Vec::from_reply(reply)?;
        Self::from_utf8(bytes)
            .map_err(|error| unfit("a text in UTF-8", &Reply::Bulk(error.into_bytes())))
    }
}

impl<T: FromReply> FromReply for Option<T> {
    fn from_reply(reply: Reply) -> Result<Self> {
        if reply.is_null() { Ok(None) } else { T::from_reply(reply).map(Some) }
    }
}

/// The items of an array or a map, null for an empty one.
fn items(reply: Reply) -> Result<Vec<Reply>> {
    match reply {
        Reply::Array(items) | Reply::Map(items) => Ok(items),
        Reply::Null | Reply::NullArray => Ok(Vec::new()),
        other => Err(unfit("an array", &other)),
    }
}

/// Items that each fill an item, or two in turn for pairs (see [`Item`]).
impl<T: Item> FromReply for Vec<T> {
    fn from_reply(reply: Reply) -> Result<Self> {
        let mut rest = items(reply)?.into_iter();
        let mut read = Self::with_capacity(rest.len());
        while let Some(first) = rest.next() {
            read.push(T::from_items(first, &mut rest)?);
        }
        Ok(read)
    }
}

impl<T: FromReply, const N: usize> FromReply for [T; N] {
    fn from_reply(reply: Reply) -> Result<Self> {
        let found = items(reply)?;
        if found.len() != N {
            return Err(unfit(&joined(&["an array of ", &count(N)]), &Reply::Array(found)));
        }
        let read: Result<Vec<T>> = found.into_iter().map(|item| T::from_result(Ok(item))).collect();
        read?.try_into().map_err(|_| Error::new("an array of another length"))
    }
}

/// An array of two, whose items may be of two types.
impl<A: FromReply, B: FromReply> FromReply for (A, B) {
    fn from_reply(reply: Reply) -> Result<Self> {
        let [a, b] = <[Reply; 2]>::from_reply(reply)?;
        Ok((A::from_result(Ok(a))?, B::from_result(Ok(b))?))
    }
}

impl<K: FromReply + Eq + Hash, V: FromReply> FromReply for HashMap<K, V> {
    fn from_reply(reply: Reply) -> Result<Self> {
        Ok(Vec::<(K, V)>::from_reply(reply)?.into_iter().collect())
    }
}

impl<K: FromReply + Ord, V: FromReply> FromReply for BTreeMap<K, V> {
    fn from_reply(reply: Reply) -> Result<Self> {
        Ok(Vec::<(K, V)>::from_reply(reply)?.into_iter().collect())
    }
}

/// What one item of a list is read from: its own reply, or for a pair two in turn, or an array of two as RESP3 has it.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// let flat = Reply::Array(vec![Reply::bulk("ann"), Reply::bulk("7")]);
/// let nested = Reply::Array(vec![flat.clone()]);
/// for reply in [flat, nested] {
///     assert_eq!(reply.to::<Vec<(String, f64)>>(), Ok(vec![("ann".into(), 7.0)]));
/// }
/// ```
pub trait Item: Sized {
    /// Reads an item from `first` and, for a pair, what follows.
    fn from_items(first: Reply, rest: &mut std::vec::IntoIter<Reply>) -> Result<Self>;
}

impl<A: FromReply, B: FromReply> Item for (A, B) {
    fn from_items(first: Reply, rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        let (a, b) = match first {
            Reply::Array(pair) => {
                let mut pair = pair.into_iter();
                (pair.next(), pair.next())
            }
            first => (Some(first), rest.next()),
        };
        match (a, b) {
            (Some(a), Some(b)) => Ok((A::from_result(Ok(a))?, B::from_result(Ok(b))?)),
            (Some(_), None) | (None, _) => {
                Err(Error::new("pairs were wanted, the shard gave half of one"))
            }
        }
    }
}

impl Item for Reply {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

impl Item for () {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

impl Item for i64 {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

impl Item for u64 {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

impl Item for f64 {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

impl Item for bool {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

impl Item for Vec<u8> {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

impl Item for String {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

impl<T: FromReply> Item for Option<T> {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

impl<T: FromReply> Item for Result<T> {
    fn from_items(first: Reply, _rest: &mut std::vec::IntoIter<Reply>) -> Result<Self> {
        Self::from_result(Ok(first))
    }
}

/// What a handler may return: anything that becomes a reply, or a `Result` of it.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// assert_eq!(().into_reply(), Ok(Reply::ok()));
/// assert_eq!(vec!["a", "b"].into_reply(), Ok(Reply::Array(vec![Reply::bulk("a"), Reply::bulk("b")])));
/// assert_eq!(None::<i64>.into_reply(), Ok(Reply::Null));
/// assert_eq!(1.5.into_reply(), Ok(Reply::Double("1.5".into())));
/// ```
pub trait IntoReply {
    /// The reply, or the error that the client gets.
    fn into_reply(self) -> Result<Reply>;
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply> {
        Ok(self)
    }
}

impl<T: IntoReply> IntoReply for Result<T> {
    fn into_reply(self) -> Result<Reply> {
        self?.into_reply()
    }
}

/// `+OK`
impl IntoReply for () {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::ok())
    }
}

impl IntoReply for i64 {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::Int(self))
    }
}

/// A double in RESP3, its text in RESP2; what is no number is `nan`.
impl IntoReply for f64 {
    fn into_reply(self) -> Result<Reply> {
        let text = if self.is_nan() { String::from("nan") } else { self.to_string() };
        Ok(Reply::Double(text))
    }
}

/// A boolean in RESP3, 1 or 0 in RESP2.
impl IntoReply for bool {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::Bool(self))
    }
}

impl IntoReply for &str {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::bulk(self))
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::bulk(self))
    }
}

impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::Bulk(self))
    }
}

impl IntoReply for &[u8] {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::bulk(self))
    }
}

impl<T: IntoReply> IntoReply for Option<T> {
    fn into_reply(self) -> Result<Reply> {
        self.map_or(Ok(Reply::Null), T::into_reply)
    }
}

impl<T: IntoReply> IntoReply for Vec<T> {
    fn into_reply(self) -> Result<Reply> {
        self.into_iter().map(T::into_reply).collect::<Result<_>>().map(Reply::Array)
    }
}

impl<T: IntoReply, const N: usize> IntoReply for [T; N] {
    fn into_reply(self) -> Result<Reply> {
        self.into_iter().map(T::into_reply).collect::<Result<_>>().map(Reply::Array)
    }
}

impl<A: IntoReply, B: IntoReply> IntoReply for (A, B) {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::Array(vec![self.0.into_reply()?, self.1.into_reply()?]))
    }
}

fn map<K: IntoReply, V: IntoReply>(pairs: impl Iterator<Item = (K, V)>) -> Result<Reply> {
    let mut items = Vec::new();
    for (key, value) in pairs {
        items.push(key.into_reply()?);
        items.push(value.into_reply()?);
    }
    Ok(Reply::Map(items))
}

impl<K: IntoReply, V: IntoReply> IntoReply for BTreeMap<K, V> {
    fn into_reply(self) -> Result<Reply> {
        map(self.into_iter())
    }
}

impl<K: IntoReply, V: IntoReply> IntoReply for HashMap<K, V> {
    fn into_reply(self) -> Result<Reply> {
        map(self.into_iter())
    }
}

/// A type that an argument can be read as: [`Args::get`](crate::args::Args::get).
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// assert_eq!(i64::from_arg(b"12"), Ok(12));
/// assert_eq!(i64::from_arg(b"012").unwrap_err(), Error::not_an_integer());
/// assert_eq!(<&str>::from_arg(b"abc"), Ok("abc"));
/// ```
pub trait FromArg<'a>: Sized {
    /// Reads it, or says in Redis's words why not.
    fn from_arg(arg: &'a [u8]) -> Result<Self>;
}

impl<'a> FromArg<'a> for &'a [u8] {
    fn from_arg(arg: &'a [u8]) -> Result<Self> {
        Ok(arg)
    }
}

impl FromArg<'_> for Vec<u8> {
    fn from_arg(arg: &[u8]) -> Result<Self> {
        Ok(arg.to_vec())
    }
}

impl<'a> FromArg<'a> for &'a str {
    fn from_arg(arg: &'a [u8]) -> Result<Self> {
        std::str::from_utf8(arg).map_err(|_| Error::new("value is not a text in UTF-8"))
    }
}

impl FromArg<'_> for String {
    fn from_arg(arg: &[u8]) -> Result<Self> {
        <&str>::from_arg(arg).map(Self::from)
    }
}

impl FromArg<'_> for i64 {
    fn from_arg(arg: &[u8]) -> Result<Self> {
        parse_int(arg).ok_or_else(Error::not_an_integer)
    }
}

impl FromArg<'_> for u64 {
    fn from_arg(arg: &[u8]) -> Result<Self> {
        parse_int(arg)
            .and_then(|value| Self::try_from(value).ok())
            .ok_or_else(Error::not_an_integer)
    }
}

impl FromArg<'_> for u32 {
    fn from_arg(arg: &[u8]) -> Result<Self> {
        parse_int(arg)
            .and_then(|value| Self::try_from(value).ok())
            .ok_or_else(Error::not_an_integer)
    }
}

/// A number other than "not a number".
impl FromArg<'_> for f64 {
    fn from_arg(arg: &[u8]) -> Result<Self> {
        let value = <&str>::from_arg(arg).ok().and_then(|text| text.parse::<Self>().ok());
        value.filter(|value| !value.is_nan()).ok_or_else(Error::not_a_float)
    }
}
