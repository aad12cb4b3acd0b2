//! Commands that no server has: the gateway's own.
//!
//! In the shape of the generated table, so that looking up, arity, COMMAND and HELP treat them like all others; their
//! texts are in the form of docs.txt. What is done with them stands in `overrides`, as for every row without a key.
//! Pure data, in the order of names.

use super::flags::{ADMIN, CATEGORY_ADMIN, CATEGORY_DANGEROUS, LOADING, NOSCRIPT, STALE};
use super::row::{ROW, Row};

const OWN: Row = Row { redis: false, valkey: false, ..ROW };

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "sluicegate", arity: -2, subcommands: &[
        Row { name: "help", arity: 2, flags: LOADING | STALE, ..OWN },
        Row { name: "plugin", arity: -3, flags: ADMIN | NOSCRIPT | LOADING | STALE, categories: CATEGORY_ADMIN | CATEGORY_DANGEROUS, ..OWN },
    ], ..OWN },
];

/// Entries as in docs.txt, in the order of names.
pub(super) const TEXT: &str = "
= sluicegate
%2
$summary
$A container for the gateway's own commands.
$group
$server
?PLUGIN LIST
?    Return one entry for each plugin of the configuration.
?PLUGIN INFO <name>
?    Return all that is known of a plugin, added up over the workers.
?PLUGIN RELOAD [<name>]
?    Read the file of a plugin, or of all, and run it from now on if it is right.
?HELP
?    Prints this help.
= sluicegate|help
%2
$summary
$Returns helpful text about the gateway's own commands.
$group
$server
= sluicegate|plugin
%2
$summary
$Shows the plugins of the gateway, or loads their files again.
$group
$server
";
