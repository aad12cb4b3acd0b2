// quota: so many uses of a key in so many seconds. `QUOTA.TAKE key` answers how many are left, or the error
// `QUOTA ...` when there is none; the window begins with its first use.
//
// Config: {limit: 10, seconds: 60}. One INCR, and one EXPIRE that only sets what is not set, of a key that lies beside
// the given one: a window always ends, also when something broke between the two. Build: see README.md.
import { Call, Out, Plugin, REPLY, Result, metric, numbers, register } from "./sluicegate";
export { cabi_realloc, describe, init, start, resume, cancel } from "./sluicegate";

const MANIFEST = `{
  "name": "quota",
  "version": "1.0.0",
  "abi": "2.0.0",
  "hooks": [],
  "commands": [{"name": "QUOTA.TAKE", "arity": 2, "keys": [1, 1, 1], "flags": ["write"]}],
  "tasks": [],
  "capabilities": {"commands": ["INCR", "EXPIRE"], "wait": false, "background": false, "shared_bytes": 0},
  "metrics": [{"name": "taken", "kind": "counter"}, {"name": "refused", "kind": "counter"}],
  "config": "limit: uses in one window (10); seconds: length of a window (60)"
}`;

class Quota extends Plugin {
  private limit: i64 = 10;
  private seconds: i64 = 60;

  manifest(): string { return MANIFEST; }

  init(config: string): string | null {
    const found = numbers(config);
    if (found === null) return "the config of quota is {limit: number, seconds: number}";
    const names = found.keys();
    for (let i = 0; i < names.length; i++) {
      if (names[i] != "limit" && names[i] != "seconds") return `quota knows no ${names[i]}, only limit and seconds`;
      if (found.get(names[i]) < 1) return `${names[i]} must be at least 1`;
    }
    if (found.has("limit")) this.limit = found.get("limit");
    if (found.has("seconds")) this.seconds = found.get("seconds");
    return null;
  }

  start(call: u32, begin: Call, out: Out): void {
    const key = begin.args[1];
    out.pending(2);
    out.command(2);
    out.text("INCR");
    out.beside(key, "quota");
    out.command(4);
    out.text("EXPIRE");
    out.beside(key, "quota");
    out.text(this.seconds.toString());
    out.text("NX");
  }

  resume(call: u32, results: Result[], out: Out): void {
    for (let i = 0; i < results.length; i++) {
      if (results[i].status != REPLY) return out.doneFailed(results[i]);
      if (!results[i].text.startsWith(":")) return out.done(results[i].bytes); // Redis's own error
    }
    const used = I64.parseInt(results[0].text.slice(1));
    metric(used > this.limit ? 1 : 0, 0, 1);
    if (used <= this.limit) return out.doneInteger(this.limit - used);
    out.doneError(`QUOTA no more than ${this.limit} uses in ${this.seconds} seconds`);
  }

  cancel(call: u32): void {} // nothing is kept for a call
}

register(new Quota());
