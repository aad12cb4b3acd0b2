/* hiredis, the C client, through the steps of the client matrix.
 *
 * usage: hiredis PORT PREFIX. Says `step ok` or `step FAIL reason`, one line per step.
 * build: cc hiredis.c -o hiredis -lhiredis */
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MANY 120 /* keys of the MGET and SCAN steps */
#define MIB (1 << 20)

static redisContext *c;
static const char *prefix;
static int port;
static char failure[400]; /* why the present step failed; the first reason stays */

static void fail(const char *what, const char *found, const char *wanted) {
    if (failure[0] == 0) snprintf(failure, sizeof failure, "%s: found %s, wanted %s", what, found, wanted);
}

static redisContext *connection(void) {
    redisContext *made = redisConnect("127.0.0.1", port);
    if (made == NULL || made->err) {
        printf("connect FAIL %s\n", made ? made->errstr : "no memory");
        exit(0);
    }
    struct timeval patience = {20, 0};
    redisSetTimeout(made, patience);
    return made;
}

/* A reply as text: strings as they are, arrays as [a b]. */
static void text(const redisReply *reply, char *to, size_t room) {
    size_t used = 0;
    if (reply == NULL) { snprintf(to, room, "no reply (%s)", c->errstr); return; }
    switch (reply->type) {
    case REDIS_REPLY_INTEGER: snprintf(to, room, "%lld", reply->integer); return;
    case REDIS_REPLY_NIL: snprintf(to, room, "nil"); return;
    case REDIS_REPLY_ARRAY:
        used = (size_t)snprintf(to, room, "[");
        for (size_t i = 0; i < reply->elements && used + 2 < room; i++) {
            if (i > 0) to[used++] = ' ';
            text(reply->element[i], to + used, room - used - 1);
            used = strlen(to);
        }
        snprintf(to + used, room - used, "]");
        return;
    default: snprintf(to, room, "%s%.100s", reply->type == REDIS_REPLY_ERROR ? "-" : "", reply->str); return;
    }
}

/* Asks over a connection and compares the reply as text. */
static void ask(redisContext *over, const char *wanted, const char *format, ...) {
    char found[400] = "";
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(over, format, args);
    va_end(args);
    text(reply, found, sizeof found);
    if (strcmp(found, wanted) != 0) fail(format, found, wanted);
    if (reply) freeReplyObject(reply);
}

static void connect_(void) {
    ask(c, "PONG", "PING");
    ask(c, "OK", "CLIENT SETNAME matrix");
    ask(c, "matrix", "CLIENT GETNAME");
    ask(c, "hello", "ECHO %s", "hello");
}

static void string(void) {
    ask(c, "OK", "SET %s:s 1 EX 100", prefix);
    ask(c, "1", "GET %s:s", prefix);
    ask(c, "nil", "GET %s:none", prefix);
    ask(c, "42", "INCRBY %s:s 41", prefix);
    ask(c, "1", "PERSIST %s:s", prefix);
}

static void hash(void) {
    ask(c, "2", "HSET %s:h a 1 b two", prefix);
    ask(c, "[a 1 b two]", "HGETALL %s:h", prefix);
}

static void list(void) {
    ask(c, "3", "RPUSH %s:l a b c", prefix);
    ask(c, "[a b]", "LRANGE %s:l 0 1", prefix);
}

static void set(void) {
    ask(c, "2", "SADD %s:set x y", prefix);
    ask(c, "1", "SISMEMBER %s:set x", prefix);
    ask(c, "2", "SCARD %s:set", prefix);
}

static void zset(void) {
    ask(c, "2", "ZADD %s:z 1 one 2.5 two", prefix);
    ask(c, "[one 1 two 2.5]", "ZRANGE %s:z 0 -1 WITHSCORES", prefix);
}

static void stream(void) {
    ask(c, "5-1", "XADD %s:x 5-1 f v", prefix);
    ask(c, "[[5-1 [f v]]]", "XRANGE %s:x - +", prefix);
}

static void hyperloglog(void) {
    ask(c, "1", "PFADD %s:hll a b c", prefix);
    ask(c, "3", "PFCOUNT %s:hll", prefix);
}

static void geo(void) {
    ask(c, "2", "GEOADD %s:g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", prefix);
    ask(c, "166.2742", "GEODIST %s:g Palermo Catania km", prefix);
}

static void bitmap(void) {
    ask(c, "0", "SETBIT %s:b 7 1", prefix);
    ask(c, "1", "BITCOUNT %s:b", prefix);
}

static void binary(void) {
    char *value = malloc(MIB);
    for (int i = 0; i < MIB; i++) value[i] = (char)i;
    ask(c, "OK", "SET %s:binary %b", prefix, value, (size_t)MIB);
    redisReply *reply = redisCommand(c, "GET %s:binary", prefix);
    if (reply == NULL || reply->len != MIB || memcmp(reply->str, value, MIB) != 0) fail("GET", "another value", "1 MiB");
    if (reply) freeReplyObject(reply);
    free(value);
}

/* The next reply of what was appended. */
static void next(redisContext *over, const char *what, const char *wanted) {
    char found[400] = "";
    redisReply *reply = NULL;
    if (redisGetReply(over, (void **)&reply) != REDIS_OK) { fail(what, over->errstr, wanted); return; }
    text(reply, found, sizeof found);
    if (strcmp(found, wanted) != 0) fail(what, found, wanted);
    freeReplyObject(reply);
}

static void pipeline(void) {
    for (int i = 0; i < 500; i++) {
        redisAppendCommand(c, "SET %s:p:%d %d", prefix, i, i);
        redisAppendCommand(c, "GET %s:p:%d", prefix, i);
    }
    for (int i = 0; i < 500 && failure[0] == 0; i++) {
        char wanted[16];
        snprintf(wanted, sizeof wanted, "%d", i);
        next(c, "SET", "OK");
        next(c, "GET", wanted);
    }
}

/* COMMAND with the keys many:0, many:1 ..., each followed by `value` unless that is NULL. */
static redisReply *with_many(const char *command, const char *value) {
    const char *words[1 + 2 * MANY] = {command};
    char keys[MANY][200];
    int count = 1;
    for (int i = 0; i < MANY; i++) {
        snprintf(keys[i], sizeof keys[i], "%s:many:%d", prefix, i);
        words[count++] = keys[i];
        if (value) words[count++] = value;
    }
    return redisCommandArgv(c, count, words, NULL);
}

static void mget(void) {
    redisReply *reply = with_many("MSET", "v");
    if (reply == NULL || reply->type != REDIS_REPLY_STATUS) fail("MSET", reply && reply->str ? reply->str : c->errstr, "OK");
    if (reply) freeReplyObject(reply);
    reply = with_many("MGET", NULL);
    if (reply == NULL || reply->elements != MANY) fail("MGET", reply && reply->str ? reply->str : "another reply", "all");
    else for (size_t i = 0; i < MANY; i++) if (reply->element[i]->len != 1) fail("MGET", "another value", "v");
    if (reply) freeReplyObject(reply);
}

static void scan(void) {
    char seen[MANY] = {0}, cursor[32] = "0", begin[200];
    snprintf(begin, sizeof begin, "%s:many:", prefix);
    freeReplyObject(with_many("MSET", "v"));
    do {
        redisReply *reply = redisCommand(c, "SCAN %s MATCH %s* COUNT 20", cursor, begin);
        if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
            fail("SCAN", reply && reply->str ? reply->str : "another reply", "a cursor and keys");
            return;
        }
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        for (size_t i = 0; i < reply->element[1]->elements; i++) {
            int number = atoi(reply->element[1]->element[i]->str + strlen(begin));
            if (number >= 0 && number < MANY) seen[number] = 1;
        }
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0);
    for (int i = 0; i < MANY; i++) if (!seen[i]) fail("SCAN", "a key missing", "all keys");
}

static void multi(void) {
    redisAppendCommand(c, "MULTI");
    redisAppendCommand(c, "SET %s:{tx}:a 1", prefix);
    redisAppendCommand(c, "INCR %s:{tx}:a", prefix);
    redisAppendCommand(c, "HSET %s:{tx}:h f v", prefix);
    redisAppendCommand(c, "EXEC");
    next(c, "MULTI", "OK");
    for (int i = 0; i < 3; i++) next(c, "a command", "QUEUED");
    next(c, "EXEC", "[OK 2 1]");
}

static void watch(void) {
    redisContext *other = connection();
    ask(c, "OK", "SET %s:{watched} 1", prefix);
    ask(c, "OK", "WATCH %s:{watched}", prefix);
    ask(other, "OK", "SET %s:{watched} 10", prefix);
    ask(c, "OK", "MULTI");
    ask(c, "QUEUED", "SET %s:{watched} 2", prefix);
    ask(c, "nil", "EXEC");
    ask(c, "10", "GET %s:{watched}", prefix);
    redisFree(other);
}

static void eval(void) {
    ask(c, "OK", "EVAL %s 1 %s:e v", "return redis.call('SET', KEYS[1], ARGV[1])", prefix);
    char script[300];
    snprintf(script, sizeof script, "return {redis.call('GET', KEYS[1]), ARGV[1]} -- %s", prefix);
    redisReply *sha = redisCommand(c, "SCRIPT LOAD %s", script);
    if (sha == NULL || sha->type != REDIS_REPLY_STRING) { fail("SCRIPT LOAD", "another reply", "a digest"); return; }
    ask(c, "[v x]", "EVALSHA %s 1 %s:e x", sha->str, prefix);
    freeReplyObject(sha);
    ask(c, "-NOSCRIPT No matching script. Please use EVAL.", "EVALSHA %s 1 %s:e", "0000000000000000000000000000000000000000",
        prefix);
}

static void heard(const char *subscribe, const char *name, const char *channel, const char *wanted) {
    redisContext *listener = connection();
    char confirmed[300];
    snprintf(confirmed, sizeof confirmed, "[%s %s:%s 1]", subscribe, prefix, name);
    ask(listener, confirmed, "%s %s:%s", subscribe, prefix, name);
    ask(c, "1", "PUBLISH %s:%s hello", prefix, channel);
    next(listener, "message", wanted);
    redisFree(listener);
}

static void pubsub(void) {
    char wanted[300];
    snprintf(wanted, sizeof wanted, "[message %s:channel hello]", prefix);
    heard("subscribe", "channel", "channel", wanted);
}

static void pattern(void) {
    char wanted[300];
    snprintf(wanted, sizeof wanted, "[pmessage %s:pattern.* %s:pattern.a hello]", prefix, prefix);
    heard("psubscribe", "pattern.*", "pattern.a", wanted);
}

static void blpop(void) {
    redisContext *waiter = connection();
    char wanted[200];
    int sent = 0;
    snprintf(wanted, sizeof wanted, "[%s:queue job]", prefix);
    redisAppendCommand(waiter, "BLPOP %s:queue 15", prefix);
    while (!sent) redisBufferWrite(waiter, &sent);
    for (int i = 0; i < 50; i++) ask(c, "PONG", "PING");
    ask(c, "1", "RPUSH %s:queue job", prefix);
    next(waiter, "BLPOP", wanted);
    ask(waiter, "nil", "BLPOP %s:queue 0.05", prefix);
    redisFree(waiter);
}

static void step(const char *name, void (*work)(void)) {
    failure[0] = 0;
    work();
    if (failure[0]) printf("%s FAIL %s\n", name, failure);
    else printf("%s ok\n", name);
    fflush(stdout);
    if (c->err) { redisFree(c); c = connection(); }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    port = atoi(argv[1]);
    prefix = argv[2];
    printf("version %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    c = connection();
    step("connect", connect_);
    step("string", string);
    step("hash", hash);
    step("list", list);
    step("set", set);
    step("zset", zset);
    step("stream", stream);
    step("hyperloglog", hyperloglog);
    step("geo", geo);
    step("bitmap", bitmap);
    step("binary", binary);
    step("pipeline", pipeline);
    step("mget", mget);
    step("scan", scan);
    step("multi", multi);
    step("watch", watch);
    step("eval", eval);
    step("pubsub", pubsub);
    step("pattern", pattern);
    step("blpop", blpop);
    printf("resp3 -\n"); /* its type for maps came with 1.0, Debian has 0.14 */
    return 0;
}
