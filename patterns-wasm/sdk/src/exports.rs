//! The edge to the host: exported functions and imported ones, and the only unsafe code of the SDK.
//!
//! Every unsafe block rests on the canonical ABI of `wit/plugin.wit`: the host hands over buffers that it got from
//! `cabi_realloc` (so they are `Vec`s of exactly that length), reads results before the next entry, and never enters
//! an instance twice at once. What is here only turns pointers into slices and back; behaviour lives in `run`.
#![allow(unsafe_code, reason = "the canonical ABI is pointers; this is the one reviewed file")]

use std::alloc::{Layout, alloc};
use std::cell::{Cell, RefCell};

use crate::plugin::Plugin;
use crate::run::Runner;

/// What `start`, `resume` and `describe` return a pointer to, and `init` with a leading discriminant.
#[repr(C)]
#[derive(Clone, Copy)]
struct Returned {
    ptr: *const u8,
    len: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct InitReturned {
    failed: u32,
    text: Returned,
}

/// A result buffer that grew beyond this for one large reply is given back at the next entry, bytes.
const OUT_KEPT_MAX: usize = 64 * 1024;

const EMPTY: Returned = Returned { ptr: std::ptr::null(), len: 0 };

thread_local! {
    static RUNNER: RefCell<Option<Runner>> = const { RefCell::new(None) };
    /// The bytes of the last result, kept until the next entry.
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static RETURNED: Cell<Returned> = const { Cell::new(EMPTY) };
    static INIT_RETURNED: Cell<InitReturned> =
        const { Cell::new(InitReturned { failed: 0, text: EMPTY }) };
}

unsafe extern "Rust" {
    /// Defined by `plugin!` in the plugin's crate.
    fn sluicegate_plugin_of_this_module() -> &'static Plugin;
}

fn plugin() -> &'static Plugin {
    // SAFETY: `plugin!` defines it with exactly this signature; a crate without `plugin!` does not link.
    unsafe { sluicegate_plugin_of_this_module() }
}

/// The argument buffer that the host got from `cabi_realloc` and now gives to us.
fn owned(ptr: *mut u8, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    // SAFETY: allocated by `cabi_realloc` below with align 1 and this length, and handed over by the call.
    unsafe { Vec::from_raw_parts(ptr, len, len) }
}

/// Runs `step` with the instance and the cleared result buffer; answers where the result lies.
fn entry(step: impl FnOnce(&mut Runner, &mut Vec<u8>)) -> *const Returned {
    OUT.with_borrow_mut(|out| {
        if out.capacity() > OUT_KEPT_MAX {
            *out = Vec::new();
        }
        out.clear();
        RUNNER.with_borrow_mut(|runner| {
            if let Some(runner) = runner {
                step(runner, out);
            }
        });
        RETURNED.set(Returned { ptr: out.as_ptr(), len: out.len() });
    });
    RETURNED.with(|cell| cell.as_ptr().cast_const())
}

#[unsafe(no_mangle)]
extern "C" fn cabi_realloc(_old: *mut u8, _old_len: usize, align: usize, len: usize) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(len, align) else {
        std::process::abort();
    };
    if len == 0 {
        return std::ptr::without_provenance_mut(align);
    }
    // SAFETY: the layout has a size above zero.
    let ptr = unsafe { alloc(layout) };
    if ptr.is_null() {
        std::process::abort();
    }
    ptr
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#describe")]
extern "C" fn describe() -> *const Returned {
    let manifest = plugin().manifest;
    RETURNED.set(Returned { ptr: manifest.as_ptr(), len: manifest.len() });
    RETURNED.with(|cell| cell.as_ptr().cast_const())
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#init")]
extern "C" fn init(ptr: *mut u8, len: usize) -> *const InitReturned {
    std::panic::set_hook(Box::new(|info| imports::log(4, &info.to_string())));
    let config = owned(ptr, len);
    let mut answer = InitReturned { failed: 0, text: EMPTY };
    match Runner::new(plugin(), &config) {
        Ok(runner) => RUNNER.set(Some(runner)),
        Err(message) => OUT.with_borrow_mut(|out| {
            *out = message.into_bytes();
            answer =
                InitReturned { failed: 1, text: Returned { ptr: out.as_ptr(), len: out.len() } };
        }),
    }
    INIT_RETURNED.set(answer);
    INIT_RETURNED.with(|cell| cell.as_ptr().cast_const())
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#start")]
extern "C" fn start(call: u32, ptr: *mut u8, len: usize) -> *const Returned {
    let frame = owned(ptr, len);
    entry(|runner, out| runner.start(call, frame, out))
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#resume")]
extern "C" fn resume(call: u32, ptr: *mut u8, len: usize) -> *const Returned {
    let frame = owned(ptr, len);
    entry(|runner, out| runner.resume(call, &frame, out))
}

#[unsafe(export_name = "sluicegate:plugin/handler@1.0.0#cancel")]
extern "C" fn cancel(call: u32) {
    RUNNER.with_borrow_mut(|runner| {
        if let Some(runner) = runner {
            runner.cancel(call);
        }
    });
}

/// Safe faces of the host's functions.
pub(crate) mod imports {
    #[link(wasm_import_module = "sluicegate:plugin/host@1.0.0")]
    unsafe extern "C" {
        #[link_name = "log"]
        fn host_log(level: u32, ptr: *const u8, len: usize);
        #[link_name = "now-ms"]
        safe fn host_now_ms() -> u64;
        #[link_name = "mono-ms"]
        safe fn host_mono_ms() -> u64;
        #[link_name = "random"]
        safe fn host_random() -> u64;
        #[link_name = "metric"]
        safe fn host_metric(id: u32, kind: u32, value: i64);
        #[link_name = "shared-get"]
        fn host_shared_get(ptr: *const u8, len: usize, ret: *mut Optional);
        #[link_name = "shared-set"]
        fn host_shared_set(
            key: *const u8,
            key_len: usize,
            value: *const u8,
            value_len: usize,
            ttl_ms: u32,
        ) -> u32;
    }

    #[repr(C)]
    struct Optional {
        some: u8,
        ptr: *mut u8,
        len: usize,
    }

    pub(crate) fn log(level: u8, message: &str) {
        // SAFETY: pointer and length are of one live string, and the host only reads.
        unsafe { host_log(u32::from(level), message.as_ptr(), message.len()) }
    }

    pub(crate) fn now_ms() -> u64 {
        host_now_ms()
    }

    pub(crate) fn mono_ms() -> u64 {
        host_mono_ms()
    }

    pub(crate) fn random() -> u64 {
        host_random()
    }

    pub(crate) fn metric(id: u32, kind: u8, value: i64) {
        host_metric(id, u32::from(kind), value);
    }

    pub(crate) fn shared_get(key: &[u8]) -> Option<Vec<u8>> {
        let mut answer = Optional { some: 0, ptr: std::ptr::null_mut(), len: 0 };
        // SAFETY: the host reads the key and writes the answer, whose buffer it gets from `cabi_realloc`.
        unsafe { host_shared_get(key.as_ptr(), key.len(), &raw mut answer) };
        (answer.some == 1).then(|| super::owned(answer.ptr, answer.len))
    }

    pub(crate) fn shared_set(key: &[u8], value: &[u8], ttl_ms: u32) -> bool {
        // SAFETY: both pairs are of live slices, and the host only reads.
        let kept = unsafe {
            host_shared_set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl_ms)
        };
        kept != 0
    }
}
