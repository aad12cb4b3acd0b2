/* For the tests of the gateway: what dedup.c does not use of the header. `CNOTE.PUT key value` answers at once, keeps the value
 * in shared memory and stores it afterwards; `CNOTE.LAST key value` does the same in its last frame; `CNOTE.GET key` answers
 * what is kept. */
#include "../sluicegate_plugin.h"

SG_MANIFEST({
    "name": "cnote",
    "version": "1.0.0",
    "abi": "2.0.0",
    "hooks": [],
    "commands": [
        {"name": "CNOTE.PUT", "arity": 3, "keys": [1, 1, 1], "flags": ["write"]},
        {"name": "CNOTE.LAST", "arity": 3, "keys": [1, 1, 1], "flags": ["write"]},
        {"name": "CNOTE.GET", "arity": 2, "keys": [1, 1, 1], "flags": ["readonly"]}
    ],
    "tasks": [],
    "capabilities": {"commands": ["SET"], "wait": false, "background": true, "shared_bytes": 4096},
    "metrics": [],
    "config": "cnote takes no config"
})

enum { PUT, LAST, GET };

const char *plugin_init(sg_bytes config) { return sg_same(config, SG("{}")) ? NULL : "cnote takes no config"; }

void plugin_start(uint32_t call, const sg_call *in, sg_out *out) {
    (void)call;
    sg_bytes key = sg_arg(in, 1);
    if (in->handler == GET) {
        sg_shared kept = sg_shared_get(key);
        sg_done(out, kept.found ? kept.value : SG("$-1\r\n"));
        return;
    }
    sg_bytes value = sg_arg(in, 2);
    /* Kept as the reply that GET gives: a simple string. */
    sg_out reply = {sg_alloc(16), 0, 16, NULL};
    sg_put_u8(&reply, '+');
    sg_put(&reply, value.at, value.len);
    sg_put(&reply, "\r\n", 2);
    if (!sg_shared_set(key, (sg_bytes){reply.at, reply.len}, 0)) {
        sg_done_error(out, SG("ERR no room for "), key);
        return;
    }
    sg_background(out, SG("+OK\r\n"), in->handler == LAST);
    sg_command(out, 3);
    sg_put_arg(out, SG("SET"));
    sg_put_arg(out, key);
    sg_put_arg(out, value);
}

void plugin_resume(uint32_t call, const sg_result *results, uint32_t count, sg_out *out) {
    (void)call, (void)results, (void)count;
    sg_done(out, SG(""));
}

void plugin_cancel(uint32_t call) { (void)call; }
