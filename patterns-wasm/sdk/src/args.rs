//! The arguments of a call, as they came in its start frame.
//!
//! They lie in the call's start frame, which lives as long as the call or its arguments. For hooks and own commands argument 0 is the
//! command's name as the client wrote it; for spawned calls and closed sessions the arguments are the plugin's own.
//! Reading past the end gives an empty argument or an error, never a panic: a trap would cost other calls.

use std::rc::Rc;

use crate::convert::FromArg;
use crate::error::{Error, Result};
use crate::operations::Call;

/// The arguments of one call.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # use sluicegate_plugin::harness::world::World;
/// /// `SLOWADD key by [note]`
/// async fn slow_add(cx: Cx, args: Args) -> Result<i64> {
///     let by = args.get::<i64>(2)?;           // "ERR value is not an integer or out of range"
///     let note: Option<&str> = args.opt(3)?;
///     assert_eq!(note, None);
///     cx.call(incr_by(args.key(), by)).await
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["SLOWADD" => slow_add],
/// #     capabilities: { commands: ["INCRBY"] },
/// # }
/// # fn main() {
/// # let mut world = World::new(&PLUGIN, "", 1, 1);
/// # assert_eq!(world.ask(0, 1, &["SLOWADD", "k", "2"]), Some(Reply::Int(2)));
/// # let Some(Reply::Error(text)) = world.ask(0, 1, &["SLOWADD", "k", "x"]) else { panic!() };
/// # assert_eq!(text, "ERR value is not an integer or out of range");
/// # let Some(Reply::Error(text)) = world.ask(0, 1, &["SLOWADD", "k"]) else { panic!() };
/// # assert_eq!(text, "ERR wrong number of arguments for 'slowadd' command");
/// # }
/// ```
#[derive(Clone)]
pub struct Args {
    call: Rc<Call>,
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.from(0)).finish()
    }
}

impl Args {
    /// The arguments of `call`.
    pub(crate) fn of(call: Rc<Call>) -> Self {
        Self { call }
    }

    /// Number of arguments, the command's name included.
    pub fn len(&self) -> usize {
        self.call.start.len()
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Argument `index` as it came, empty past the end.
    pub fn bytes(&self, index: usize) -> &[u8] {
        self.call.start.argument(index)
    }

    /// Argument `index` as a `T`; the error has Redis's own words, also when there is none.
    pub fn get<'a, T: FromArg<'a>>(&'a self, index: usize) -> Result<T> {
        if index >= self.len() {
            let name = String::from_utf8_lossy(self.name()).to_ascii_lowercase();
            return Err(Error::arity(&name));
        }
        T::from_arg(self.bytes(index))
    }

    /// Argument `index` as a `T`, if there is one.
    pub fn opt<'a, T: FromArg<'a>>(&'a self, index: usize) -> Result<Option<T>> {
        if index >= self.len() { Ok(None) } else { T::from_arg(self.bytes(index)).map(Some) }
    }

    /// The command's name as the client wrote it.
    pub fn name(&self) -> &[u8] {
        self.bytes(0)
    }

    /// The first argument after the name: for most commands their key.
    pub fn key(&self) -> &[u8] {
        self.bytes(1)
    }

    /// All arguments behind the key.
    pub fn rest(&self) -> impl Iterator<Item = &[u8]> {
        self.from(2)
    }

    /// All arguments from `index` on.
    pub fn from(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        (index..self.len()).map(|i| self.bytes(i))
    }

    /// Whether argument `index` is `word`, in any case.
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.bytes(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Argument `index` as a decimal integer in Redis's strict form (no plus sign, no leading zero).
    pub fn int(&self, index: usize) -> Option<i64> {
        parse_int(self.bytes(index))
    }
}

/// Reads a decimal integer as Redis does: `-?` then digits without a leading zero, within 64 bits.
///
/// ```
/// # use sluicegate_plugin::args::parse_int;
/// assert_eq!((parse_int(b"-12"), parse_int(b"012")), (Some(-12), None));
/// ```
pub fn parse_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    match digits {
        [] => return None,
        [b'0'] => return if negative { None } else { Some(0) },
        [b'0', ..] => return None,
        _ => {}
    }
    if digits.len() <= 18 {
        // Cannot overflow; and without the checks it needs no 128-bit product, which is slow in WebAssembly.
        let mut value: i64 = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        }
        return Some(if negative { -value } else { value });
    }
    let mut value: i64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(digit - b'0');
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::parse_int;

    #[test]
    fn parse_int_reads_what_redis_reads() {
        let cases: &[(&str, Option<i64>)] = &[
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("120", Some(120)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            ("1 ", None),
            ("1.5", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_int(text.as_bytes()), *wanted, "{text:?}");
        }
    }
}
