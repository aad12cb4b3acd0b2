# redis-rb through the steps of the client matrix.
#
# usage: ruby redis_rb.rb PORT PREFIX. Says `step ok` or `step FAIL reason`, one line per step.

begin
  require "redis"
rescue LoadError => e
  puts "SKIPPED #{e.message}"
  exit
end

$stdout.sync = true
puts "version #{Redis::VERSION}"
PORT, PREFIX = ARGV
BINARY = (0..255).map(&:chr).join.b * 4096 # 1 MiB with every byte value

def k(name) = "#{PREFIX}:#{name}"
def connect(**more) = Redis.new(host: "127.0.0.1", port: PORT.to_i, **more)

KEYS = (0...120).map { |i| k("many:#{i}") }
C = connect

def expect(what, found, wanted)
  raise "#{what}: found #{found.inspect}, wanted #{wanted.inspect}" if found != wanted
end

def step(name)
  said = yield
  puts "#{name} #{said == :none ? "-" : "ok"}"
rescue StandardError => e
  puts "#{name} FAIL #{"#{e.class}: #{e.message}".gsub(/\s+/, " ")[0, 300]}"
end

step "connect" do
  expect "ping", C.ping, "PONG"
  named = connect(id: "matrix")
  expect "name", named.client(:setname, "matrix"), "OK"
  expect "its name", named.client(:getname), "matrix"
  expect "info", C.info.key?("redis_version"), true
  expect "echo", C.echo("hello"), "hello"
  named.quit
end

step "string" do
  expect "set", C.set(k("s"), "1", ex: 100), "OK"
  expect "get", C.get(k("s")), "1"
  expect "get of nothing", C.get(k("none")), nil
  expect "incr", C.incrby(k("s"), 41), 42
  expect "ttl", C.ttl(k("s")) > 90, true
end

step "hash" do
  expect "hset", C.hset(k("h"), { "a" => 1, "b" => "two" }), 2
  expect "hgetall", C.hgetall(k("h")), { "a" => "1", "b" => "two" }
end

step "list" do
  expect "rpush", C.rpush(k("l"), %w[a b c]), 3
  expect "lrange", C.lrange(k("l"), 0, 1), %w[a b]
end

step "set" do
  expect "sadd", C.sadd?(k("set"), %w[x y]), true
  expect "smembers", C.smembers(k("set")).sort, %w[x y]
end

step "zset" do
  expect "zadd", C.zadd(k("z"), [[1, "one"], [2.5, "two"]]), 2
  expect "zscore", C.zscore(k("z"), "two"), 2.5
  expect "zrange", C.zrange(k("z"), 0, -1, with_scores: true), [["one", 1.0], ["two", 2.5]]
end

step "stream" do
  expect "xadd", C.xadd(k("x"), { "f" => "v" }, id: "5-1"), "5-1"
  expect "xrange", C.xrange(k("x")), [["5-1", { "f" => "v" }]]
  expect "xread", C.xread(k("x"), "0"), { k("x") => [["5-1", { "f" => "v" }]] }
end

step "hyperloglog" do
  expect "pfadd", C.pfadd(k("hll"), %w[a b c]), true
  expect "pfcount", C.pfcount(k("hll")), 3
end

step "geo" do
  expect "geoadd", C.geoadd(k("g"), 13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"), 2
  expect "geodist", C.geodist(k("g"), "Palermo", "Catania", "km").to_f.round, 166
end

step "bitmap" do
  expect "setbit", C.setbit(k("b"), 7, 1), 0
  expect "bitcount", C.bitcount(k("b")), 1
end

step "binary" do
  expect "set of 1 MiB", C.set(k("binary"), BINARY), "OK"
  expect "get of 1 MiB", C.get(k("binary")).b == BINARY, true
end

step "pipeline" do
  found = C.pipelined do |pipe|
    500.times { |i| pipe.set(k("p:#{i}"), i); pipe.get(k("p:#{i}")) }
  end
  expect "replies", found, (0...500).flat_map { |i| ["OK", i.to_s] }
end

step "mget" do
  expect "mset", C.mset(*KEYS.flat_map { |key| [key, key.upcase] }), "OK"
  expect "mget", C.mget(*KEYS, k("none")), KEYS.map(&:upcase) + [nil]
end

step "scan" do
  C.mset(*KEYS.flat_map { |key| [key, "1"] })
  expect "keys not seen", KEYS - C.scan_each(match: k("many:*"), count: 20).to_a, []
end

step "multi" do
  tag = k("{tx}")
  found = C.multi do |tx|
    tx.set("#{tag}:a", 1)
    tx.incr("#{tag}:a")
    tx.hset("#{tag}:h", "f", "v")
    tx.get("#{tag}:a")
  end
  expect "replies", found, ["OK", 2, 1, "2"]
end

step "watch" do
  key, other = k("{watched}"), connect
  C.set(key, 1)
  found = C.watch(key) do
    other.set(key, 10)
    C.multi { |tx| tx.set(key, 2) }
  end
  expect "conflict", found, nil
  expect "the other's value", C.get(key), "10"
  expect "without a conflict", C.watch(key) { C.multi { |tx| tx.incr(key) } }, [11]
end

step "eval" do
  expect "eval", C.eval("return redis.call('SET', KEYS[1], ARGV[1])", [k("e")], ["v"]), "OK"
  script = "return {redis.call('GET', KEYS[1]), ARGV[1]} -- #{PREFIX}"
  sha = C.script(:load, script)
  expect "evalsha", C.evalsha(sha, [k("e")], ["x"]), %w[v x]
  begin
    C.evalsha("0" * 40, [k("e")])
    raise "an unknown script ran"
  rescue Redis::CommandError => e
    expect "its error", e.message.start_with?("NOSCRIPT"), true
  end
end

def heard(subscribe, name, channel)
  found = nil
  listener = Thread.new do
    connect.public_send(subscribe, name) do |on|
      on.message { |*what| found = what; raise StopIteration }
      on.pmessage { |_, *what| found = what; raise StopIteration }
    end
  rescue StopIteration
    nil
  end
  Thread.pass until C.publish(channel, "hello") == 1 || !listener.alive?
  listener.join
  expect "message", found, [channel, "hello"]
end

step("pubsub") { heard(:subscribe, k("channel"), k("channel")) }
step("pattern") { heard(:psubscribe, k("pattern.*"), k("pattern.a")) }

step "blpop" do
  waiting = Thread.new { connect.blpop(k("queue"), timeout: 15) }
  50.times { C.ping }
  C.rpush(k("queue"), "job")
  expect "what woke it", waiting.value, [k("queue"), "job"]
  expect "a time-out", connect.blpop(k("queue"), timeout: 1), nil
end

step("resp3") { :none }
