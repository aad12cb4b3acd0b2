//! A guest that breaks every rule on demand, written against the raw contract.
//!
//! `MISBEHAVE <fault>` (or GET with the fault as key) does it at once; `MISBEHAVE <fault> later` first sleeps, then does it
//! in `resume`; `MISBEHAVE loop-cancel asleep` sleeps for ever and loops when it is cancelled. `fine` behaves. A fault in
//! the config (`{"fault": "init-refuse"}`) acts in `init`, one that ends with `-later` in every `init` of a worker but the
//! first. `RAW <frame>...` answers the frames that the test gives, one per step, and
//! at last the resume frame that it got; `again` for a frame repeats the one before for ever, `burn` spends about a
//! millisecond in each step from then on. The task takes the same arguments; `bomb` makes it spawn two of itself. When a
//! watched session closes it sets the watched key to the number of the handler that it was started with.
//! The SDK is not used: it would not let us.
#![allow(
    unsafe_code,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "this guest exists to do what is forbidden"
)]
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

const MANIFEST: &[u8] = br#"{"name":"misbehaving","version":"1.0.0","abi":"1.0.0","hooks":["GET"],
"commands":[{"name":"MISBEHAVE","arity":-2,"keys":[0,0,0],"flags":["write"]},
{"name":"RAW","arity":-2,"keys":[0,0,0],"flags":["write"]}],"tasks":["task"],
"capabilities":{"commands":["GET","SET","SELECT","MULTI","EXEC","WATCH","SUBSCRIBE","BLPOP","XREAD","CLIENT","TIME"],
"wait":true,"background":true,"shared_bytes":1024},"metrics":[],"config":"fault"}"#;

/// Number of the handler `task`: behind one hook and two commands.
const TASK: u8 = 3;
/// Kind of a call that another one spawned.
const SPAWNED: u8 = 2;
/// Kind of a call about a session that has closed.
const SESSION_CLOSED: u8 = 4;

#[used]
#[unsafe(link_section = "sluicegate-manifest")]
static SECTION: [u8; MANIFEST.len()] = {
    let mut section = [0; MANIFEST.len()];
    let mut at = 0;
    while at < section.len() {
        section[at] = MANIFEST[at];
        at += 1;
    }
    section
};

thread_local! {
    /// The fault that each sleeping call will do.
    static LATER: RefCell<HashMap<u32, String>> = RefCell::default();
    /// The frames that each `RAW` call has left.
    static RAW: RefCell<HashMap<u32, Raw>> = RefCell::default();
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static RETURNED: RefCell<[u32; 3]> = const { RefCell::new([0; 3]) };
    /// Place and length of the frame buffer: none.
    static BUFFER: RefCell<[u32; 2]> = const { RefCell::new([0; 2]) };
    /// When set, the allocator lies.
    static BAD_REALLOC: RefCell<bool> = const { RefCell::new(false) };
}

#[link(wasm_import_module = "sluicegate:plugin/host@1.0.0")]
unsafe extern "C" {
    #[link_name = "log"]
    fn host_log(level: u32, ptr: *const u8, len: usize);
    #[link_name = "shared-get"]
    fn host_shared_get(ptr: *const u8, len: usize, ret: u32);
    #[link_name = "shared-set"]
    fn host_shared_set(
        ptr: *const u8,
        len: usize,
        value: *const u8,
        value_len: usize,
        ttl_ms: u32,
    ) -> u32;
    #[link_name = "metric"]
    fn host_metric(id: u32, kind: u32, value: i64);
}

fn log(text: &str) {
    unsafe { host_log(4, text.as_ptr(), text.len()) }
}

fn returned(ptr: u32, len: u32) -> u32 {
    RETURNED.set([ptr, len, 0]);
    RETURNED.with(|cell| cell.as_ptr() as usize as u32)
}

/// Hands out bytes as the result of an entry.
fn answer(bytes: Vec<u8>) -> u32 {
    OUT.with_borrow_mut(|out| {
        *out = bytes;
        returned(out.as_ptr() as usize as u32, out.len() as u32)
    })
}

fn done(reply: &[u8]) -> u32 {
    answer([&[1], reply].concat())
}

/// DONE with so many bytes.
fn done_with_bulk(len: usize) -> u32 {
    let mut reply = format!("${len}\r\n").into_bytes();
    reply.resize(reply.len() + len, b'x');
    reply.extend_from_slice(b"\r\n");
    done(&reply)
}

/// PENDING with one SLEEP.
fn sleep(ms: u32) -> u32 {
    answer([&[0, 0, 1, 0, 3][..], &ms.to_le_bytes()].concat())
}

fn endless() -> ! {
    let mut spin = 0_u64;
    loop {
        spin = std::hint::black_box(spin.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn recurse(depth: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(depth + 1)) + 1)
}

fn bomb() -> u32 {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        // Untouched: touching each page would reach the CPU limit first.
        kept.push(std::hint::black_box(Vec::with_capacity(1 << 20)));
    }
}

fn misbehave(fault: &str, call: u32) -> u32 {
    match fault {
        "fine" => done(b"+OK\r\n"),
        "loop" => endless(),
        "bomb" => bomb(),
        "recurse" => recurse(u64::from(call)) as u32,
        "panic" => panic!("the plugin said {call}"),
        "out-of-bounds" => unsafe { std::ptr::read_volatile(0x7fff_fff0 as *const u32) },
        "leak" => {
            std::mem::forget(std::hint::black_box(vec![1_u8; 128 << 10]));
            done(b"+OK\r\n")
        }
        "garbage" => answer(b"\x09 this is no frame".to_vec()),
        "empty" => answer(Vec::new()),
        "lying-length" => returned(64, u32::MAX),
        "lying-pointer" => 0xffff_fff0,
        "lying-count" => answer([&[0, 0, 255, 255, 3][..], &[0; 4]].concat()),
        "lying-arg" => answer(
            [&[0, 0, 1, 0, 1, 0, 0][..], &1_u32.to_le_bytes(), &u32::MAX.to_le_bytes()].concat(),
        ),
        "huge" => done_with_bulk(52_428_800),
        "long" => done_with_bulk(2_097_152),
        "long-batch" => {
            let len = 1_u32 << 20;
            let mut frame = [&[0, 0, 1, 0, 5][..], &len.to_le_bytes()].concat();
            frame.resize(frame.len() + len as usize, b'k');
            frame.extend_from_slice(&[0; 4]);
            answer(frame)
        }
        "broken-resp" => done(b"$10\r\nabc\r\n"),
        "two-replies" => done(b"+OK\r\n+OK\r\n"),
        "resp3" => done(b"_\r\n"),
        "deep" => done(&[&b"*1\r\n".repeat(64)[..], b":1\r\n"].concat()),
        "many-operations" => answer([&[0, 0, 129, 0][..], &[3, 0, 0, 0, 0].repeat(129)].concat()),
        "no-ops" => answer(vec![0, 0, 0, 0]),
        "endless-pending" => {
            LATER.with_borrow_mut(|later| later.insert(call, fault.to_owned()));
            sleep(0)
        }
        "bad-realloc" => {
            BAD_REALLOC.set(true);
            done(b"+OK\r\n")
        }
        "bad-import-pointer" => {
            unsafe { host_shared_get(0xffff_0000_usize as *const u8, 1 << 20, 8) };
            done(b"+OK\r\n")
        }
        "kept-flood" => {
            for kept in 0..1_000_u32 {
                let name = kept.to_le_bytes();
                unsafe { host_shared_set(name.as_ptr(), 4, name.as_ptr(), 4, 0) };
                unsafe { host_metric(kept, kept, i64::MAX) };
            }
            done(b"+OK\r\n")
        }
        "log-flood" => {
            for _ in 0..1_000 {
                log(&"x".repeat(10_000));
            }
            done(b"+OK\r\n")
        }
        "log-panic" => {
            (0..100).for_each(|line| log(&format!("line {line}")));
            panic!("the plugin said {call} after all")
        }
        other => done(format!("-ERR unknown fault '{other}'\r\n").as_bytes()),
    }
}

/// What a `RAW` call answers.
#[derive(Default)]
struct Raw {
    frames: VecDeque<Vec<u8>>,
    last: Vec<u8>,
    burns: bool,
    silent: bool,
}

impl Raw {
    /// The next out-frame; with none left, the end with `got` as the reply.
    fn next(&mut self, got: &[u8]) -> Vec<u8> {
        if self.frames.front().is_some_and(|frame| frame == b"burn") {
            self.frames.pop_front();
            self.burns = true;
        }
        if self.burns {
            for spin in 0..1_000_000_u32 {
                std::hint::black_box(spin);
            }
        }
        match self.frames.front() {
            Some(frame) if frame == b"again" => self.last.clone(),
            Some(_) => {
                self.last = self.frames.pop_front().unwrap_or_default();
                self.last.clone()
            }
            None if self.silent => vec![1],
            None => {
                let mut reply = format!("\x01${}\r\n", got.len()).into_bytes();
                reply.extend_from_slice(got);
                reply.extend_from_slice(b"\r\n");
                reply
            }
        }
    }
}

/// Answers the next frame of a `RAW` call; `None` when `call` is none.
fn raw(call: u32, got: &[u8]) -> Option<u32> {
    let frame = RAW.with_borrow_mut(|calls| calls.get_mut(&call).map(|raw| raw.next(got)))?;
    let over = frame.first() == Some(&1);
    if over {
        RAW.with_borrow_mut(|calls| calls.remove(&call));
    }
    Some(answer(frame))
}

/// DONE+BACKGROUND with the end of the call and two of the task's own kind.
fn bomb_task() -> u32 {
    let spawn = [&[8, TASK, 0, 1, 0, 0, 0, 4, 0, 0, 0][..], b"bomb"].concat();
    answer([&[3, 0, 0, 0, 0, 2, 2, 0][..], &spawn, &spawn].concat())
}

/// PENDING with `SET <first argument> <handler>`.
fn set_handler(arguments: &[Vec<u8>], handler: u8) -> Vec<u8> {
    let mut frame = vec![0, 0, 1, 0, 1, 0, 0, 3, 0, 0, 0];
    let words = [&b"SET"[..], &arguments[0], &[b'0' + handler]];
    for word in words {
        frame.extend_from_slice(&(word.len() as u32).to_le_bytes());
        frame.extend_from_slice(word);
    }
    frame
}

/// The arguments of a start frame.
fn arguments(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &frame[24..];
    let mut found = Vec::new();
    while rest.len() >= 4 {
        let len = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        found.push(rest[4..4 + len].to_vec());
        rest = &rest[4 + len..];
    }
    found
}

fn owned(ptr: *mut u8, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    unsafe { Vec::from_raw_parts(ptr, len, len) }
}

#[unsafe(no_mangle)]
extern "C" fn cabi_realloc(_old: *mut u8, _old_len: usize, _align: usize, len: usize) -> *mut u8 {
    if BAD_REALLOC.with_borrow(|bad| *bad) {
        return 0xffff_ff00_usize as *mut u8;
    }
    let mut buffer = Vec::<u8>::with_capacity(len);
    let ptr = buffer.as_mut_ptr();
    std::mem::forget(buffer);
    ptr
}

/// None, but for a config that wants one outside of memory.
#[unsafe(no_mangle)]
extern "C" fn sluicegate_frame_buffer() -> u32 {
    BUFFER.with(|cell| cell.as_ptr() as usize as u32)
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#describe")]
extern "C" fn describe() -> u32 {
    returned(MANIFEST.as_ptr() as usize as u32, MANIFEST.len() as u32)
}

/// Whether no instance of this worker and binding has come here before.
fn is_first_init() -> bool {
    let (name, mut found) = (b"init", [0_u32; 3]);
    unsafe { host_shared_get(name.as_ptr(), name.len(), found.as_mut_ptr() as usize as u32) };
    let first = unsafe { std::ptr::read_volatile(found.as_ptr()) } & 0xff == 0;
    unsafe { host_shared_set(name.as_ptr(), name.len(), name.as_ptr(), name.len(), 0) };
    first
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#init")]
extern "C" fn init(ptr: *mut u8, len: usize) -> u32 {
    std::panic::set_hook(Box::new(|info| log(&info.to_string())));
    let config = String::from_utf8_lossy(&owned(ptr, len)).into_owned();
    let spared = config.contains("-later") && is_first_init();
    if config.contains("init-loop") && !spared {
        endless();
    }
    if config.contains("init-panic") && !spared {
        panic!("init said no");
    }
    if config.contains("init-garbage") {
        return 0xffff_fff0;
    }
    if config.contains("frame-buffer-outside") {
        BUFFER.set([0xffff_ff00, 512]);
    }
    if config.contains("init-refuse") {
        let words = "this config is refused";
        RETURNED.set([1, words.as_ptr() as usize as u32, words.len() as u32]);
    } else {
        RETURNED.set([0; 3]);
    }
    RETURNED.with(|cell| cell.as_ptr() as usize as u32)
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#start")]
extern "C" fn start(call: u32, ptr: *mut u8, len: usize) -> u32 {
    let frame = owned(ptr, len);
    let arguments = arguments(&frame);
    if frame[1] == SESSION_CLOSED {
        let call_of = Raw {
            frames: [set_handler(&arguments, frame[6])].into(),
            silent: true,
            ..Raw::default()
        };
        RAW.with_borrow_mut(|calls| calls.insert(call, call_of));
        return raw(call, &[]).unwrap_or(0);
    }
    let silent = frame[1] == SPAWNED;
    if silent && arguments.first().is_some_and(|word| word == b"bomb") {
        return bomb_task();
    }
    if silent || arguments.first().is_some_and(|name| name.eq_ignore_ascii_case(b"RAW")) {
        let frames = arguments.into_iter().skip(usize::from(!silent)).collect();
        let call_of = Raw { frames, silent, ..Raw::default() };
        RAW.with_borrow_mut(|calls| calls.insert(call, call_of));
        return raw(call, &[]).unwrap_or(0);
    }
    let fault = arguments.get(1).map(|word| String::from_utf8_lossy(word)).unwrap_or_default();
    let asleep_ms = match arguments.get(2).map(Vec::as_slice) {
        Some(b"later") => 1,
        Some(b"asleep") => u32::MAX,
        _ => return misbehave(&fault, call),
    };
    LATER.with_borrow_mut(|later| later.insert(call, fault.into_owned()));
    sleep(asleep_ms)
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#resume")]
extern "C" fn resume(call: u32, ptr: *mut u8, len: usize) -> u32 {
    let frame = owned(ptr, len);
    if let Some(answer) = raw(call, &frame) {
        return answer;
    }
    let fault = LATER.with_borrow_mut(|later| later.remove(&call));
    misbehave(&fault.unwrap_or_default(), call)
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#cancel")]
extern "C" fn cancel(call: u32) {
    RAW.with_borrow_mut(|calls| calls.remove(&call));
    let fault = LATER.with_borrow_mut(|later| later.remove(&call));
    match fault.as_deref() {
        Some("loop-cancel") => endless(),
        Some("panic-cancel") => panic!("cancel said no"),
        _ => {}
    }
}
