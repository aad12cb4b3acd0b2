//! redis-rs through the steps of the client matrix: its blocking connections, and its multiplexed one where it matters.
//!
//! usage: client-redis-rs PORT PREFIX. Says `step ok` or `step FAIL reason`, one line per step.
//! A program of its own like those of the other languages, so that a hang or a crash is one row of the matrix.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use redis::{Commands, Connection, RedisResult};
use steps::{MANY, Outcome, arguments, binary, expect, locked_version, step};

/// What every step has: where to connect, and a connection.
struct Steps {
    port: u16,
    prefix: String,
    connection: Connection,
}

impl Steps {
    fn k(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    fn many(&self) -> Vec<String> {
        (0..MANY).map(|i| self.k(&format!("many:{i}"))).collect()
    }

    fn connect(&mut self) -> Outcome {
        let c = &mut self.connection;
        expect("ping", redis::cmd("PING").query::<String>(c)?, "PONG")?;
        let named: () = redis::cmd("CLIENT").arg("SETNAME").arg("matrix").query(c)?;
        expect("setname", named, ())?;
        expect("getname", c.client_getname::<String>()?, "matrix")?;
        expect("id", c.client_id::<i64>()? > 0, true)?;
        multiplexed(self.port, &self.prefix)
    }

    fn string(&mut self) -> Outcome {
        let (s, none) = (self.k("s"), self.k("none"));
        let c = &mut self.connection;
        expect("set", c.set_ex::<_, _, String>(&s, "1", 100)?, "OK")?;
        expect("get", c.get::<_, String>(&s)?, "1")?;
        expect("get of nothing", c.get::<_, Option<String>>(none)?, None::<String>)?;
        expect("incr", c.incr::<_, _, i64>(&s, 41)?, 42)?;
        expect("ttl", c.ttl::<_, i64>(&s)? > 90, true)
    }

    fn hash(&mut self) -> Outcome {
        let h = self.k("h");
        let c = &mut self.connection;
        expect("hset", c.hset_multiple::<_, _, _, ()>(&h, &[("a", "1"), ("b", "two")])?, ())?;
        let wanted = HashMap::from([("a", "1"), ("b", "two")].map(|(f, v)| (f.into(), v.into())));
        expect("hgetall", c.hgetall::<_, HashMap<String, String>>(&h)?, wanted)
    }

    fn list(&mut self) -> Outcome {
        let l = self.k("l");
        let c = &mut self.connection;
        expect("rpush", c.rpush::<_, _, i64>(&l, &["a", "b", "c"])?, 3)?;
        expect("lrange", c.lrange::<_, Vec<String>>(&l, 0, 1)?, ["a", "b"])
    }

    fn set(&mut self) -> Outcome {
        let set = self.k("set");
        let c = &mut self.connection;
        expect("sadd", c.sadd::<_, _, i64>(&set, &["x", "y"])?, 2)?;
        let wanted = HashSet::from(["x", "y"].map(str::to_owned));
        expect("smembers", c.smembers::<_, HashSet<String>>(&set)?, wanted)
    }

    fn zset(&mut self) -> Outcome {
        let z = self.k("z");
        let c = &mut self.connection;
        let added = c.zadd_multiple::<_, _, _, i64>(&z, &[(1.0, "one"), (2.5, "two")])?;
        expect("zadd", added, 2)?;
        expect("zscore", c.zscore::<_, _, f64>(&z, "two")?, 2.5)?;
        let wanted = vec![("one".to_owned(), 1.0), ("two".to_owned(), 2.5)];
        expect("zrange", c.zrange_withscores::<_, Vec<(String, f64)>>(&z, 0, -1)?, wanted)
    }

    fn stream(&mut self) -> Outcome {
        let x = self.k("x");
        let c = &mut self.connection;
        expect("xadd", c.xadd::<_, _, _, _, String>(&x, "5-1", &[("f", "v")])?, "5-1")?;
        let found: redis::streams::StreamRangeReply = c.xrange_all(&x)?;
        let first = found.ids.first().ok_or("xrange: nothing")?;
        expect(
            "xrange",
            (first.id.as_str(), first.get::<String>("f").as_deref()),
            ("5-1", Some("v")),
        )
    }

    fn hyperloglog(&mut self) -> Outcome {
        let hll = self.k("hll");
        let c = &mut self.connection;
        expect("pfadd", c.pfadd::<_, _, bool>(&hll, &["a", "b", "c"])?, true)?;
        expect("pfcount", c.pfcount::<_, i64>(&hll)?, 3)
    }

    fn geo(&mut self) -> Outcome {
        let g = self.k("g");
        let c = &mut self.connection;
        let places = [(13.361389, 38.115556, "Palermo"), (15.087269, 37.502669, "Catania")];
        expect("geoadd", c.geo_add::<_, _, i64>(&g, &places)?, 2)?;
        let unit = redis::geo::Unit::Kilometers;
        let found: f64 = c.geo_dist(&g, "Palermo", "Catania", unit)?;
        expect("geodist", found.round(), 166.0)
    }

    fn bitmap(&mut self) -> Outcome {
        let b = self.k("b");
        let c = &mut self.connection;
        expect("setbit", c.setbit::<_, bool>(&b, 7, true)?, false)?;
        expect("bitcount", c.bitcount::<_, i64>(&b)?, 1)
    }

    fn binary(&mut self) -> Outcome {
        let (key, value) = (self.k("binary"), binary());
        let c = &mut self.connection;
        expect("set of 1 MiB", c.set::<_, _, String>(&key, &value)?, "OK")?;
        expect("get of 1 MiB", c.get::<_, Vec<u8>>(&key)? == value, true)
    }

    fn pipeline(&mut self) -> Outcome {
        let mut pipe = redis::pipe();
        let mut wanted = Vec::new();
        for i in 0..500 {
            let key = self.k(&format!("p:{i}"));
            pipe.set(&key, i).get(&key);
            wanted.extend(["OK".to_owned(), i.to_string()]);
        }
        expect("replies", pipe.query::<Vec<String>>(&mut self.connection)?, wanted)
    }

    fn mget(&mut self) -> Outcome {
        let mut keys = self.many();
        let pairs: Vec<(&str, &str)> = keys.iter().map(|k| (k.as_str(), k.as_str())).collect();
        let c = &mut self.connection;
        expect("mset", c.mset::<_, _, String>(&pairs)?, "OK")?;
        let mut wanted: Vec<Option<String>> = keys.iter().cloned().map(Some).collect();
        wanted.push(None);
        keys.push(self.k("none"));
        expect("mget", self.connection.mget::<_, Vec<Option<String>>>(&keys)?, wanted)
    }

    fn scan(&mut self) -> Outcome {
        let (keys, pattern) = (self.many(), self.k("many:*"));
        let pairs: Vec<(&str, &str)> = keys.iter().map(|k| (k.as_str(), "1")).collect();
        let c = &mut self.connection;
        c.mset::<_, _, String>(&pairs)?;
        let found: RedisResult<HashSet<String>> = c.scan_match(&pattern)?.collect();
        let found = found?;
        let missing: Vec<&String> = keys.iter().filter(|key| !found.contains(*key)).collect();
        expect("keys not seen", missing, Vec::<&String>::new())
    }

    fn multi(&mut self) -> Outcome {
        let (a, h) = (self.k("{tx}:a"), self.k("{tx}:h"));
        let mut pipe = redis::pipe();
        pipe.atomic().set(&a, 1).incr(&a, 1).hset(&h, "f", "v").get(&a);
        let found: (String, i64, i64, String) = pipe.query(&mut self.connection)?;
        expect("replies", found, ("OK".to_owned(), 2, 1, "2".to_owned()))
    }

    fn watch(&mut self) -> Outcome {
        let (key, mut other) = (self.k("{watched}"), connection(self.port, "")?);
        let c = &mut self.connection;
        c.set::<_, _, String>(&key, 1)?;
        redis::cmd("WATCH").arg(&key).query::<()>(c)?;
        other.set::<_, _, String>(&key, 10)?;
        let found: Option<(String,)> = redis::pipe().atomic().set(&key, 2).query(c)?;
        expect("conflict", found, None::<(String,)>)?;
        expect("the other's value", c.get::<_, i64>(&key)?, 10)?;
        // Its own loop: again until no conflict comes.
        let mut tries = 0;
        let found: (i64,) = redis::transaction(c, &[&key], |c, pipe| {
            tries += 1;
            if tries == 1 {
                other.set::<_, _, String>(&key, 20)?;
            }
            pipe.incr(&key, 1).query(c)
        })?;
        expect("the second try", (tries, found.0), (2, 21))
    }

    fn eval(&mut self) -> Outcome {
        let (e, prefix) = (self.k("e"), self.prefix.clone());
        let c = &mut self.connection;
        let text = "return redis.call('SET', KEYS[1], ARGV[1])";
        let set: String = redis::cmd("EVAL").arg(text).arg(1).arg(&e).arg("v").query(c)?;
        expect("eval", set, "OK")?;
        let text = format!("return {{redis.call('GET', KEYS[1]), ARGV[1]}} -- {prefix}");
        let script = redis::Script::new(&text);
        for argument in ["x", "y"] {
            let found: (String, String) = script.key(&e).arg(argument).invoke(c)?;
            expect("its script object", found, ("v".to_owned(), argument.to_owned()))?;
        }
        Ok(())
    }

    fn pubsub(&mut self) -> Outcome {
        let (channel, mut listener) = (self.k("channel"), connection(self.port, "")?);
        let mut listener = listener.as_pubsub();
        listener.set_read_timeout(Some(Duration::from_secs(10)))?;
        listener.subscribe(&channel)?;
        expect("receivers", self.connection.publish::<_, _, i64>(&channel, "hello")?, 1)?;
        let message = listener.get_message()?;
        let found = (message.get_channel_name().to_owned(), message.get_payload::<String>()?);
        expect("message", found, (channel, "hello".to_owned()))
    }

    fn pattern(&mut self) -> Outcome {
        let (pattern, channel) = (self.k("pattern.*"), self.k("pattern.a"));
        let mut listener = connection(self.port, "")?;
        let mut listener = listener.as_pubsub();
        listener.set_read_timeout(Some(Duration::from_secs(10)))?;
        listener.psubscribe(&pattern)?;
        expect("receivers", self.connection.publish::<_, _, i64>(&channel, "hi")?, 1)?;
        let message = listener.get_message()?;
        let found = (message.get_pattern::<String>()?, message.get_channel_name().to_owned());
        expect("message", found, (pattern, channel))
    }

    fn blpop(&mut self) -> Outcome {
        let (queue, port) = (self.k("queue"), self.port);
        let key = queue.clone();
        let waiting = std::thread::spawn(move || -> RedisResult<(String, String)> {
            connection(port, "")?.blpop(&key, 15.0)
        });
        let c = &mut self.connection;
        for _ in 0..50 {
            redis::cmd("PING").query::<String>(c)?;
        }
        c.rpush::<_, _, i64>(&queue, "job")?;
        let found = waiting.join().map_err(|_| "the waiting thread panicked")??;
        expect("what woke it", found, (queue.clone(), "job".to_owned()))?;
        expect("a time-out", c.blpop::<_, Option<(String, String)>>(&queue, 0.05)?.is_none(), true)
    }

    fn resp3(&mut self) -> Outcome {
        let (h, z) = (self.k("h"), self.k("z"));
        let mut three = connection(self.port, "?protocol=resp3")?;
        let map: redis::Value = three.hgetall(&h)?;
        expect("map", matches!(map, redis::Value::Map(_)), true)?;
        expect(
            "double",
            three.zscore::<_, _, redis::Value>(&z, "two")?,
            redis::Value::Double(2.5),
        )?;
        let two: redis::Value = self.connection.zscore(&z, "two")?;
        expect("RESP2 beside it", two, redis::Value::BulkString(b"2.5".to_vec()))?;
        pushed(self.port, &self.k("channel3"))
    }
}

fn connection(port: u16, options: &str) -> RedisResult<Connection> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/{options}"))?;
    let connection = client.get_connection_with_timeout(Duration::from_secs(20))?;
    connection.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(connection)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// One connection for many tasks.
fn multiplexed(port: u16, prefix: &str) -> Outcome {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    runtime()?.block_on(async {
        let shared = client.get_multiplexed_async_connection().await?;
        let tasks = (0..100).map(|i| {
            let (mut mine, key) = (shared.clone(), format!("{prefix}:task:{i}"));
            tokio::spawn(async move {
                redis::AsyncCommands::set::<_, _, String>(&mut mine, &key, i).await?;
                redis::AsyncCommands::get::<_, i32>(&mut mine, &key).await
            })
        });
        for (wanted, task) in (0..100).zip(tasks.collect::<Vec<_>>()) {
            expect("a task's value", task.await??, wanted)?;
        }
        Ok(())
    })
}

/// RESP3 lets a connection ask while it listens: messages come as pushes.
fn pushed(port: u16, channel: &str) -> Outcome {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/?protocol=resp3"))?;
    runtime()?.block_on(async {
        let (to, mut pushes) = tokio::sync::mpsc::unbounded_channel();
        let config = redis::AsyncConnectionConfig::new().set_push_sender(to);
        let mut c = client.get_multiplexed_async_connection_with_config(&config).await?;
        c.subscribe(channel).await?;
        expect(
            "a reply while it listens",
            redis::cmd("PING").query_async::<String>(&mut c).await?,
            "PONG",
        )?;
        let sent: i64 = redis::AsyncCommands::publish(&mut c, channel, "hello").await?;
        expect("receivers", sent, 1)?;
        loop {
            let push: redis::PushInfo = pushes.recv().await.ok_or("no push came")?;
            if push.kind == redis::PushKind::Message {
                let wanted = [channel, "hello"].map(|text| redis::Value::BulkString(text.into()));
                return expect("push", push.data, wanted.to_vec());
            }
        }
    })
}

fn main() -> Outcome {
    let (port, prefix) = arguments();
    println!("version {}", locked_version("redis"));
    let mut steps = Steps { port, prefix, connection: connection(port, "")? };
    step("connect", || steps.connect());
    step("string", || steps.string());
    step("hash", || steps.hash());
    step("list", || steps.list());
    step("set", || steps.set());
    step("zset", || steps.zset());
    step("stream", || steps.stream());
    step("hyperloglog", || steps.hyperloglog());
    step("geo", || steps.geo());
    step("bitmap", || steps.bitmap());
    step("binary", || steps.binary());
    step("pipeline", || steps.pipeline());
    step("mget", || steps.mget());
    step("scan", || steps.scan());
    step("multi", || steps.multi());
    step("watch", || steps.watch());
    step("eval", || steps.eval());
    step("pubsub", || steps.pubsub());
    step("pattern", || steps.pattern());
    step("blpop", || steps.blpop());
    step("resp3", || steps.resp3());
    Ok(())
}
