//! What a guest is given: the head of a call, results, and the frames that carry them.
//!
//! `patterns-wasm/sdk/wit/plugin.wit` is the layout; what differs between its versions is asked of `abi`. Nothing here can
//! fail: arguments and results were bounded before. What a guest answers is `frame`.

use super::abi::Abi;
use super::limits::SMALL_RESULT_BYTES;

/// Why a handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client's command that a binding took.
    Hook,
    /// One of the plugin's own commands.
    OwnCommand,
    /// A call that another call spawned.
    Spawned,
    /// A client's command inside MULTI.
    InMulti,
    /// A watched session has closed.
    SessionClosed,
    /// A timer of the manifest is due.
    Timer,
}

impl Kind {
    fn code(self, abi: Abi) -> u8 {
        match self {
            Self::Hook => 0,
            Self::OwnCommand => 1,
            Self::Spawned => 2,
            Self::InMulti => 3,
            Self::SessionClosed => 4,
            Self::Timer => match abi {
                Abi::V1 => 2,
                Abi::V2 => 5,
            },
        }
    }

    /// Whether a client waits for the reply.
    pub fn has_client(self) -> bool {
        match self {
            Self::Hook | Self::OwnCommand | Self::InMulti => true,
            Self::Spawned | Self::SessionClosed | Self::Timer => false,
        }
    }
}

/// The head of a start frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartHead {
    /// Why the handler runs.
    pub kind: Kind,
    /// Protocol of the session, 2 or 3.
    pub resp: u8,
    /// The selected database.
    pub db: u16,
    /// Number of the handler.
    pub handler: u16,
    /// Number of the binding in its pool.
    pub binding: u16,
    /// Shards of the pool.
    pub shards: u16,
    /// The session; 0 when there is none.
    pub session: u64,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// One RESP value.
    Reply,
    /// A text without the leading `-`.
    BackendError,
    /// Nothing.
    Timeout,
    /// What `Notify` carried; for a transaction: what its guard found.
    Event,
    /// `Denied::text`.
    Denied,
    /// Nothing: the reply is longer than the plugin may be given.
    TooLarge,
}

impl Status {
    fn code(self) -> u8 {
        match self {
            Self::Reply => 0,
            Self::BackendError => 1,
            Self::Timeout => 2,
            Self::Event => 3,
            Self::Denied => 4,
            Self::TooLarge => 5,
        }
    }
}

/// The result of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpResult<'a> {
    /// `Numbered::number` of the operation.
    pub number: u32,
    /// How it ended.
    pub status: Status,
    /// What it gave.
    pub bytes: &'a [u8],
}

/// Bytes of a start frame's header in ABI 2.0.0, which tells them to the guest.
const HEAD_BYTES: u8 = 28;

/// Overwrites `out` with a start frame of a call that may take `budget_ms`.
pub(super) fn write_start<'a>(
    out: &mut Vec<u8>,
    abi: Abi,
    head: &StartHead,
    budget_ms: u64,
    args: impl ExactSizeIterator<Item = &'a [u8]>,
) {
    let (version, length, shards) = match abi {
        Abi::V1 => (1, 0, 0),
        Abi::V2 => (2, HEAD_BYTES, head.shards),
    };
    out.clear();
    out.extend_from_slice(&[version, head.kind.code(abi), head.resp, length]);
    for word in [head.db, head.handler, head.binding, shards] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&head.session.to_le_bytes());
    match abi {
        Abi::V1 => {}
        Abi::V2 => {
            let budget_ms = u32::try_from(budget_ms).unwrap_or(u32::MAX);
            out.extend_from_slice(&u64::from(budget_ms).to_le_bytes());
        }
    }
    put_len(out, args.len());
    for arg in args {
        put_len(out, arg.len());
        out.extend_from_slice(arg);
    }
}

/// Overwrites `out` with a resume frame whose larger results have at most `bytes_max` bytes together: of one beyond,
/// only that it is too large is told.
pub(super) fn write_resume<'a>(
    out: &mut Vec<u8>,
    results: impl ExactSizeIterator<Item = OpResult<'a>>,
    bytes_max: usize,
) {
    out.clear();
    put_len(out, results.len());
    let mut left = bytes_max;
    for result in results {
        let counted = if result.bytes.len() <= SMALL_RESULT_BYTES { 0 } else { result.bytes.len() };
        let (status, bytes): (Status, &[u8]) = match left.checked_sub(counted) {
            Some(rest) => {
                left = rest;
                (result.status, result.bytes)
            }
            None => (Status::TooLarge, &[]),
        };
        out.extend_from_slice(&result.number.to_le_bytes());
        out.push(status.code());
        put_len(out, bytes.len());
        out.extend_from_slice(bytes);
    }
}

/// Arguments and results are bounded far below 4 GiB before they come here.
fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::{Kind, OpResult, StartHead, Status, write_resume, write_start};
    use crate::plugin::abi::Abi;

    fn word(out: &mut Vec<u8>, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).unwrap();
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    #[test]
    fn frames_for_the_guest_are_laid_out_as_the_contract_says() {
        let (kind, resp) = (Kind::InMulti, 3);
        let head = StartHead { kind, resp, db: 2, handler: 4, binding: 5, shards: 7, session: 6 };
        let mut out = Vec::new();
        let heads: [(Abi, Kind, &[u8]); 3] = [
            (Abi::V1, Kind::InMulti, &[1, 3, 3, 0, 2, 0, 4, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]),
            (
                Abi::V2,
                Kind::InMulti,
                &[
                    2, 3, 3, 28, 2, 0, 4, 0, 5, 0, 7, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0xd0, 7, 0, 0, 0,
                    0, 0, 0,
                ],
            ),
            (Abi::V1, Kind::Timer, &[1, 2, 3, 0, 2, 0, 4, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (abi, kind, wanted) in heads {
            let head = StartHead { kind, ..head };
            write_start(&mut out, abi, &head, 2_000, [&b"GET"[..], b"k"].into_iter());
            let mut wanted = [wanted, &[2, 0, 0, 0]].concat();
            word(&mut wanted, b"GET");
            word(&mut wanted, b"k");
            assert_eq!(out, wanted, "{abi:?} {kind:?}");
        }
        let result = |bytes| OpResult { number: 9, status: Status::Event, bytes };
        let results = [result(&[0; 2_000]), result(&[0; 2_000]), result(b"ab")];
        write_resume(&mut out, results.into_iter(), 3_999);
        let mut wanted = vec![3, 0, 0, 0, 9, 0, 0, 0, 3];
        word(&mut wanted, &[0; 2_000]);
        wanted.extend_from_slice(&[9, 0, 0, 0, 5, 0, 0, 0, 0, 9, 0, 0, 0, 3, 2, 0, 0, 0]);
        wanted.extend_from_slice(b"ab");
        assert_eq!(out, wanted);
    }
}
