//! Out-frames of the plugin contract, byte by byte: what a test lets the guest `misbehaving` answer (`RAW <frame>...`).
//!
//! Comes in: words and numbers. Goes out: frames and the operations in them, as `patterns-wasm/sdk/wit/plugin.wit` has
//! them, and the results of a resume frame as values. Written apart from the gateway's own reader and the SDK's writer.

/// Number of the handler `task` of the guest `misbehaving`.
pub const TASK: u16 = 3;

/// Where an operation goes.
#[derive(Debug, Clone, Copy)]
pub enum To<'a> {
    OwnKeys,
    Key(&'a str),
    Shard(u16),
}

/// One result of a resume frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Result {
    pub op: u32,
    pub status: u8,
    pub bytes: Vec<u8>,
}

fn word(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("a short word");
    [&len.to_le_bytes()[..], bytes].concat()
}

fn words(words: &[&str]) -> Vec<u8> {
    let count = u32::try_from(words.len()).expect("few words");
    let mut out = count.to_le_bytes().to_vec();
    words.iter().for_each(|text| out.extend(word(text.as_bytes())));
    out
}

fn target(to: To<'_>) -> Vec<u8> {
    match to {
        To::OwnKeys => vec![0],
        To::Key(key) => [&[1][..], &word(key.as_bytes())].concat(),
        To::Shard(index) => [&[2][..], &index.to_le_bytes()].concat(),
    }
}

/// CMD; `flags`: 1 no reply wanted, 2 hooked.
pub fn command(flags: u8, to: To<'_>, line: &str) -> Vec<u8> {
    let line: Vec<&str> = line.split(' ').collect();
    [&[1, flags][..], &target(to), &words(&line)].concat()
}

/// TX, with a guard if one is given: its read and the reply that it must give.
pub fn transaction(to: To<'_>, guard: Option<(&str, &str)>, lines: &[&str]) -> Vec<u8> {
    let mut out = [&[2][..], &target(to)].concat();
    match guard {
        None => out.push(0),
        Some((read, expected)) => {
            out.push(1);
            out.extend(words(&read.split(' ').collect::<Vec<_>>()));
            out.extend(word(expected.as_bytes()));
        }
    }
    out.extend(u16::try_from(lines.len()).expect("few commands").to_le_bytes());
    for line in lines {
        out.extend(words(&line.split(' ').collect::<Vec<_>>()));
    }
    out
}

/// SLEEP.
pub fn pause(ms: u32) -> Vec<u8> {
    [&[3][..], &ms.to_le_bytes()].concat()
}

/// SPAWN of the guest's task.
pub fn spawn(args: &[&str]) -> Vec<u8> {
    [&[8][..], &TASK.to_le_bytes(), &words(args)].concat()
}

/// WATCH-SESSION with the guest's task.
pub fn watch(key: &str) -> Vec<u8> {
    [&[6][..], &TASK.to_le_bytes(), &word(key.as_bytes())].concat()
}

fn body(flags: u8, ops: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(ops.len()).expect("few operations");
    [&[flags][..], &count.to_le_bytes(), &ops.concat()].concat()
}

/// PENDING; with `first` it goes on at the first result.
pub fn pending(first: bool, ops: &[Vec<u8>]) -> Vec<u8> {
    [&[0][..], &body(u8::from(first), ops)].concat()
}

/// DONE with a reply.
pub fn done(reply: &[u8]) -> Vec<u8> {
    [&[1][..], reply].concat()
}

/// DONE+BACKGROUND that ends the call.
pub fn last(reply: &str, ops: &[Vec<u8>]) -> Vec<u8> {
    [&[3][..], &word(reply.as_bytes()), &body(2, ops)].concat()
}

/// The results of a resume frame.
pub fn results(frame: &[u8]) -> Vec<Result> {
    let number = |at: usize| {
        let bytes = frame[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes)
    };
    let mut at = 4;
    (0..number(0))
        .map(|_| {
            let len = number(at + 5) as usize;
            let found = Result {
                op: number(at),
                status: frame[at + 4],
                bytes: frame[at + 9..at + 9 + len].to_vec(),
            };
            at += 9 + len;
            found
        })
        .collect()
}
