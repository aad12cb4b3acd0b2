//! What differs from one Redis, command by command, in the words of docs/commands.md.
//!
//! Names are full ("client|id"), in order. What holds for a whole way of being carried out (no snapshot, CROSSSHARD)
//! stands in the template page.md, and the words of a refusal in `overrides.rs`: neither is repeated here.
//! Pure data: `page` writes it into the table, and a test finds each name in the registry.

/// Full name, and what differs: whole sentences, in Markdown without line ends.
#[rustfmt::skip]
pub const DIFFERS: &[(&str, &str)] = &[
    ("acl|whoami", "Always `default`: there is one user."),
    ("auth", "One user, `default`, with the password of the configuration."),
    ("bgrewriteaof", "Every shard rewrites its file; the reply is one shard's."),
    ("bgsave", "Every shard saves; the reply is one shard's."),
    ("client|caching", "An error: tracking is never on."),
    ("client|getredir", "Always -1: tracking is never on."),
    ("client|info", "What only a server has (file descriptor, buffers) is there as -1 or 0."),
    ("client|kill", "Also takes `MAXAGE seconds`, with Valkey's words."),
    ("client|list", "Shows the clients of the pool. `fd` is -1, and what only a server has is 0."),
    ("client|no-evict", "Accepted: the gateway evicts no clients."),
    ("client|no-touch", "Accepted, without effect."),
    ("client|pause", "CLIENT PAUSE and UNPAUSE pass in a pause too. What a plugin does by itself is not held up."),
    ("client|reply", "An error inside MULTI, as in Valkey 9."),
    ("client|tracking", "ON is an error: the gateway sends no invalidations."),
    ("client|trackinginfo", "Always off."),
    ("command", "Lists what the gateway carries out."),
    ("commandlog|len", "The sum over the shards, all of which must be Valkey 8.1 or newer."),
    ("commandlog|reset", "Resets every shard's; all must be Valkey 8.1 or newer."),
    ("command|count", "Counts what the gateway carries out."),
    ("command|list", "Lists what the gateway carries out."),
    ("config|get", "The gateway's own values, of the settings that clients ask for at their start."),
    ("config|resetstat", "Resets every shard's numbers; the gateway's own stay."),
    ("config|rewrite", "Every shard rewrites its own file; the gateway's stays."),
    ("copy", "`DB` may name no database but 0."),
    ("dbsize", "The sum over the shards. Keys that plugins keep beside others, and keys on a shard that does not own them, are counted too."),
    ("eval", "Without keys it goes where `keyless_scripts` says."),
    ("eval_ro", "Without keys it goes where `keyless_scripts` says."),
    ("evalsha", "Without keys it goes where `keyless_scripts` says."),
    ("evalsha_ro", "Without keys it goes where `keyless_scripts` says."),
    ("fcall", "Without keys it goes where `keyless_scripts` says."),
    ("fcall_ro", "Without keys it goes where `keyless_scripts` says."),
    ("flushall", "Every shard is emptied, not at one moment."),
    ("flushdb", "Every shard is emptied, not at one moment."),
    ("function|delete", "Deletes on every shard."),
    ("function|dump", "Of the first shard: all have the same functions."),
    ("function|flush", "Flushes every shard."),
    ("function|kill", "Stops what runs on any shard."),
    ("function|list", "Of the first shard: all have the same functions."),
    ("function|load", "Loads on every shard."),
    ("function|restore", "Restores on every shard."),
    ("function|stats", "Of a shard that runs a function, or of the first one."),
    ("hello", "Names itself `redis`, version 7.2.4, standalone, without modules."),
    ("info", "The gateway's own numbers, not the shards'."),
    ("keys", "Keys that plugins keep beside others, and keys on a shard that does not own them, are left out."),
    ("lastsave", "The oldest of the shards' times."),
    ("latency|reset", "The sum over the shards."),
    ("lolwut", "The version as text, without the picture."),
    ("memory|purge", "Every shard purges."),
    ("module|list", "Always empty: it shows no shard's modules."),
    ("monitor", "Shows what clients send to the gateway, nothing of scripts or plugins. Lines of several workers may be out of order by some milliseconds. Lines are cut at 16 KiB. A slow reader loses lines, and a line `[0 gateway:0] \"lost\" \"17\"` tells how many."),
    ("randomkey", "The same keys are left out as by SCAN. Nil also when hundreds of draws in a row met only such keys."),
    ("role", "A master without replicas at offset 0."),
    ("save", "Every shard saves. It may take longer than the pool's `timeout`: then the outcome is unknown."),
    ("scan", "The cursor carries the shard: it is larger than a server's, and a page never spans two shards. Keys that plugins keep beside others, and keys on a shard that does not own them, are left out."),
    ("script|exists", "1 where every shard has the script."),
    ("script|flush", "Flushes every shard."),
    ("script|kill", "Stops what runs on any shard."),
    ("script|load", "Loads on every shard."),
    ("script|show", "Of a shard that has it."),
    ("select", "One database: `SELECT 0`."),
    ("slowlog|len", "The sum over the shards."),
    ("slowlog|reset", "Resets every shard's."),
    ("sort", "`BY` and `GET` patterns need the key's hash tag in front of their `*`, unless the pool has one shard."),
    ("sort_ro", "`BY` and `GET` patterns need the key's hash tag in front of their `*`, unless the pool has one shard."),
    ("time", "The gateway's clock."),
    ("xread", "`BLOCK` is not carried out yet."),
    ("xreadgroup", "`BLOCK` is not carried out yet."),
];

/// What differs for the command with this full name.
pub fn of(name: &str) -> Option<&'static str> {
    let position = DIFFERS.binary_search_by_key(&name, |(known, _)| known).ok()?;
    DIFFERS.get(position).map(|(_, text)| *text)
}
