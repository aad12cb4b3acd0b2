#!/bin/bash
# redis-benchmark, each of its own tests as a step of the client matrix: connections, types, pipelines, MSET, RESP3.
#
# usage: redis_benchmark.sh PORT PREFIX PROGRAM. Says `step ok` or `step FAIL reason`, one line per step. Its keys are
# its own (key:*, mylist, ...), PREFIX goes unused.
set -u
port=$1 program=$3

# runs STEP TESTS RATES OPTION...: RATES lines of results, and no word of an error.
runs() {
    local step=$1 tests=$2 rates=$3 said
    shift 3
    said=$("$program" -h 127.0.0.1 -p "$port" -q -t "$tests" -n 1000 -r 500 "$@" 2>&1 | tr '\r' '\n')
    if [ "$(grep -c 'requests per second' <<<"$said")" -ge "$rates" ] && ! grep -qi error <<<"$said"; then
        echo "$step ok"
    else
        echo "$step FAIL $(grep -v 'rps=' <<<"$said" | tr -s '\n' ' ' | cut -c1-300)"
    fi
}

echo "version $("$program" --version | cut -d' ' -f2)"
runs connect ping 2
runs string set,get,incr 3
runs hash hset 1
runs list lpush,rpush,lpop,rpop,lrange_100,lrange_300 6
runs set sadd,spop 2
runs zset zadd,zpopmin 2
for step in stream hyperloglog geo bitmap; do echo "$step -"; done
runs binary set,get 2 -d 1048576 -n 20 -r 5 -c 2
runs pipeline set,get 2 -P 1000 -n 10000 -c 2
runs mget mset 1
for step in scan multi watch; do echo "$step -"; done
for step in eval pubsub pattern blpop; do echo "$step -"; done
runs resp3 set,get,hset 3 -3 -P 16
