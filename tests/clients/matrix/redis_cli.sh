#!/bin/bash
# redis-cli through the steps of the client matrix: arguments, lines on its input, --pipe, --scan, --bigkeys, -3.
#
# usage: redis_cli.sh PORT PREFIX PROGRAM. Says `step ok` or `step FAIL reason`, one line per step.
set -u
port=$1 prefix=$2 program=$3
cli() { "$program" -h 127.0.0.1 -p "$port" "$@" 2>&1; }

failure=
# expect WHAT FOUND WANTED: compares; the first failure of a step stays.
expect() {
    [ -n "$failure" ] || [ "$2" = "$3" ] || failure="$1: found '${2:0:200}', wanted '${3:0:200}'"
}
# done_with STEP: says how it went.
done_with() {
    if [ -n "$failure" ]; then printf '%s FAIL %s\n' "$1" "$(tr -s '\n' ' ' <<<"$failure")"; else echo "$1 ok"; fi
    failure=
}
# heard FD COUNT: that many lines of what a program beside says, joined.
heard() {
    local line all=
    for _ in $(seq "$2"); do IFS= read -r -t 15 line <&"$1" || break; all="$all $line"; done
    echo "${all# }"
}

echo "version $("$program" --version | cut -d' ' -f2)"

expect ping "$(cli PING)" PONG
# Without a command it reads lines, and starts as at a terminal: with COMMAND DOCS.
expect lines "$(printf 'CLIENT SETNAME matrix\nCLIENT GETNAME\nSELECT 0\nNOSUCH\nPING\n' | cli | cut -d, -f1 | grep -v '^$' | tr '\n' ' ')" \
    "OK matrix OK ERR unknown command 'NOSUCH' PONG "
done_with connect

expect set "$(cli SET "$prefix:s" 1 EX 100)" OK
expect get "$(cli GET "$prefix:s")" 1
expect "get of nothing" "$(cli GET "$prefix:none")" ""
expect "repeated" "$(cli -r 3 INCR "$prefix:s" | tr '\n' ' ')" "2 3 4 "
done_with string

expect hset "$(cli HSET "$prefix:h" a 1 b two)" 2
expect hgetall "$(cli HGETALL "$prefix:h" | tr '\n' ' ')" "a 1 b two "
done_with hash

expect rpush "$(cli RPUSH "$prefix:l" a b c)" 3
expect lrange "$(cli --csv LRANGE "$prefix:l" 0 1)" '"a","b"'
done_with list

expect sadd "$(cli SADD "$prefix:set" x y)" 2
expect smembers "$(cli SMEMBERS "$prefix:set" | sort | tr '\n' ' ')" "x y "
done_with set

expect zadd "$(cli ZADD "$prefix:z" 1 one 2.5 two)" 2
expect zrange "$(cli ZRANGE "$prefix:z" 0 -1 WITHSCORES | tr '\n' ' ')" "one 1 two 2.5 "
done_with zset

expect xadd "$(cli XADD "$prefix:x" 5-1 f v)" 5-1
expect xrange "$(cli XRANGE "$prefix:x" - + | tr '\n' ' ')" "5-1 f v "
done_with stream

expect pfadd "$(cli PFADD "$prefix:hll" a b c)" 1
expect pfcount "$(cli PFCOUNT "$prefix:hll")" 3
done_with hyperloglog

expect geoadd "$(cli GEOADD "$prefix:g" 13.361389 38.115556 Palermo 15.087269 37.502669 Catania)" 2
expect geodist "$(cli GEODIST "$prefix:g" Palermo Catania km)" 166.2742
done_with geo

expect setbit "$(cli SETBIT "$prefix:b" 7 1)" 0
expect bitcount "$(cli BITCOUNT "$prefix:b")" 1
done_with bitmap

# No shell variable holds a zero byte, so the value goes and comes through files.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
head -c 1048576 /dev/urandom >"$folder/value"
expect "set of 1 MiB" "$(cli -x SET "$prefix:binary" <"$folder/value")" OK
cli GET "$prefix:binary" | head -c 1048576 >"$folder/back"
expect "get of 1 MiB" "$(cmp "$folder/value" "$folder/back" 2>&1)" ""
done_with binary

for i in $(seq 1000); do printf 'SET %s:p:%s %s\r\n' "$prefix" "$i" "$i"; done >"$folder/pipe"
expect pipe "$(cli --pipe <"$folder/pipe" | tail -n 1)" "errors: 0, replies: 1000"
expect "its last key" "$(cli GET "$prefix:p:1000")" 1000
done_with pipeline

keys=$(for i in $(seq 120); do echo "$prefix:many:$i"; done)
# Unquoted on purpose: one word per key.
expect mset "$(cli MSET $(for key in $keys; do echo "$key" "$key"; done))" OK
expect mget "$(cli MGET $keys "$prefix:none")" "$keys"
done_with mget

expect "--scan" "$(cli --scan --pattern "$prefix:many:*" | sort -u)" "$(sort <<<"$keys")"
expect "--bigkeys" "$(cli --bigkeys | grep -c '^Biggest string found')" 1
expect "--memkeys" "$(cli --memkeys | grep -c '^Biggest string found')" 1
done_with scan

tag="$prefix:{tx}"
expect exec "$(printf 'MULTI\nSET %s:a 1\nINCR %s:a\nGET %s:a\nEXEC\n' "$tag" "$tag" "$tag" | cli | tr '\n' ' ')" \
    "OK QUEUED QUEUED QUEUED OK 2 2 "
done_with multi

key="$prefix:{watched}"
cli SET "$key" 1 >"$folder/null"
coproc watcher { cli; }
pid=$watcher_PID
printf 'WATCH %s\n' "$key" >&"${watcher[1]}"
expect watch "$(heard "${watcher[0]}" 1)" OK
cli SET "$key" 10 >"$folder/null"
printf 'MULTI\nSET %s 2\nEXEC\nGET %s\n' "$key" "$key" >&"${watcher[1]}"
expect conflict "$(heard "${watcher[0]}" 4)" "OK QUEUED  10"
eval "exec ${watcher[1]}>&-"
wait "$pid" 2>"$folder/null"
done_with watch

expect eval "$(cli EVAL "return redis.call('SET', KEYS[1], ARGV[1])" 1 "$prefix:e" v)" OK
echo "return {redis.call('GET', KEYS[1]), ARGV[1]} -- $prefix" >"$folder/script"
expect "--eval" "$(cli --eval "$folder/script" "$prefix:e" , x | tr '\n' ' ')" "v x "
sha=$(cli -x SCRIPT LOAD <"$folder/script")
expect evalsha "$(cli EVALSHA "$sha" 1 "$prefix:e" y | tr '\n' ' ')" "v y "
expect "unknown script" "$(cli EVALSHA "${sha//?/0}" 0 | cut -d' ' -f1 | head -n 1)" NOSCRIPT
done_with eval

# listen COMMAND NAME CHANNEL LINES...: a second redis-cli listens, the first publishes.
listen() {
    coproc listener { exec "$program" -h 127.0.0.1 -p "$port" "$1" "$2" 2>&1; }
    local pid=$listener_PID
    expect confirmed "$(heard "${listener[0]}" 3)" "$1 $2 1"
    expect receivers "$(cli PUBLISH "$3" hello)" 1
    expect message "$(heard "${listener[0]}" "$4")" "$5"
    kill "$pid"
    wait "$pid" 2>"$folder/null"
}
listen subscribe "$prefix:channel" "$prefix:channel" 3 "message $prefix:channel hello"
done_with pubsub
listen psubscribe "$prefix:pattern.*" "$prefix:pattern.a" 4 "pmessage $prefix:pattern.* $prefix:pattern.a hello"
done_with pattern

cli BLPOP "$prefix:queue" 15 >"$folder/popped" &
expect "a key meanwhile" "$(cli -r 50 PING | sort -u)" PONG
cli RPUSH "$prefix:queue" job >"$folder/null"
wait "$!"
expect "what woke it" "$(tr '\n' ' ' <"$folder/popped")" "$prefix:queue job "
expect "a time-out" "$(cli BLPOP "$prefix:queue" 0.05)" ""
done_with blpop

expect hello "$(cli -3 --json HELLO | grep -o '"proto":3')" '"proto":3'
expect map "$(cli -3 --json HGETALL "$prefix:h")" '{"a":"1","b":"two"}'
expect double "$(cli -3 --json ZSCORE "$prefix:z" two)" 2.5
done_with resp3
