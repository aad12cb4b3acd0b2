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
    ("client|caching", "An error: tracking is never on."),
    ("client|getredir", "Always -1: tracking is never on."),
    ("client|info", "What only a server has (file descriptor, buffers) is there as -1 or 0."),
    ("client|list", "Shows the asking client only."),
    ("client|no-evict", "Accepted: the gateway evicts no clients."),
    ("client|no-touch", "Accepted, without effect."),
    ("client|reply", "OFF and SKIP are errors."),
    ("client|tracking", "ON is an error: the gateway sends no invalidations."),
    ("client|trackinginfo", "Always off."),
    ("command", "Lists what the gateway carries out."),
    ("command|count", "Counts what the gateway carries out."),
    ("command|list", "Lists what the gateway carries out."),
    ("config|get", "The gateway's own values, of the settings that clients ask for at their start."),
    ("copy", "`DB` may name no database but 0."),
    ("eval", "Needs at least one key."),
    ("eval_ro", "Needs at least one key."),
    ("evalsha", "Needs at least one key."),
    ("evalsha_ro", "Needs at least one key."),
    ("fcall", "Needs at least one key."),
    ("fcall_ro", "Needs at least one key."),
    ("hello", "Names itself `redis`, version 7.2.4, standalone, without modules."),
    ("info", "The gateway's own numbers, not the shards'."),
    ("lolwut", "The version as text, without the picture."),
    ("module|list", "Always empty: it shows no shard's modules."),
    ("role", "A master without replicas at offset 0."),
    ("select", "One database: `SELECT 0`."),
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
