/* The sluicegate plugin contract, ABI 2.0.0, for C. One header to copy; the contract itself is
 * patterns-wasm/sdk/wit/plugin.wit. Needs a clang that makes wasm32 (`zig cc` is one), no C library.
 *
 * A plugin has one SG_MANIFEST and the four functions declared under "What a plugin has". The header makes the exports
 * of them, reads frames and writes them.
 *
 * Memory: everything the host gives (frames, config) and everything written (`sg_out`) lives until the step returns.
 * What must live longer goes into variables of the plugin's own. One instance carries several calls at once: keep what
 * belongs to a call in an array indexed by its number, and forget it in `plugin_cancel`. */
#ifndef SLUICEGATE_PLUGIN_H
#define SLUICEGATE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define SG_HANDLER "sluicegate:plugin/handler@2.0.0#"
#define SG_HOST(name) __attribute__((import_module("sluicegate:plugin/host@2.0.0"), import_name(name)))
#define SG_EXPORT(name) __attribute__((export_name(name)))

/* ---- Bytes ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at;
    uint32_t len;
} sg_bytes;

/* A text in quotes as bytes. */
#define SG(text) ((sg_bytes){(const uint8_t *)(text), sizeof(text) - 1})

/* A text that ends with a NUL as bytes. */
static inline sg_bytes sg_string(const char *text) {
    uint32_t len = 0;
    while (text[len]) len++;
    return (sg_bytes){(const uint8_t *)text, len};
}

static inline int sg_same(sg_bytes a, sg_bytes b) {
    if (a.len != b.len) return 0;
    for (uint32_t i = 0; i < a.len; i++)
        if (a.at[i] != b.at[i]) return 0;
    return 1;
}

/* ---- What a plugin may call ------------------------------------------------------------------------------------- */

enum { SG_TRACE, SG_DEBUG, SG_INFO, SG_WARN, SG_ERROR };
enum { SG_COUNTER, SG_GAUGE, SG_HISTOGRAM };

SG_HOST("log") void sg_log(uint32_t level, const char *text, uint32_t len);
SG_HOST("now-ms") uint64_t sg_now_ms(void);
SG_HOST("mono-ms") uint64_t sg_mono_ms(void);
SG_HOST("random") uint64_t sg_random(void);
SG_HOST("metric") void sg_metric(uint32_t id, uint32_t kind, int64_t value);
/* Keeps a value for `ttl_ms` (0: until it is overwritten) on this worker, for this binding; no bytes remove it. 0: over the
 * bound of `shared_bytes`. `sg_shared_get` reads it. */
SG_HOST("shared-set") uint32_t sg_shared_set_(const uint8_t *, uint32_t, const uint8_t *, uint32_t, uint32_t);
static inline uint32_t sg_shared_set(sg_bytes key, sg_bytes value, uint32_t ttl_ms) {
    return sg_shared_set_(key.at, key.len, value.at, value.len, ttl_ms);
}
typedef struct {
    uint8_t found;
    sg_bytes value;
} sg_shared;
SG_HOST("shared-get") void sg_shared_get_(const uint8_t *, uint32_t, sg_shared *);
static inline sg_shared sg_shared_get(sg_bytes key) {
    sg_shared kept = {0};
    sg_shared_get_(key.at, key.len, &kept);
    return kept;
}

/* ---- A call's beginning ------------------------------------------------------------------------------------------ */

enum { SG_HOOK, SG_OWN_COMMAND, SG_SPAWNED, SG_IN_MULTI, SG_SESSION_CLOSED, SG_TIMER };

typedef struct {
    uint8_t kind;     /* SG_HOOK ... */
    uint8_t resp;     /* 2 or 3: what the reply must be written in */
    uint16_t db;
    uint16_t handler; /* its place in the manifest: hooks, then commands, then tasks */
    uint16_t binding;
    uint16_t shards;
    uint64_t session;
    uint32_t budget_ms;
    uint32_t argc;
    const uint8_t *args;
} sg_call;

/* ---- A result of an operation ------------------------------------------------------------------------------------ */

enum { SG_REPLY, SG_BACKEND_ERROR, SG_TIMEOUT, SG_EVENT, SG_DENIED, SG_TOO_LARGE };

typedef struct {
    uint32_t op;     /* running number in this call, from 0 */
    uint8_t status;  /* SG_REPLY ... */
    sg_bytes bytes;  /* SG_REPLY: one RESP value as Redis sent it */
} sg_result;

/* ---- What a plugin has ------------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *at;
    uint32_t len, room;
    uint8_t *count; /* where a batch counts its operations */
} sg_out;

/* Reads the binding's config (JSON); NULL, or what is wrong with it. Once for each instance, before any call. */
const char *plugin_init(sg_bytes config);
/* A call begins. Each way through it ends with one `sg_done_...`, `sg_pass`, or `sg_pending` or `sg_background` and
 * their operations. */
void plugin_start(uint32_t call, const sg_call *in, sg_out *out);
/* All operations asked for have ended; `results` has those that give one. Ends like `plugin_start`, but after
 * `sg_background` with `sg_done` of no bytes instead of a reply. */
void plugin_resume(uint32_t call, const sg_result *results, uint32_t count, sg_out *out);
/* The call is over without an answer. */
void plugin_cancel(uint32_t call);

/* SG_MANIFEST({"name": "x", ...}): the manifest as plain JSON, for `describe` and for the custom section that the
 * gateway reads before it runs anything. */
#define SG_TEXT_(text) #text
#define SG_TEXT(text) SG_TEXT_(text)
#define SG_MANIFEST(...)                                                                                               \
    __asm__(".section \".custom_section.sluicegate-manifest\",\"\",@\n.ascii " SG_TEXT(#__VA_ARGS__) "\n.text\n");         \
    SG_EXPORT(SG_HANDLER "describe") const sg_bytes *sg_describe(void) {                                               \
        static sg_bytes text;                                                                                          \
        text = SG(#__VA_ARGS__);                                                                                       \
        return &text;                                                                                                  \
    }

/* ---- Memory: one heap that is emptied when a new step begins ------------------------------------------------------ */

extern uint8_t __heap_base;
static uint32_t sg_heap;
static int sg_step_over = 1;

static inline void *sg_alloc(uint32_t len) {
    uint32_t at = (sg_heap + 7) & ~7u;
    uint32_t room = __builtin_wasm_memory_size(0) << 16;
    if (at + len < at || (at + len > room &&
        __builtin_wasm_memory_grow(0, (at + len - room + 65535) >> 16) == (size_t)-1))
        __builtin_trap(); /* over the plugin's memory: the gateway ends this instance */
    sg_heap = at + len;
    return (void *)at;
}

SG_EXPORT("cabi_realloc") void *cabi_realloc(void *old, uint32_t old_len, uint32_t align, uint32_t len) {
    (void)old, (void)old_len, (void)align;
    if (sg_step_over) {
        sg_heap = (uint32_t)&__heap_base;
        sg_step_over = 0;
    }
    return sg_alloc(len);
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

static inline uint32_t sg_u16(const uint8_t *at) { return at[0] | at[1] << 8; }
static inline uint32_t sg_u32(const uint8_t *at) { return sg_u16(at) | sg_u16(at + 2) << 16; }

/* Argument `index`, or no bytes past the end. */
static inline sg_bytes sg_arg(const sg_call *in, uint32_t index) {
    const uint8_t *at = in->args;
    if (index >= in->argc) return (sg_bytes){at, 0};
    while (index--) at += 4 + sg_u32(at);
    return (sg_bytes){at + 4, sg_u32(at)};
}

/* ---- Writing -------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void sg_put(sg_out *out, const void *bytes, uint32_t len) {
    if (out->len + len > out->room) {
        uint32_t room = 2 * out->room + len;
        uint8_t *at = sg_alloc(room);
        __builtin_memcpy(at, out->at, out->len);
        if (out->count) out->count = at + (out->count - out->at);
        out->at = at;
        out->room = room;
    }
    __builtin_memcpy(out->at + out->len, bytes, len);
    out->len += len;
}
static inline void sg_put_u8(sg_out *out, uint8_t value) { sg_put(out, &value, 1); }
static inline void sg_put_u16(sg_out *out, uint16_t value) { sg_put(out, &value, 2); }
static inline void sg_put_u32(sg_out *out, uint32_t value) { sg_put(out, &value, 4); }

/* The call ends with a reply: one RESP value, written by hand (as Redis sent it, for example). */
static inline void sg_done(sg_out *out, sg_bytes reply) {
    sg_put_u8(out, 1);
    sg_put(out, reply.at, reply.len);
}
/* The call ends with an integer. */
static inline void sg_done_integer(sg_out *out, int64_t value) {
    uint8_t text[24], *at = text + sizeof text;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    *--at = '\n', *--at = '\r';
    do *--at = '0' + rest % 10;
    while (rest /= 10);
    if (value < 0) *--at = '-';
    *--at = ':';
    sg_done(out, (sg_bytes){at, (uint32_t)(text + sizeof text - at)});
}
/* The call ends with an error, "ERR ..."; bytes that would break the line become blanks. */
static inline void sg_done_error(sg_out *out, sg_bytes first, sg_bytes second) {
    sg_put(out, "\1-", 2);
    sg_put(out, first.at, first.len);
    sg_put(out, second.at, second.len);
    for (uint8_t *at = out->at + 2; at < out->at + out->len; at++)
        if (*at == '\r' || *at == '\n') *at = ' ';
    sg_put(out, "\r\n", 2);
}
/* What became of an operation that gave no reply, as the client's error. */
static inline void sg_done_failed(sg_out *out, const sg_result *result) {
    static const char *const what[] = {"ERR no reply", "", "ERR timeout", "ERR event", "ERR denied: ", "ERR reply too large"};
    sg_bytes text = sg_string(what[result->status <= SG_TOO_LARGE ? result->status : 0]);
    int told = result->status == SG_BACKEND_ERROR || result->status == SG_DENIED;
    sg_done_error(out, text, told ? result->bytes : SG(""));
}
/* The hooked command goes on as it came. */
static inline void sg_pass(sg_out *out) { sg_put_u8(out, 2); }

/* Operations follow: at least one, by `sg_command`, `sg_sleep` or `sg_operation`; the call goes on when all have ended. */
static inline void sg_pending(sg_out *out) {
    sg_put(out, "\0\0\0\0", 4);
    out->count = out->at + 2;
}
/* The client gets this reply, one RESP value, now. Operations may follow, as with `sg_pending`, and the call goes on when all
 * have ended; with `last` it ends here, and nobody hears of them. Needs the capability "background" unless `last`. */
static inline void sg_background(sg_out *out, sg_bytes reply, int last) {
    sg_put_u8(out, 3);
    sg_put_u32(out, reply.len);
    sg_put(out, reply.at, reply.len);
    sg_put_u8(out, last ? 2 : 0);
    sg_put_u16(out, 0);
    out->count = out->at + out->len - 2;
}
/* Any operation: its kind; its fields follow by `sg_put_...`, as the contract lays them out. */
static inline void sg_operation(sg_out *out, uint8_t kind) {
    if (!++out->count[0]) out->count[1]++;
    sg_put_u8(out, kind);
}
/* A Redis command of `argc` arguments to the shard of its own keys; `sg_put_arg` or `sg_put_beside` for each follow. */
static inline void sg_command(sg_out *out, uint32_t argc) {
    sg_operation(out, 1);
    sg_put_u16(out, 0); /* a reply is wanted; target: its own keys */
    sg_put_u32(out, argc);
}
static inline void sg_put_arg(sg_out *out, sg_bytes arg) {
    sg_put_u32(out, arg.len);
    sg_put(out, arg.at, arg.len);
}
/* The key called `name` beside `owner`, on its shard. */
static inline void sg_put_beside(sg_out *out, sg_bytes owner, sg_bytes name) {
    sg_put_u32(out, (4 + owner.len + name.len) | 1u << 31);
    sg_put_arg(out, owner);
    sg_put(out, name.at, name.len);
}
/* A pause. */
static inline void sg_sleep(sg_out *out, uint32_t ms) {
    sg_operation(out, 3);
    sg_put_u32(out, ms);
}

/* ---- The exports ------------------------------------------------------------------------------------------------ */

static inline sg_out sg_begin_(void) { return (sg_out){sg_alloc(256), 0, 256, NULL}; }

static inline const sg_bytes *sg_end_(const sg_out *out) {
    static sg_bytes frame;
    frame = (sg_bytes){out->at, out->len};
    sg_step_over = 1;
    return &frame;
}

SG_EXPORT(SG_HANDLER "init") const void *sg_init(const uint8_t *at, uint32_t len) {
    static struct {
        uint32_t failed;
        sg_bytes text;
    } answer;
    const char *fault = plugin_init((sg_bytes){at, len});
    answer.failed = fault != NULL;
    if (fault) answer.text = sg_string(fault);
    sg_step_over = 1;
    return &answer;
}

SG_EXPORT(SG_HANDLER "start") const sg_bytes *sg_start(uint32_t call, const uint8_t *at, uint32_t len) {
    (void)len;
    sg_out out = sg_begin_();
    const uint8_t *args = at + at[3]; /* the header tells its own length: it may grow */
    sg_call in = {
        .kind = at[1], .resp = at[2], .db = sg_u16(at + 4), .handler = sg_u16(at + 6), .binding = sg_u16(at + 8),
        .shards = sg_u16(at + 10), .session = sg_u32(at + 12) | (uint64_t)sg_u32(at + 16) << 32,
        .budget_ms = sg_u32(at + 20), .argc = sg_u32(args), .args = args + 4,
    };
    plugin_start(call, &in, &out);
    return sg_end_(&out);
}

SG_EXPORT(SG_HANDLER "resume") const sg_bytes *sg_resume(uint32_t call, const uint8_t *at, uint32_t len) {
    (void)len;
    uint32_t count = sg_u32(at);
    sg_result *results = sg_alloc(count * sizeof *results);
    at += 4;
    for (uint32_t i = 0; i < count; i++) {
        results[i] = (sg_result){sg_u32(at), at[4], {at + 9, sg_u32(at + 5)}};
        at += 9 + results[i].bytes.len;
    }
    sg_out out = sg_begin_();
    plugin_resume(call, results, count, &out);
    return sg_end_(&out);
}

SG_EXPORT(SG_HANDLER "cancel") void sg_cancel(uint32_t call) { plugin_cancel(call); }

#endif
