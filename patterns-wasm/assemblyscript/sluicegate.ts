// The sluicegate plugin contract, ABI 2.0.0, for AssemblyScript. Copy this file and sluicegate.mjs beside your plugin;
// the contract itself is patterns-wasm/sdk/wit/plugin.wit.
//
// A plugin is one `Plugin`, registered at the top of its file, which also exports this module's functions again:
//   export { cabi_realloc, describe, init, start, resume, cancel } from "./sluicegate";
//   register(new Mine());
//
// Frames are copied into objects, so everything given to a plugin may be kept. One instance carries several calls at
// once: keep what belongs to a call in a Map under its number, and forget it in `cancel`.

@external("sluicegate:plugin/host@2.0.0", "log")
declare function host_log(level: u32, at: usize, len: u32): void;
@external("sluicegate:plugin/host@2.0.0", "now-ms")
export declare function nowMs(): u64;
@external("sluicegate:plugin/host@2.0.0", "mono-ms")
export declare function monoMs(): u64;
@external("sluicegate:plugin/host@2.0.0", "random")
export declare function random(): u64;
// `id` is the metric's place in the manifest; kind 0 counter, 1 gauge, 2 histogram.
@external("sluicegate:plugin/host@2.0.0", "metric")
export declare function metric(id: u32, kind: u32, value: i64): void;

@external("sluicegate:plugin/host@2.0.0", "shared-set")
declare function host_shared_set(key: usize, keyLen: u32, value: usize, valueLen: u32, ttlMs: u32): u32;
@external("sluicegate:plugin/host@2.0.0", "shared-get")
declare function host_shared_get(key: usize, keyLen: u32, answer: usize): void;

// Keeps a value for `ttlMs` (0: until it is overwritten) on this worker, for this binding; no bytes remove it. False: over
// the bound of `shared_bytes`.
export function sharedSet(key: ArrayBuffer, value: ArrayBuffer, ttlMs: u32): bool {
  const at = changetype<usize>(key), from = changetype<usize>(value);
  return host_shared_set(at, key.byteLength, from, value.byteLength, ttlMs) != 0;
}
export function sharedGet(key: ArrayBuffer): ArrayBuffer | null {
  host_shared_get(changetype<usize>(key), key.byteLength, shared);
  if (load<u8>(shared) == 0) return null;
  const at = load<u32>(shared, 4), value = taken(at, load<u32>(shared, 8));
  if (value.byteLength != 0) heap.free(at);
  return value;
}
const shared = memory.data(12); // where the host puts what it has found

// Level 0 trace, 1 debug, 2 info, 3 warn, 4 error.
export function log(level: u32, text: string): void {
  const bytes = String.UTF8.encode(text);
  host_log(level, changetype<usize>(bytes), bytes.byteLength);
}

/** A call's beginning. */
export class Call {
  kind: u8;       // 0 hook, 1 own command, 2 spawned, 3 hook inside MULTI, 4 session closed, 5 timer
  resp: u8;       // 2 or 3: what the reply must be written in
  db: u16;
  handler: u16;   // its place in the manifest: hooks, then commands, then tasks
  binding: u16;
  shards: u16;
  session: u64;
  budgetMs: u32;
  args: ArrayBuffer[] = [];
}

export const REPLY: u8 = 0, BACKEND_ERROR: u8 = 1, TIMEOUT: u8 = 2, EVENT: u8 = 3, DENIED: u8 = 4, TOO_LARGE: u8 = 5;

/** A result of an operation. */
export class Result {
  op: u32;            // running number in this call, from 0
  status: u8;         // REPLY ...
  bytes: ArrayBuffer; // REPLY: one RESP value as Redis sent it
  constructor(op: u32, status: u8, bytes: ArrayBuffer) {
    this.op = op;
    this.status = status;
    this.bytes = bytes;
  }
  get text(): string { return String.UTF8.decode(this.bytes); }
}

/** What a plugin has. `start` and `resume` end with one `done...`, `pass`, or `pending` and its operations. */
export abstract class Plugin {
  abstract manifest(): string;
  // The config of the binding; null, or what is wrong with it. Once for each instance, before any call.
  abstract init(config: string): string | null;
  abstract start(call: u32, begin: Call, out: Out): void;
  // All operations that were asked for have ended; `results` has those that give one.
  abstract resume(call: u32, results: Result[], out: Out): void;
  // The call is over without an answer.
  abstract cancel(call: u32): void;
}

/** Writes what a step answers. */
export class Out {
  private bytes: Uint8Array = new Uint8Array(256);
  private len: i32 = 0;

  private room(more: i32): usize {
    if (this.len + more > this.bytes.length) {
      const larger = new Uint8Array(2 * this.bytes.length + more);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.len += more;
    return this.bytes.dataStart + this.len - more;
  }
  clear(): void { this.len = 0; }
  frame(): usize { return pair(this.bytes.dataStart, this.len); }
  u8(value: u8): void { store<u8>(this.room(1), value); }
  u16(value: u16): void { store<u16>(this.room(2), value); }
  u32(value: u32): void { store<u32>(this.room(4), value); }
  raw(bytes: ArrayBuffer): void {
    memory.copy(this.room(bytes.byteLength), changetype<usize>(bytes), bytes.byteLength);
  }

  /** The call ends with one RESP value, as Redis sent it or written by hand. */
  done(reply: ArrayBuffer): void { this.u8(1); this.raw(reply); }
  doneInteger(value: i64): void { this.done(String.UTF8.encode(`:${value}\r\n`)); }
  doneError(text: string): void {
    const line = text.replaceAll("\r", " ").replaceAll("\n", " ");
    this.done(String.UTF8.encode(`-${line}\r\n`));
  }
  /** What became of an operation that gave no reply, as the client's error. */
  doneFailed(result: Result): void {
    if (result.status == BACKEND_ERROR) this.doneError(result.text);
    else if (result.status == DENIED) this.doneError("ERR denied: " + result.text);
    else if (result.status == TIMEOUT) this.doneError("ERR timeout");
    else this.doneError(result.status == TOO_LARGE ? "ERR reply too large" : "ERR no reply");
  }
  /** The hooked command goes on as it came. */
  pass(): void { this.u8(2); }

  /** `count` operations follow; the call goes on when all have ended. */
  pending(count: u16): void { this.u16(0); this.u16(count); }
  /** The client gets one RESP value now, and `count` operations follow. With `last` the call ends here; else it needs the
   * capability "background", goes on when all have ended, and ends with `done` of no bytes instead of a reply. */
  background(reply: ArrayBuffer, count: u16, last: bool): void {
    this.u8(3);
    this.arg(reply);
    this.u8(last ? 2 : 0);
    this.u16(count);
  }
  /** A Redis command to the shard of its own keys; `arg`, `text` or `beside` follows for each of its arguments. */
  command(argc: u32): void { this.u8(1); this.u16(0); this.u32(argc); }
  arg(bytes: ArrayBuffer): void { this.u32(bytes.byteLength); this.raw(bytes); }
  text(text: string): void { this.arg(String.UTF8.encode(text)); }
  /** The key called `name` beside `owner`, on its shard. */
  beside(owner: ArrayBuffer, name: string): void {
    const bytes = String.UTF8.encode(name);
    this.u32((4 + owner.byteLength + bytes.byteLength) | 0x80000000);
    this.arg(owner);
    this.raw(bytes);
  }
  sleep(ms: u32): void { this.u8(3); this.u32(ms); }
}

/** A config of whole numbers only, `{"limit": 10}`; null when it is something else. For more, take a JSON library. */
export function numbers(config: string): Map<string, i64> | null {
  const found = new Map<string, i64>();
  const inside = config.trim();
  if (!inside.startsWith("{") || !inside.endsWith("}")) return null;
  const entries = inside.slice(1, -1).trim();
  if (entries.length == 0) return found;
  const list = entries.split(",");
  for (let i = 0; i < list.length; i++) {
    const sides = list[i].split(":");
    if (sides.length != 2) return null;
    const name = sides[0].trim(), digits = sides[1].trim();
    if (name.length < 3 || !name.startsWith('"') || !name.endsWith('"')) return null;
    if (digits.length == 0 || digits.length > 15) return null;
    for (let j = 0; j < digits.length; j++) {
      if (digits.charCodeAt(j) < 48 || digits.charCodeAt(j) > 57) return null;
    }
    found.set(name.slice(1, -1), I64.parseInt(digits));
  }
  return found;
}

// ---- The exports ---------------------------------------------------------------------------------------------------

let plugin: Plugin | null = null;
const out = new Out();
const answer = memory.data(12); // where the host finds a pair, or the result of `init`
let kept: ArrayBuffer = new ArrayBuffer(0); // what the pair names stays until the next step

export function register(mine: Plugin): void { plugin = mine; }

function pair(at: usize, len: u32): usize {
  store<u32>(answer, <u32>at);
  store<u32>(answer, len, 4);
  return answer;
}

// Copies `len` bytes of a frame into an object.
function taken(at: usize, len: u32): ArrayBuffer {
  const bytes = new ArrayBuffer(len);
  memory.copy(changetype<usize>(bytes), at, len);
  return bytes;
}

// The buffers that the host fills belong to the step that gets them; it frees them.
export function cabi_realloc(old: usize, oldLen: usize, align: usize, len: usize): usize {
  return old == 0 ? heap.alloc(len) : heap.realloc(old, len);
}

export function describe(): usize {
  kept = String.UTF8.encode(plugin!.manifest());
  return pair(changetype<usize>(kept), kept.byteLength);
}

export function init(at: usize, len: u32): usize {
  const config = String.UTF8.decodeUnsafe(at, len);
  heap.free(at);
  const fault = plugin!.init(config);
  kept = String.UTF8.encode(fault === null ? "" : fault);
  store<u32>(answer, fault === null ? 0 : 1);
  store<u32>(answer, <u32>changetype<usize>(kept), 4);
  store<u32>(answer, kept.byteLength, 8);
  return answer;
}

export function start(call: u32, at: usize, len: u32): usize {
  __collect(); // nothing is on the stack here: what earlier steps left behind is freed
  const begin = new Call();
  begin.kind = load<u8>(at, 1);
  begin.resp = load<u8>(at, 2);
  begin.db = load<u16>(at, 4);
  begin.handler = load<u16>(at, 6);
  begin.binding = load<u16>(at, 8);
  begin.shards = load<u16>(at, 10);
  begin.session = load<u64>(at, 12);
  begin.budgetMs = load<u32>(at, 20);
  let next = at + load<u8>(at, 3); // the header tells its own length: it may grow
  const argc = load<u32>(next);
  next += 4;
  for (let i: u32 = 0; i < argc; i++) {
    begin.args.push(taken(next + 4, load<u32>(next)));
    next += 4 + load<u32>(next);
  }
  heap.free(at);
  out.clear();
  plugin!.start(call, begin, out);
  return out.frame();
}

export function resume(call: u32, at: usize, len: u32): usize {
  __collect();
  const results: Result[] = [];
  const count = load<u32>(at);
  let next = at + 4;
  for (let i: u32 = 0; i < count; i++) {
    const size = load<u32>(next, 5);
    results.push(new Result(load<u32>(next), load<u8>(next, 4), taken(next + 9, size)));
    next += 9 + size;
  }
  heap.free(at);
  out.clear();
  plugin!.resume(call, results, out);
  return out.frame();
}

export function cancel(call: u32): void {
  plugin!.cancel(call);
}
