//! Transactions that meet several shards, or shards that differ: reads over all, writes by permission, faults of one.
//!
//! Replies come in the order of the commands, as on a plain server; what cannot be carried out is refused with a hint
//! and changes nothing; what one shard refuses or loses makes EXEC one error that says what else may have been done.

use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

use crate::transaction_site::{Site, transaction};

#[test]
fn transaction_that_only_reads_may_ask_several_shards() {
    let (site, plain) = (Site::start(&[]), RealServer::start());
    let scripts: &[&[&str]] = &[
        &[
            "MSET <0>a 0 <1>a 1 <2>a 2",
            "MULTI",
            "GET <2>a",
            "GET <0>a",
            "GET <1>a",
            "GET <0>a",
            "EXEC",
        ],
        &[
            "MSET <0>a 0 <1>a 1",
            "MULTI",
            "MGET <1>a <0>a <2>a <1>a",
            "EXISTS <0>a <1>a <2>a <0>a",
            "TOUCH <1>a <0>a",
            "EXEC",
        ],
        &[
            "HSET <0>h f v",
            "MULTI",
            "HGETALL <0>h",
            "SMEMBERS <1>s",
            "PING",
            "ZSCORE <2>z m",
            "EXEC",
        ],
        &["SET <0>s x", "MULTI", "LRANGE <0>s 0 1", "GET <1>a", "EXEC", "PING"],
        &["SET <0>a 1", "MULTI", "GET <1>a", "EVAL_RO return(1) 1 <0>a", "EXEC"],
    ];
    scripts.iter().for_each(|script| site.same(&plain, script));
}

#[test]
fn transaction_that_writes_over_several_shards_is_refused_with_a_hint_and_changes_nothing() {
    let site = Site::start(&[]);
    let mut client = site.client(2);
    for lines in [
        &["SET <0>a 1", "GET <1>a"][..],
        &["GET <1>a", "SET <0>a 1"],
        &["DEL <0>a <1>a"],
        &["MSET <0>a 1 <1>a 1"],
        &["EVAL return(1) 1 <0>a", "GET <1>a"],
    ] {
        let refused = transaction(&site, &mut client, lines);
        assert!(refused.is_error("CROSSSHARD "), "{refused:?}");
        let text = refused.text();
        assert!(
            text.contains("hash tag") && text.contains("pipeline(transaction=False)"),
            "{text}"
        );
        assert_eq!(site.line(&mut client, "EXISTS <0>a <1>a"), Value::Integer(0));
    }
    assert_eq!(client.line("MULTI"), Value::ok());
    let refused = client.line("DBSIZE");
    assert!(refused.is_error("CROSSSHARD 'dbsize'"), "{refused:?}");
    assert!(client.line("EXEC").is_error("EXECABORT"));
}

#[test]
fn per_shard_transactions_write_over_several_shards() {
    let (site, plain) = (Site::start(&["transactions: per_shard"]), RealServer::start());
    let scripts: &[&[&str]] = &[
        &[
            "MULTI",
            "SET <0>a 1",
            "INCR <1>a",
            "PING",
            "INCR <0>a",
            "GET <1>a",
            "LPUSH <2>l x",
            "EXEC",
        ],
        &[
            "MULTI",
            "MSET <0>a 1 <1>a 2 <2>a 3",
            "MGET <2>a <1>a <0>a",
            "DEL <0>a <1>a <0>a",
            "EXISTS <2>a <0>a",
            "EXEC",
            "MGET <0>a <1>a <2>a",
        ],
        &["MULTI", "SET <0>s x", "INCR <0>s", "SET <1>s y", "EXEC", "MGET <0>s <1>s"],
        &[
            "MULTI",
            "SELECT 4",
            "MSET <0>a 4 <1>a 4",
            "SELECT 0",
            "MGET <0>a <1>a",
            "EXEC",
            "SELECT 4",
            "MGET <0>a <1>a",
        ],
        &["MULTI", "SET <0>a 1", "SET <1>a 1", "NOSUCH", "EXEC", "EXISTS <0>a <1>a"],
    ];
    scripts.iter().for_each(|script| site.same(&plain, script));
    // A watch stays on one shard.
    let mut client = site.client(2);
    assert_eq!(site.line(&mut client, "WATCH <0>a"), Value::ok());
    let refused = transaction(&site, &mut client, &["SET <0>a 1", "SET <1>a 1"]);
    assert!(refused.is_error("CROSSSHARD "), "{refused:?}");
}

#[test]
fn shard_that_cannot_take_its_part_makes_exec_one_error() {
    let mut site = Site::start(&["transactions: per_shard"]);
    let mut client = site.client(2);
    site.shards[1].kill();
    eventually_true("the gateway to see that the shard is gone", || {
        site.line(&mut client, "GET <1>a").text().contains("unreachable")
    });
    let refused = transaction(&site, &mut client, &["SET <0>a 1", "GET <1>a"]);
    assert!(
        refused.is_error("ERR shard 'shard-1'") && refused.text().contains("not sent"),
        "{refused:?}"
    );
    assert_eq!(site.line(&mut client, "GET <0>a"), Value::Null, "no part is sent");
    // A part that fails after another was carried out.
    site.shards[2].client().line("CONFIG SET maxmemory 1");
    let refused = transaction(&site, &mut client, &["SET <0>a 1", "SET <2>a 1"]);
    assert!(refused.is_error("EXECABORT"), "{refused:?}");
    assert!(refused.text().ends_with("; parts on other shards were applied"), "{refused:?}");
    let refused = transaction(&site, &mut client, &["GET <0>a", "SET <2>a 1"]);
    assert!(refused.is_error("EXECABORT"), "{refused:?}");
    // Nothing of the gateway's own is done either.
    transaction(&site, &mut client, &["CLIENT SETNAME bob", "SET <2>a 1"]);
    assert_eq!(client.line("CLIENT GETNAME"), Value::Null);
}

#[test]
fn command_that_the_shard_does_not_queue_is_its_execabort() {
    let site = Site::start(&[]);
    let mut client = site.client(2);
    let aborted = "EXECABORT Transaction discarded because of previous errors.";
    let lines = ["SET <0>a 1", "JSON.GET <0>a"];
    assert_eq!(transaction(&site, &mut client, &lines).text(), aborted);
    assert_eq!(transaction(&site, &mut client, &["PING", "JSON.GET <0>a"]).text(), aborted);
    let lines = ["GET <1>a", "JSON.GET <0>a"];
    assert_eq!(transaction(&site, &mut client, &lines).text(), aborted);
    // Later replies are in their place.
    assert_eq!(site.line(&mut client, "GET <0>a"), Value::Null);
    assert_eq!(site.line(&mut client, "WATCH <0>a"), Value::ok());
    assert_eq!(transaction(&site, &mut client, &lines[1..]).text(), aborted);
    assert_eq!(transaction(&site, &mut client, &["SET <0>a 2"]), Value::Array(vec![Value::ok()]));
}

/// A trap of the design: where a server refuses MULTI, what was queued would run one by one.
#[test]
fn multi_refused_by_an_acl_user_refuses_transactions_and_carries_nothing_out() {
    let site = Site::start(&[]);
    let mut other = site.client(2);
    assert_eq!(site.line(&mut other, "SET <1>a 1"), Value::ok());
    let forbidden = site.shards[0].client().line("ACL SETUSER default -multi");
    assert_eq!(forbidden, Value::ok());
    site.shards[0].client().line("CLIENT KILL TYPE normal");
    let mut client = site.client(2);
    eventually_true("the gateway to connect again", || {
        site.line(&mut client, "GET <0>b") == Value::Null
    });
    for lines in
        [&["SET <0>a 1", "SET <0>a 2"][..], &["PING", "SET <0>a 1"], &["GET <1>a", "GET <0>a"]]
    {
        let refused = transaction(&site, &mut client, lines);
        let text = refused.text();
        assert!(text.contains("'shard-0'") && text.contains("does not allow MULTI"), "{text}");
        assert_eq!(site.line(&mut client, "GET <0>a"), Value::Null);
    }
    assert_eq!(site.line(&mut client, "WATCH <0>a"), Value::ok());
    let refused = transaction(&site, &mut client, &["SET <0>a 1"]).text();
    assert!(refused.contains("does not allow MULTI"), "{refused}");
    // The others' transactions and the shard's plain commands go on.
    assert_eq!(transaction(&site, &mut other, &["GET <1>a"]), Value::Array(vec![Value::bulk("1")]));
    assert_eq!(site.line(&mut client, "SET <0>a 1"), Value::ok());
}
