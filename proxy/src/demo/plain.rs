//! The tour's chapters on plain Redis over three shards: placement, splitting, pipelines, transactions, greetings.
//!
//! In: a tour. Out: commands, replies and checks on its screen. What a shard holds is asked of the shard itself, past
//! the gateway, and compared with what the configuration says. Each chapter uses keys of its own.

use std::collections::BTreeSet;

use super::reply::Reply;
use super::tour::{Tour, TourError};
use crate::cli::explain;

/// Keys that lie on all three shards.
const USERS: [(&str, &str); 6] = [
    ("user:1", "Ada"),
    ("user:2", "Grace"),
    ("user:3", "Edsger"),
    ("user:4", "Barbara"),
    ("user:5", "Donald"),
    ("user:6", "Radia"),
];
/// Commands in the pipeline chapter: a SET and a GET for each key.
const PIPELINE_KEYS: usize = 250;

/// `explain`, and the same from the shards.
pub(super) fn where_a_key_lives(tour: &mut Tour<'_>) -> Result<(), TourError> {
    let key = "order:17";
    tour.screen.text("The gateway hashes the key; the shard is the next point on the ring.");
    tour.screen.command("", &["sluicegate", "explain", "-c", "gateway.yaml", "SET", key]);
    let words: [&[u8]; 2] = [b"SET", key.as_bytes()];
    let keys = [key.as_bytes()];
    let explained = explain::explain(&tour.stage.config, None, &words, &keys);
    for line in explained.text.lines().skip(1).filter(|line| !line.is_empty()) {
        tour.screen.row(line);
    }
    tour.ask(&["SET", key, "paid"])?;
    let holders = tour.holders(key)?;
    let owner = tour.owner(key);
    tour.check(&format!("asked directly, shard {owner} has {key}, and no other"), &owner, holders);
    Ok(())
}

/// SET and GET, and which shard has each key.
pub(super) fn three_shards(tour: &mut Tour<'_>) -> Result<(), TourError> {
    for (key, value) in USERS {
        tour.quiet(&["SET", key, value])?;
    }
    tour.screen.text(
        "After SET user:1 Ada, SET user:2 Grace ...: GET through the gateway, EXISTS on each shard",
    );
    let (mut right, mut placed) = (0, 0);
    let mut used = BTreeSet::new();
    for (key, value) in USERS {
        let reply = tour.quiet(&["GET", key])?;
        let holders = tour.holders(key)?;
        tour.screen.row(&format!("GET {key}   {:<12} on shard {holders}", reply.line()));
        right += usize::from(reply.text() == value);
        placed += usize::from(holders == tour.owner(key));
        used.insert(holders);
    }
    tour.check("every value is read back through the one address", USERS.len(), right);
    tour.check("every key is on the shard that owns it, and only there", USERS.len(), placed);
    let all: Vec<_> = tour.stage.shards.iter().map(|shard| shard.name.to_owned()).collect();
    let used: Vec<_> = used.into_iter().collect();
    tour.check("all three shards are in use", all.join(" "), used.join(" "));
    Ok(())
}

/// MSET, MGET, EXISTS and DEL.
pub(super) fn many_keys(tour: &mut Tour<'_>) -> Result<(), TourError> {
    let keys = ["city:1", "city:2", "city:3", "city:4"];
    let places: BTreeSet<_> = keys.iter().map(|key| tour.owner(key)).collect();
    let set = tour
        .ask(&["MSET", "city:1", "Oslo", "city:2", "Lima", "city:3", "Accra", "city:4", "Perth"])?;
    tour.check("MSET answers once", "OK", set.line());
    let got = tour.ask(&["MGET", "city:3", "city:1", "city:none", "city:4", "city:2"])?;
    let expected = "[\"Accra\", \"Oslo\", (nil), \"Perth\", \"Lima\"]";
    tour.check("MGET's values come in the order of its keys", expected, got.line());
    let count = tour.ask(&["DEL", "city:1", "city:2", "city:3", "city:4", "city:none"])?;
    tour.check("DEL counts over all shards", "(integer) 4", count.line());
    tour.check("these keys lay on more than one shard", true, places.len() > 1);
    Ok(())
}

/// Many commands in one write.
pub(super) fn pipeline(tour: &mut Tour<'_>) -> Result<(), TourError> {
    let keys: Vec<_> = (0..PIPELINE_KEYS).map(|number| format!("step:{number}")).collect();
    let values: Vec<_> = (0..PIPELINE_KEYS).map(|number| number.to_string()).collect();
    let sets = keys.iter().zip(&values).map(|(key, value)| ["SET", key.as_str(), value.as_str()]);
    let sets: Vec<_> = sets.collect();
    let gets: Vec<_> = keys.iter().map(|key| ["GET", key.as_str()]).collect();
    let both = sets.iter().zip(&gets).flat_map(|(set, get)| [set.as_slice(), get.as_slice()]);
    let commands: Vec<_> = both.collect();
    let client = tour.client()?;
    client.send(&commands)?;
    let mut right = 0;
    for value in &values {
        right += usize::from(client.receive()? == Reply::Simple("OK".to_owned()));
        right += usize::from(client.receive()?.text() == *value);
    }
    tour.screen.text(
        "SET step:0 0, GET step:0, SET step:1 1, GET step:1 ... in one write, over one connection",
    );
    tour.check(
        &format!("{} commands over three shards, every reply in its place", commands.len()),
        commands.len(),
        right,
    );
    Ok(())
}

/// MULTI on one shard, and over two.
pub(super) fn transaction(tour: &mut Tour<'_>) -> Result<(), TourError> {
    tour.screen
        .text("Keys with the same part in braces live together, so a transaction can use them.");
    tour.ask(&["MULTI"])?;
    tour.ask(&["SET", "{cart:7}:item", "lamp"])?;
    let queued = tour.ask(&["INCR", "{cart:7}:count"])?;
    tour.check("commands are queued until EXEC", "QUEUED", queued.line());
    let done = tour.ask(&["EXEC"])?;
    tour.check("EXEC answers both", "[OK, (integer) 1]", done.line());
    let other =
        USERS.iter().map(|(key, _)| *key).find(|key| tour.owner(key) != tour.owner("user:1"));
    let other = other.ok_or_else(|| TourError::Unmet("all users are on one shard".to_owned()))?;
    tour.screen.text(&format!("user:1 and {other} are on two shards: nothing is carried out, and the error says what to do."));
    tour.ask(&["MULTI"])?;
    tour.ask(&["SET", "user:1", "nobody"])?;
    tour.ask(&["SET", other, "nobody"])?;
    let refused = tour.ask(&["EXEC"])?;
    let code = refused.line().split(' ').take(2).collect::<Vec<_>>().join(" ");
    tour.check("EXEC over two shards is refused", "(error) CROSSSHARD", code);
    let hint = refused.line().contains("hash tag");
    tour.check("the error tells of hash tags", true, hint);
    let kept = tour.quiet(&["GET", "user:1"])?;
    tour.check("user:1 is as it was", false, kept.text() == "nobody");
    Ok(())
}

/// HELLO, PING and errors, over a connection of its own.
pub(super) fn greetings(tour: &mut Tour<'_>) -> Result<(), TourError> {
    let mut client = tour.connect()?;
    let hello = tour.ask_as("", &mut client, &["HELLO", "3"])?;
    let protocol = match &hello {
        Reply::Map(pairs) => pairs.iter().find(|(name, _)| name.text() == "proto"),
        Reply::Simple(_)
        | Reply::Error(_)
        | Reply::Integer(_)
        | Reply::Bulk(_)
        | Reply::Nil
        | Reply::Array(_) => None,
    };
    let protocol = protocol.map_or(String::new(), |(_, value)| value.line());
    tour.check(
        "the connection speaks RESP3: the reply is a map that says so",
        "(integer) 3",
        protocol,
    );
    let unknown = tour.ask_as("", &mut client, &["GETT", "user:1"])?;
    let expected = "(error) ERR unknown command 'GETT', with args beginning with: 'user:1' ";
    tour.check(
        "an unknown command is refused in Redis's own words",
        expected.trim(),
        unknown.line().trim(),
    );
    let few = tour.ask_as("", &mut client, &["GET"])?;
    let expected = "(error) ERR wrong number of arguments for 'get' command";
    tour.check("and so is one with too few arguments", expected, few.line());
    let pong = tour.ask_as("", &mut client, &["PING"])?;
    tour.check("the connection goes on", "PONG", pong.line());
    Ok(())
}

/// INFO plugins, and PASS.ECHO where that plugin is there.
pub(super) fn plugins(tour: &mut Tour<'_>) -> Result<(), TourError> {
    let info = tour.ask(&["INFO", "plugins"])?.text();
    for name in &tour.stage.plugins {
        let shown = info.contains(&format!("name={name},"));
        tour.check(&format!("`{name}` is bound to {name}:*"), true, shown);
    }
    if tour.stage.plugins.contains(&"pass") {
        tour.ask(&["SET", "pass:1", "through the plugin"])?;
        let echoed = tour.ask(&["PASS.ECHO", "pass:1"])?;
        tour.check(
            "a plugin's own command sends a GET itself",
            "\"through the plugin\"",
            echoed.line(),
        );
    }
    Ok(())
}
