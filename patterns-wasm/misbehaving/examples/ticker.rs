//! A guest of ABI 2.0.0 by hand, which behaves: its timer counts, and it tells what the head of a call's frame says.
//!
//! Every 20 ms the task `tick` sends `INCR` of the key that the config names (`{"key": "tick:1"}`). `TICKER.HEAD` answers
//! the frame's version, kind, number of shards and budget. It holds the gateway to the contract's text rather than to
//! the SDK's reading of it. Built only for the gateway's tests; on other targets this file is empty.
#![allow(
    unsafe_code,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "the contract by hand: frames come from the gateway"
)]
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;

const MANIFEST: &[u8] = br#"{"name":"ticker","version":"1.0.0","abi":"2.0.0","hooks":[],
"commands":[{"name":"TICKER.HEAD","arity":1,"keys":[0,0,0],"flags":["readonly"]}],"tasks":["tick"],
"timers":[{"task":"tick","every_ms":20}],
"capabilities":{"commands":["INCR"],"wait":false,"background":false,"shared_bytes":0},"metrics":[],"config":"key"}"#;
/// Number of the task: behind one command.
const TICK: u8 = 1;
/// Kind of a timer's call.
const TIMER: u8 = 5;

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
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static RETURNED: RefCell<[u32; 3]> = const { RefCell::new([0; 3]) };
}

fn returned(numbers: [u32; 3]) -> u32 {
    RETURNED.set(numbers);
    RETURNED.with(|cell| cell.as_ptr() as usize as u32)
}

fn answer(bytes: Vec<u8>) -> u32 {
    OUT.with_borrow_mut(|out| {
        *out = bytes;
        returned([out.as_ptr() as usize as u32, out.len() as u32, 0])
    })
}

fn owned(ptr: *mut u8, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    unsafe { Vec::from_raw_parts(ptr, len, len) }
}

#[unsafe(no_mangle)]
extern "C" fn cabi_realloc(_old: *mut u8, _old_len: usize, _align: usize, len: usize) -> *mut u8 {
    let mut buffer = Vec::<u8>::with_capacity(len);
    let ptr = buffer.as_mut_ptr();
    std::mem::forget(buffer);
    ptr
}

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#describe")]
extern "C" fn describe() -> u32 {
    returned([MANIFEST.as_ptr() as usize as u32, MANIFEST.len() as u32, 0])
}

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#init")]
extern "C" fn init(ptr: *mut u8, len: usize) -> u32 {
    let config = owned(ptr, len);
    // The only text of the config that is no name: {"key":"tick:1"}.
    let key = config.split(|byte| *byte == b'"').nth(3).unwrap_or_default();
    KEY.set(key.to_vec());
    returned([0; 3])
}

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#start")]
extern "C" fn start(_call: u32, ptr: *mut u8, len: usize) -> u32 {
    let frame = owned(ptr, len);
    if frame[1] == TIMER && frame[6] == TICK {
        // PENDING with one CMD: INCR <key>.
        let mut out = vec![0, 0, 1, 0, 1, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0];
        out.extend_from_slice(b"INCR");
        KEY.with_borrow(|key| {
            out.extend_from_slice(&(key.len() as u32).to_le_bytes());
            out.extend_from_slice(key);
        });
        return answer(out);
    }
    let shards = u16::from_le_bytes([frame[10], frame[11]]);
    let budget = u32::from_le_bytes([frame[20], frame[21], frame[22], frame[23]]);
    let text = format!("\x01*4\r\n:{}\r\n:{}\r\n:{shards}\r\n:{budget}\r\n", frame[0], frame[1]);
    answer(text.into_bytes())
}

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#resume")]
extern "C" fn resume(_call: u32, ptr: *mut u8, len: usize) -> u32 {
    drop(owned(ptr, len));
    // DONE, and nobody waits for a reply.
    answer(vec![1])
}

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#cancel")]
extern "C" fn cancel(_call: u32) {}
