//! Values that must reach a database, by `cache` with `dirty: true`: over two gateways and three shards, while gateways die.
//!
//! Clients write and delete, one worker brings what CACHE.DIRTY hands out into a database and acknowledges it. Once nothing is
//! dirty the database has each key's last acknowledged write, or one of unknown outcome behind it; what a leader has brought
//! from the database is not among it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sluicegate_tests::client::Client;
use sluicegate_tests::load::Load;
use sluicegate_tests::pattern_site::{PatternSite, Roaming};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

const CLIENTS: usize = 60;
const BINDING: &str =
    "{use: cache, keys: [\"doc:*\"], config: {dirty: true, backup: \"doc:backup\", wait: 0ms}}";

/// What a client has written last: known, and what may have come behind it. `None` is a deletion.
#[derive(Default)]
struct Last {
    known: Option<String>,
    in_doubt: Vec<Option<String>>,
}

type Database = BTreeMap<String, (i64, Option<String>)>;

fn round(client: &mut Roaming, user: usize, round: usize, last: &[Mutex<Last>]) {
    let (key, value) = (format!("doc:{user}"), round.to_string());
    let (line, written) = match round % 5 {
        0 => (format!("SET {key} {value}"), Some(value)),
        1 => (format!("SETEX {key} 600 {value}"), Some(value)),
        2 => (format!("DEL {key}"), None),
        3 => (format!("MSET {key} {value}"), Some(value)),
        _ => (format!("PSETEX {key} 600000 {value}"), Some(value)),
    };
    let words: Vec<&str> = line.split(' ').collect();
    let mut last = last[user].lock().expect("no thread has failed");
    match client.command(&words) {
        Some(Value::Error(text)) => panic!("{}", String::from_utf8_lossy(&text)),
        Some(_) => *last = Last { known: written, in_doubt: Vec::new() },
        None => last.in_doubt.push(written),
    }
}

/// Brings one round of values into the database; whether there was anything.
fn back_up(client: &mut Client, database: &mut Database) -> bool {
    let reply = client.line("CACHE.DIRTY 50");
    let Value::Array(triples) = &reply else { panic!("{reply:?}") };
    for triple in triples.chunks(3) {
        let (key, Value::Integer(version)) = (triple[0].text(), &triple[2]) else {
            panic!("{triple:?}")
        };
        let row = database.entry(key.clone()).or_default();
        if row.0 < *version {
            *row = (*version, (triple[1] != Value::Null).then(|| triple[1].text()));
        }
        client.command(&["CACHE.ACK", &key, &version.to_string()]);
    }
    !triples.is_empty()
}

#[test]
fn database_has_every_last_write_while_gateways_die_and_the_plugin_is_swapped() {
    let mut site = PatternSite::start("cache", &[BINDING]);
    let last: Arc<Vec<Mutex<Last>>> = Arc::new((0..CLIENTS).map(|_| Mutex::default()).collect());
    let work = Arc::clone(&last);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, number| {
        round(client, user, number, &work);
    });
    let mut database = Database::new();
    for number in 0..4 {
        load.await_round();
        back_up(&mut site.client(1 - number / 2), &mut database);
        if number % 2 == 0 {
            site.kill_gateway(number / 2);
            load.await_round();
            site.replace_gateway(number / 2);
        } else {
            site.swap(&format!("dirty {number}"));
        }
    }
    load.await_round();
    load.finish();
    // Fills: whoever is told to compute stores what the database has.
    let mut client = site.client(0);
    assert_eq!(client.line("GET doc:none"), Value::Null);
    assert_eq!(client.line("SETEX doc:none 600 loaded"), Value::ok());
    while back_up(&mut client, &mut database) {}
    assert!(!database.contains_key("doc:none"), "a fill is not dirty");
    for (user, last) in last.iter().enumerate() {
        let last = last.lock().expect("no thread has failed");
        let found = database.get(&format!("doc:{user}")).map(|(_, value)| value.clone());
        let found = found.unwrap_or_default();
        assert!(found == last.known || last.in_doubt.contains(&found), "{user}: {found:?}");
    }
}

#[test]
fn notes_outlive_ends_and_are_refused_where_they_are_not_wanted() {
    let mut kinds = vec![RealServer::start_many(3)];
    kinds.extend((0..3).map(|_| RealServer::start_valkey()).collect::<Option<Vec<_>>>());
    for shards in kinds {
        let site = PatternSite::over(shards, "cache", &[BINDING]);
        let mut client = site.client(0);
        client.line("SET doc:1 a");
        client.line("PSETEX doc:2 60000 b");
        client.line("DEL doc:2 doc:3");
        client.also("MULTI").also("SET doc:4 d").also("EXEC");
        let replies = [client.reply(), client.reply(), client.reply()];
        assert_eq!(replies[2], Value::Array(vec![Value::ok()]));
        let mut database = Database::new();
        while back_up(&mut client, &mut database) {}
        let values: Vec<_> =
            database.iter().map(|(key, row)| (key.as_str(), row.1.as_deref())).collect();
        let wanted = [("doc:1", Some("a")), ("doc:2", None), ("doc:3", None), ("doc:4", Some("d"))];
        assert_eq!(values, wanted);
        assert!(client.line("APPEND doc:1 x").is_error("ERR cache: 'append' would not reach"));
    }
}
