// For the tests of the gateway: what quota.ts does not use of the module. `ASNOTE.PUT key value` answers at once, keeps the value
// in shared memory and stores it afterwards; `ASNOTE.LAST key value` does the same in its last frame; `ASNOTE.GET key` answers
// what is kept.
import { Call, Out, Plugin, Result, register, sharedGet, sharedSet } from "../sluicegate";
export { cabi_realloc, describe, init, start, resume, cancel } from "../sluicegate";

const MANIFEST = `{
  "name": "asnote",
  "version": "1.0.0",
  "abi": "2.0.0",
  "hooks": [],
  "commands": [
    {"name": "ASNOTE.PUT", "arity": 3, "keys": [1, 1, 1], "flags": ["write"]},
    {"name": "ASNOTE.LAST", "arity": 3, "keys": [1, 1, 1], "flags": ["write"]},
    {"name": "ASNOTE.GET", "arity": 2, "keys": [1, 1, 1], "flags": ["readonly"]}
  ],
  "tasks": [],
  "capabilities": {"commands": ["SET"], "wait": false, "background": true, "shared_bytes": 4096},
  "metrics": [],
  "config": "asnote takes no config"
}`;

class Note extends Plugin {
  manifest(): string { return MANIFEST; }

  init(config: string): string | null { return config == "{}" ? null : "asnote takes no config"; }

  start(call: u32, begin: Call, out: Out): void {
    const key = begin.args[1];
    if (begin.handler == 2) {
      const kept = sharedGet(key);
      return out.done(kept === null ? String.UTF8.encode("$-1\r\n") : kept);
    }
    const value = begin.args[2];
    // Kept as the reply that GET gives: a simple string.
    const reply = String.UTF8.encode("+" + String.UTF8.decode(value) + "\r\n");
    if (!sharedSet(key, reply, 0)) return out.doneError("ERR no room for " + String.UTF8.decode(key));
    out.background(String.UTF8.encode("+OK\r\n"), 1, begin.handler == 1);
    out.command(3);
    out.text("SET");
    out.arg(key);
    out.arg(value);
  }

  resume(call: u32, results: Result[], out: Out): void { out.done(new ArrayBuffer(0)); }

  cancel(call: u32): void {} // nothing is kept for a call
}

register(new Note());
