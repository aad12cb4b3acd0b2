//! The edge to the host: exported functions, imported ones and the heap, and the only unsafe code of the SDK.
//!
//! Every unsafe block rests on the canonical ABI of `wit/plugin.wit`: the host hands over buffers that it got from
//! `cabi_realloc` (so they are `Vec`s of exactly that length), reads results before the next entry, and never enters
//! an instance twice at once. What is here only turns pointers into slices and back; behaviour lives in `run`.
#![allow(unsafe_code, reason = "the canonical ABI is pointers; this is the one reviewed file")]

use std::alloc::{GlobalAlloc, Layout, System, alloc};
use std::cell::{Cell, RefCell, UnsafeCell};

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

/// The guest's heap: free lists by power of two over the standard allocator, whose search would be a third of a step.
/// What was freed stays in its list; the host replaces an instance that has grown large.
struct Heap {
    free: UnsafeCell<[*mut u8; CLASSES]>,
}

/// Classes of 16 bytes to 64 KiB; what is larger goes to the standard allocator.
const CLASSES: usize = 13;
/// Alignment of every block, and size of the smallest; what wants more goes to the standard allocator.
const ALIGN: usize = 16;
/// Small blocks are cut from pieces of this size.
const PIECE: usize = 4096;

#[global_allocator]
static HEAP: Heap = Heap { free: UnsafeCell::new([std::ptr::null_mut(); CLASSES]) };

// SAFETY: a guest has one thread, and the host never enters it twice at once.
unsafe impl Sync for Heap {}

/// The class that holds `layout`, if any does.
fn class_of(layout: Layout) -> Option<usize> {
    let size = layout.size().max(ALIGN);
    let class = (usize::BITS - (size - 1).leading_zeros()) as usize - 4;
    (class < CLASSES && layout.align() <= ALIGN).then_some(class)
}

impl Heap {
    /// A free block of `class`, cut or allocated when the list is empty.
    #[cold]
    fn refill(&self, class: usize) -> *mut u8 {
        let size = ALIGN << class;
        let piece = PIECE.max(size);
        let Ok(layout) = Layout::from_size_align(piece, ALIGN) else {
            return std::ptr::null_mut();
        };
        // SAFETY: the layout's size is not zero.
        let start = unsafe { System.alloc(layout) };
        if start.is_null() {
            return start;
        }
        for offset in (size..piece).step_by(size) {
            // SAFETY: `offset + size <= piece`, so the block lies in the piece and is nobody's.
            unsafe { self.put(class, start.add(offset)) };
        }
        start
    }

    /// Puts a block of `class` that is nobody's into its list.
    unsafe fn put(&self, class: usize, block: *mut u8) {
        // SAFETY: one thread; the block has room for a pointer and is aligned to `ALIGN`.
        unsafe {
            let heads = &mut *self.free.get();
            if let Some(head) = heads.get_mut(class) {
                block.cast::<*mut u8>().write(*head);
                *head = block;
            }
        }
    }
}

// SAFETY: each block is in exactly one place, its owner or one list; a list's blocks have its class's size and
// `ALIGN`, which cover every layout of the class.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            // SAFETY: as the caller promised.
            return unsafe { System.alloc(layout) };
        };
        // SAFETY: one thread; a listed block holds the next one's address.
        unsafe {
            let heads = &mut *self.free.get();
            match heads.get_mut(class) {
                Some(head) if !head.is_null() => {
                    let block = *head;
                    *head = block.cast::<*mut u8>().read();
                    block
                }
                _ => self.refill(class),
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class_of(layout) {
            // SAFETY: the caller gives the block back, and it came from this class.
            Some(class) => unsafe { self.put(class, block) },
            // SAFETY: as the caller promised.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return std::ptr::null_mut();
        };
        match (class_of(layout), class_of(wanted)) {
            (Some(old), Some(new)) if old == new => block,
            // SAFETY: as the caller promised.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            // SAFETY: both blocks are at least as long as what is copied, and they are different ones.
            _ => unsafe {
                let moved = self.alloc(wanted);
                if !moved.is_null() {
                    std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

/// Where the host writes a frame that fits: an entry less than asking `cabi_realloc` for a place.
struct FrameBuffer(UnsafeCell<[u8; FRAME_BUFFER_BYTES]>);

/// Most frames of small values fit.
const FRAME_BUFFER_BYTES: usize = 1024;

// SAFETY: a guest has one thread, and the host writes only between two entries.
unsafe impl Sync for FrameBuffer {}

static FRAME_BUFFER: FrameBuffer = FrameBuffer(UnsafeCell::new([0; FRAME_BUFFER_BYTES]));

/// The argument that the host has written to the frame buffer, or to one that it got from `cabi_realloc` and now gives to us.
fn owned(ptr: *mut u8, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    if ptr == FRAME_BUFFER.0.get().cast() {
        // SAFETY: the host has written `len` bytes, which fit, and writes the next ones after this entry.
        return unsafe { std::slice::from_raw_parts(ptr, len) }.to_vec();
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

#[unsafe(no_mangle)]
extern "C" fn sluicegate_frame_buffer() -> *const Returned {
    RETURNED.set(Returned { ptr: FRAME_BUFFER.0.get().cast(), len: FRAME_BUFFER_BYTES });
    RETURNED.with(|cell| cell.as_ptr().cast_const())
}

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#describe")]
extern "C" fn describe() -> *const Returned {
    let manifest = plugin().manifest;
    RETURNED.set(Returned { ptr: manifest.as_ptr(), len: manifest.len() });
    RETURNED.with(|cell| cell.as_ptr().cast_const())
}

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#init")]
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

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#start")]
extern "C" fn start(call: u32, ptr: *mut u8, len: usize) -> *const Returned {
    let frame = owned(ptr, len);
    entry(|runner, out| runner.start(call, frame, out))
}

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#resume")]
extern "C" fn resume(call: u32, ptr: *mut u8, len: usize) -> *const Returned {
    let frame = owned(ptr, len);
    entry(|runner, out| runner.resume(call, frame, out))
}

#[unsafe(export_name = "sluicegate:plugin/handler@2.0.0#cancel")]
extern "C" fn cancel(call: u32) {
    RUNNER.with_borrow_mut(|runner| {
        if let Some(runner) = runner {
            runner.cancel(call);
        }
    });
}

/// Safe faces of the host's functions.
pub(crate) mod imports {
    #[link(wasm_import_module = "sluicegate:plugin/host@2.0.0")]
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
