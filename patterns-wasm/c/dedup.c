/* dedup: the same event is taken once. `DEDUP.TAKE key seconds` answers 1 the first time, and 0 for `seconds` after it.
 *
 * For consumers that may see a message twice: whoever gets 1 does the work. One SET with NX and EX, of a key that lies
 * beside the given one, so nothing of the application's own data is touched. Keeps no state and has no config.
 * Build: see README.md. */
#include "sluicegate_plugin.h"

SG_MANIFEST({
    "name": "dedup",
    "version": "1.0.0",
    "abi": "2.0.0",
    "hooks": [],
    "commands": [{"name": "DEDUP.TAKE", "arity": 3, "keys": [1, 1, 1], "flags": ["write"]}],
    "tasks": [],
    "capabilities": {"commands": ["SET"], "wait": false, "background": false, "shared_bytes": 0},
    "metrics": [{"name": "taken", "kind": "counter"}, {"name": "repeated", "kind": "counter"}],
    "config": "dedup takes no config"
})

enum { TAKEN, REPEATED }; /* places in "metrics" */

const char *plugin_init(sg_bytes config) {
    return sg_same(config, SG("{}")) ? NULL : "dedup takes no config";
}

static int is_seconds(sg_bytes text) {
    if (text.len == 0 || text.len > 9 || text.at[0] == '0') return 0;
    for (uint32_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9') return 0;
    return 1;
}

void plugin_start(uint32_t call, const sg_call *in, sg_out *out) {
    (void)call;
    sg_bytes key = sg_arg(in, 1), seconds = sg_arg(in, 2);
    if (!is_seconds(seconds)) {
        sg_done_error(out, SG("ERR dedup: not a number of seconds from 1 to 999999999: "), seconds);
        return;
    }
    sg_pending(out);
    sg_command(out, 6);
    sg_put_arg(out, SG("SET"));
    sg_put_beside(out, key, SG("dedup"));
    sg_put_arg(out, SG("1"));
    sg_put_arg(out, SG("EX"));
    sg_put_arg(out, seconds);
    sg_put_arg(out, SG("NX"));
}

void plugin_resume(uint32_t call, const sg_result *results, uint32_t count, sg_out *out) {
    (void)call;
    if (count != 1 || results->status != SG_REPLY) {
        sg_done_failed(out, results);
        return;
    }
    if (results->bytes.at[0] == '-') { /* Redis's own error */
        sg_done(out, results->bytes);
        return;
    }
    int taken = sg_same(results->bytes, SG("+OK\r\n")); /* else the null that NX gives */
    sg_metric(taken ? TAKEN : REPEATED, SG_COUNTER, 1);
    sg_done_integer(out, taken);
}

void plugin_cancel(uint32_t call) {
    (void)call; /* nothing is kept for a call */
}
