//! fred through the steps of the client matrix.
//!
//! usage: client-fred PORT PREFIX. Says `step ok` or `step FAIL reason`, one line per step.
//! A program of its own like those of the other languages, so that a hang or a crash is one row of the matrix.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fred::cmd;
use fred::prelude::*;
use fred::types::geo::{GeoUnit, GeoValue};
use fred::types::scripts::Script;
use fred::types::{Message, MessageKind, RespVersion};
use steps::{MANY, Outcome, arguments, binary, expect, locked_version, step};

/// What every step has: where to connect, and a client.
struct Steps {
    port: u16,
    prefix: String,
    c: Client,
}

async fn connection(port: u16, version: Option<RespVersion>) -> Result<Client, Error> {
    let mut config =
        Config { server: ServerConfig::new_centralized("127.0.0.1", port), ..Config::default() };
    if let Some(version) = version {
        config.version = version;
    }
    let client = Builder::from_config(config).build()?;
    client.init().await?;
    Ok(client)
}

/// A wait with an end.
async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(Duration::from_secs(15), wait)
        .await
        .map_err(|_| format!("{what}: nothing came"))
}

impl Steps {
    fn k(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    fn many(&self) -> Vec<String> {
        (0..MANY).map(|i| self.k(&format!("many:{i}"))).collect()
    }

    async fn connect(&self) -> Outcome {
        expect("ping", self.c.ping::<String>(None).await?, "PONG".to_owned())?;
        let set: String = self.c.custom(cmd!("CLIENT"), vec!["SETNAME", "matrix"]).await?;
        expect("setname", set, "OK")?;
        let name: String = self.c.custom(cmd!("CLIENT"), vec!["GETNAME"]).await?;
        expect("getname", name, "matrix")?;
        let info: String = self.c.info(None).await?;
        expect("info", info.contains("redis_version"), true)
    }

    async fn string(&self) -> Outcome {
        let s = self.k("s");
        let set: String = self.c.set(&s, "1", Some(Expiration::EX(100)), None, false).await?;
        expect("set", set, "OK")?;
        expect("get", self.c.get::<String, _>(&s).await?, "1")?;
        expect(
            "get of nothing",
            self.c.get::<Option<String>, _>(self.k("none")).await?,
            None::<String>,
        )?;
        expect("incr", self.c.incr_by::<i64, _>(&s, 41).await?, 42)?;
        expect("ttl", self.c.ttl::<i64, _>(&s).await? > 90, true)
    }

    async fn hash(&self) -> Outcome {
        let wanted =
            HashMap::from([("a", "1"), ("b", "two")].map(|(f, v)| (f.to_owned(), v.to_owned())));
        expect("hset", self.c.hset::<i64, _, _>(self.k("h"), wanted.clone()).await?, 2)?;
        expect("hgetall", self.c.hgetall::<HashMap<String, String>, _>(self.k("h")).await?, wanted)
    }

    async fn list(&self) -> Outcome {
        expect("rpush", self.c.rpush::<i64, _, _>(self.k("l"), vec!["a", "b", "c"]).await?, 3)?;
        expect("lrange", self.c.lrange::<Vec<String>, _>(self.k("l"), 0, 1).await?, ["a", "b"])
    }

    async fn set(&self) -> Outcome {
        expect("sadd", self.c.sadd::<i64, _, _>(self.k("set"), vec!["x", "y"]).await?, 2)?;
        let wanted = HashSet::from(["x", "y"].map(str::to_owned));
        expect("smembers", self.c.smembers::<HashSet<String>, _>(self.k("set")).await?, wanted)
    }

    async fn zset(&self) -> Outcome {
        let scores = vec![(1.0, "one"), (2.5, "two")];
        expect(
            "zadd",
            self.c.zadd::<i64, _, _>(self.k("z"), None, None, false, false, scores).await?,
            2,
        )?;
        expect("zscore", self.c.zscore::<f64, _, _>(self.k("z"), "two").await?, 2.5)?;
        let found: Vec<(String, f64)> =
            self.c.zrange(self.k("z"), 0, -1, None, false, None, true).await?;
        expect("zrange", found, vec![("one".to_owned(), 1.0), ("two".to_owned(), 2.5)])
    }

    async fn stream(&self) -> Outcome {
        let id: String = self.c.xadd(self.k("x"), false, None, "5-1", ("f", "v")).await?;
        expect("xadd", id, "5-1")?;
        let found =
            self.c.xrange_values::<String, String, String, _, _, _>(self.k("x"), "-", "+", None);
        let wanted = HashMap::from([("f".to_owned(), "v".to_owned())]);
        expect("xrange", found.await?, vec![("5-1".to_owned(), wanted)])
    }

    async fn hyperloglog(&self) -> Outcome {
        expect("pfadd", self.c.pfadd::<i64, _, _>(self.k("hll"), vec!["a", "b", "c"]).await?, 1)?;
        expect("pfcount", self.c.pfcount::<i64, _>(self.k("hll")).await?, 3)
    }

    async fn geo(&self) -> Outcome {
        let places = vec![
            GeoValue::try_from((13.361389, 38.115556, "Palermo"))?,
            GeoValue::try_from((15.087269, 37.502669, "Catania"))?,
        ];
        expect("geoadd", self.c.geoadd::<i64, _, _>(self.k("g"), None, false, places).await?, 2)?;
        let unit = Some(GeoUnit::Kilometers);
        let found: f64 = self.c.geodist(self.k("g"), "Palermo", "Catania", unit).await?;
        expect("geodist", found.round(), 166.0)
    }

    async fn bitmap(&self) -> Outcome {
        let b = self.k("b");
        let set: i64 = self.c.custom(cmd!("SETBIT"), vec![b.as_str(), "7", "1"]).await?;
        expect("setbit", set, 0)?;
        expect("bitcount", self.c.custom::<i64, _>(cmd!("BITCOUNT"), vec![b]).await?, 1)
    }

    async fn binary(&self) -> Outcome {
        let (key, value) = (self.k("binary"), binary());
        let set: String = self.c.set(&key, value.as_slice(), None, None, false).await?;
        expect("set of 1 MiB", set, "OK")?;
        expect("get of 1 MiB", self.c.get::<Vec<u8>, _>(&key).await? == value, true)
    }

    async fn pipeline(&self) -> Outcome {
        let pipe = self.c.pipeline();
        let mut wanted = Vec::new();
        for i in 0..500 {
            let key = self.k(&format!("p:{i}"));
            pipe.set::<(), _, _>(&key, i, None, None, false).await?;
            pipe.get::<(), _>(&key).await?;
            wanted.extend(["OK".to_owned(), i.to_string()]);
        }
        expect("replies", pipe.all::<Vec<String>>().await?, wanted)
    }

    async fn mget(&self) -> Outcome {
        let mut keys = self.many();
        let pairs: Vec<(String, String)> =
            keys.iter().map(|key| (key.clone(), key.clone())).collect();
        expect("mset", self.c.mset::<_>(pairs).await?, ())?;
        let mut wanted: Vec<Option<String>> = keys.iter().cloned().map(Some).collect();
        wanted.push(None);
        keys.push(self.k("none"));
        expect("mget", self.c.mget::<Vec<Option<String>>, _>(keys).await?, wanted)
    }

    async fn scan(&self) -> Outcome {
        let keys = self.many();
        let pairs: HashMap<String, i64> = keys.iter().map(|key| (key.clone(), 1)).collect();
        self.c.mset::<_>(pairs).await?;
        let (mut cursor, mut found) = ("0".to_owned(), HashSet::new());
        loop {
            let page = self.c.scan_page(cursor, self.k("many:*"), Some(20), None);
            let (next, some): (String, Vec<String>) = page.await?;
            found.extend(some);
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        let missing: Vec<&String> = keys.iter().filter(|key| !found.contains(*key)).collect();
        expect("keys not seen", missing, Vec::<&String>::new())
    }

    async fn multi(&self) -> Outcome {
        let (a, h) = (self.k("{tx}:a"), self.k("{tx}:h"));
        let transaction = self.c.multi();
        transaction.set::<(), _, _>(&a, 1, None, None, false).await?;
        transaction.incr::<(), _>(&a).await?;
        transaction.hset::<(), _, _>(&h, ("f", "v")).await?;
        transaction.get::<(), _>(&a).await?;
        let found: (String, i64, i64, String) = transaction.exec(true).await?;
        expect("replies", found, ("OK".to_owned(), 2, 1, "2".to_owned()))
    }

    async fn watch(&self) -> Outcome {
        let (key, other) = (self.k("{watched}"), connection(self.port, None).await?);
        self.c.set::<(), _, _>(&key, 1, None, None, false).await?;
        self.c.watch(&key).await?;
        other.set::<(), _, _>(&key, 10, None, None, false).await?;
        let transaction = self.c.multi();
        transaction.set::<(), _, _>(&key, 2, None, None, false).await?;
        // Version 10 has two ways to say that EXEC was answered with nothing.
        match transaction.exec::<Value>(true).await {
            Ok(found) => expect("conflict", found.is_null(), true)?,
            Err(error) => expect("conflict", error.kind(), &ErrorKind::Canceled)?,
        }
        expect("the other's value", self.c.get::<i64, _>(&key).await?, 10)?;
        other.quit().await?;
        Ok(())
    }

    async fn eval(&self) -> Outcome {
        let e = self.k("e");
        let text = "return redis.call('SET', KEYS[1], ARGV[1])";
        expect("eval", self.c.eval::<String, _, _, _>(text, e.as_str(), "v").await?, "OK")?;
        let text = format!("return {{redis.call('GET', KEYS[1]), ARGV[1]}} -- {}", self.prefix);
        let script = Script::from_lua(text);
        for argument in ["x", "y"] {
            let found: (String, String) =
                script.evalsha_with_reload(&self.c, e.as_str(), argument).await?;
            expect("its script object", found, ("v".to_owned(), argument.to_owned()))?;
        }
        Ok(())
    }

    /// Publishes until it is heard: fred's `subscribe` ends before the server has confirmed.
    async fn published(
        &self,
        channel: &str,
        messages: &mut tokio::sync::broadcast::Receiver<Message>,
    ) -> Result<Message, Box<dyn std::error::Error>> {
        let heard = async {
            loop {
                self.c.publish::<i64, _, _>(channel, "hello").await?;
                let pause = Duration::from_millis(50);
                if let Ok(message) = tokio::time::timeout(pause, messages.recv()).await {
                    return Ok(message?);
                }
            }
        };
        soon("message", heard).await?
    }

    async fn heard(&self, name: &str, kind: MessageKind, channel: &str) -> Outcome {
        let listener = connection(self.port, None).await?;
        let mut messages = listener.message_rx();
        match kind {
            MessageKind::PMessage => listener.psubscribe(name).await?,
            MessageKind::Message | MessageKind::SMessage => listener.subscribe(name).await?,
        }
        let message = self.published(channel, &mut messages).await?;
        expect("kind", message.kind, kind)?;
        let found = (message.channel.to_string(), message.value.convert::<String>()?);
        expect("message", found, (channel.to_owned(), "hello".to_owned()))?;
        listener.quit().await?;
        Ok(())
    }

    async fn blpop(&self) -> Outcome {
        let (queue, other) = (self.k("queue"), connection(self.port, None).await?);
        let (key, waiter) = (queue.clone(), other.clone());
        let waiting =
            tokio::spawn(async move { waiter.blpop::<(String, String), _>(key, 15.0).await });
        for _ in 0..50 {
            self.c.ping::<()>(None).await?;
        }
        self.c.rpush::<(), _, _>(&queue, "job").await?;
        let found = soon("BLPOP", waiting).await???;
        expect("what woke it", found, (queue.clone(), "job".to_owned()))?;
        // Where nothing comes, fred says that the request timed out.
        let late = other.blpop::<(String, String), _>(&queue, 0.05).await;
        let late = late.map_err(|error| error.kind().clone());
        expect("a time-out", late, Err::<(String, String), _>(ErrorKind::Timeout))?;
        other.quit().await?;
        Ok(())
    }

    async fn resp3(&self) -> Outcome {
        let three = connection(self.port, Some(RespVersion::RESP3)).await?;
        let map: Value = three.hgetall(self.k("h")).await?;
        expect("map", map.is_map(), true)?;
        expect(
            "double",
            three.zscore::<Value, _, _>(self.k("z"), "two").await?,
            Value::Double(2.5),
        )?;
        let mut messages = three.message_rx();
        three.subscribe(self.k("channel3")).await?;
        expect("a reply while it listens", three.get::<String, _>(self.k("s")).await?, "42")?;
        let message = self.published(&self.k("channel3"), &mut messages).await?;
        expect("push", message.value.convert::<String>()?, "hello")?;
        three.quit().await?;
        Ok(())
    }
}

fn main() -> Outcome {
    let (port, prefix) = arguments();
    println!("version {}", locked_version("fred"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let steps = Steps { port, prefix, c: runtime.block_on(connection(port, None))? };
    step("connect", || runtime.block_on(steps.connect()));
    step("string", || runtime.block_on(steps.string()));
    step("hash", || runtime.block_on(steps.hash()));
    step("list", || runtime.block_on(steps.list()));
    step("set", || runtime.block_on(steps.set()));
    step("zset", || runtime.block_on(steps.zset()));
    step("stream", || runtime.block_on(steps.stream()));
    step("hyperloglog", || runtime.block_on(steps.hyperloglog()));
    step("geo", || runtime.block_on(steps.geo()));
    step("bitmap", || runtime.block_on(steps.bitmap()));
    step("binary", || runtime.block_on(steps.binary()));
    step("pipeline", || runtime.block_on(steps.pipeline()));
    step("mget", || runtime.block_on(steps.mget()));
    step("scan", || runtime.block_on(steps.scan()));
    step("multi", || runtime.block_on(steps.multi()));
    step("watch", || runtime.block_on(steps.watch()));
    step("eval", || runtime.block_on(steps.eval()));
    step("pubsub", || {
        let channel = steps.k("channel");
        runtime.block_on(steps.heard(&channel, MessageKind::Message, &channel))
    });
    step("pattern", || {
        let (pattern, channel) = (steps.k("pattern.*"), steps.k("pattern.a"));
        runtime.block_on(steps.heard(&pattern, MessageKind::PMessage, &channel))
    });
    step("blpop", || runtime.block_on(steps.blpop()));
    step("resp3", || runtime.block_on(steps.resp3()));
    Ok(())
}
