//! What the gateway answers itself, byte for byte.
//!
//! Replies marked as recorded are those of redis-server 7.0.15 (SETINFO and NO-TOUCH: of Valkey 9.1) to the same
//! request on a fresh connection; only the connection's number and the version differ. A script is a list of
//! requests and replies on one connection, so that state is seen through replies and not through fields. The facts
//! are those of a gateway with password `pw` where a test says so, else without.

use super::*;
use crate::command::resolve::resolve;
use crate::resp::sample::Request;

pub(super) fn check(password: Option<&[u8]>, script: &[(&str, &str)]) {
    let mut identity = Identity::new(
        8,
        "127.0.0.1:5".to_owned(),
        "127.0.0.1:6380".to_owned(),
        1_000,
        password.is_none(),
    );
    run(password, &mut identity, script);
}

pub(super) fn facts<'a>(password: Option<&'a [u8]>, names: &'a [String]) -> Facts<'a> {
    Facts {
        now_us: 61_000_007,
        version: "0.1.0",
        password,
        pool_name: "main",
        shard_names: names,
        ring_fingerprint: 255,
        workers: 2,
        process_id: 77,
        run_id: "cafe",
        listen_port: 6380,
        uptime_s: 90_000,
        config_file: "gateway.yaml",
        clients: 3,
        databases: 16,
        database: 0,
        clients_blocked: 0,
        clients_max: 10_000,
        idle_timeout_s: 0,
        stats: Stats::default(),
        plugins: "cache:generation=1\r\n",
        counters: &[("timeouts", 3)],
        own_commands: &[],
    }
}

fn run(password: Option<&[u8]>, identity: &mut Identity, script: &[(&str, &str)]) {
    let names = [String::from("a"), String::from("b")];
    let facts = facts(password, &names);
    for (words, expected) in script {
        let request = Request::words(words);
        let args = request.args();
        let mut out = Vec::new();
        match resolve(&args) {
            Err(error) => error.write(&args, &mut out),
            // `core` refuses these before they come here.
            Ok(spec) if !identity.authenticated && !spec.is_allowed_unauthenticated() => {
                out.extend_from_slice(NOAUTH.as_bytes());
            }
            Ok(spec) => match spec.rule {
                Rule::Local(command) => {
                    answer(command, &args, identity, &facts, &mut out);
                }
                rule => panic!("{words}: {rule:?} is not answered here"),
            },
        }
        assert_eq!(String::from_utf8_lossy(&out), *expected, "{words}");
    }
}

const GREETING_2: &str = "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:8\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
pub(super) const GREETING_3: &str = "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:8\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";
const NOAUTH_HELLO: &str = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n";
const BAD_NAME: &str =
    "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";

#[test]
fn connection_commands_are_answered_as_recorded() {
    check(
        None,
        &[
            ("ping", "+PONG\r\n"),
            ("ping a", "$1\r\na\r\n"),
            ("ping a b", "-ERR wrong number of arguments for 'ping' command\r\n"),
            ("echo x", "$1\r\nx\r\n"),
            ("select 0", "+OK\r\n"),
            ("select 15", "+OK\r\n"),
            ("select 16", "-ERR DB index is out of range\r\n"),
            ("select -1", "-ERR DB index is out of range\r\n"),
            ("select x", "-ERR value is not an integer or out of range\r\n"),
            ("select 9999999999", "-ERR value is not an integer or out of range\r\n"),
            ("role", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"),
            ("time", "*2\r\n$2\r\n61\r\n$1\r\n7\r\n"),
            ("acl whoami", "$7\r\ndefault\r\n"),
            ("cluster info", "-ERR This instance has cluster support disabled\r\n"),
            ("readonly", "-ERR This instance has cluster support disabled\r\n"),
            ("reset", "+RESET\r\n"),
            ("quit", "+OK\r\n"),
        ],
    );
}

#[test]
fn quit_closes_and_nothing_else_does() {
    for (words, after) in
        [("quit", After::Close), ("quit now", After::Close), ("ping", After::Keep)]
    {
        let request = Request::words(words);
        let spec = resolve(&request.args()).unwrap();
        let Rule::Local(command) = spec.rule else {
            panic!("{words} is not local");
        };
        let mut identity = Identity::new(1, String::new(), String::new(), 0, true);
        let facts = facts(None, &[]);
        let found = answer(command, &request.args(), &mut identity, &facts, &mut Vec::new());
        assert_eq!(found, after, "{words}");
    }
}

#[test]
fn hello_is_answered_as_recorded() {
    check(
        None,
        &[
            ("hello", GREETING_2),
            ("hello 2", GREETING_2),
            ("hello 1", "-NOPROTO unsupported protocol version\r\n"),
            ("hello x", "-ERR Protocol version is not an integer or out of range\r\n"),
            ("hello 2 auth default", "-ERR Syntax error in HELLO option 'auth'\r\n"),
            ("hello 2 foo", "-ERR Syntax error in HELLO option 'foo'\r\n"),
            ("hello 2 setname", "-ERR Syntax error in HELLO option 'setname'\r\n"),
            ("hello 2 auth nouser x", WRONG),
            ("hello 2 auth default x", GREETING_2),
            ("hello 2 setname n1 setname n2", GREETING_2),
            ("client getname", "$2\r\nn2\r\n"),
            ("hello 3 setname caf\u{e9}", BAD_NAME),
            ("client getname", "$2\r\nn2\r\n"),
            ("hello 3", GREETING_3),
            ("hello", GREETING_3),
            ("client setname ", "+OK\r\n"),
            ("client getname", "_\r\n"),
            ("reset", "+RESET\r\n"),
            ("hello", GREETING_2),
        ],
    );
}

#[test]
fn without_authentication_only_the_handshake_passes_as_recorded() {
    check(
        Some(b"pw"),
        &[
            ("foo", "-ERR unknown command 'foo', with args beginning with: \r\n"),
            ("get", "-ERR wrong number of arguments for 'get' command\r\n"),
            ("get a", NOAUTH),
            ("ping", NOAUTH),
            ("client id", NOAUTH),
            ("multi", NOAUTH),
            ("auth x", WRONG),
            ("auth p", WRONG),
            ("auth pwd", WRONG),
            ("auth ", WRONG),
            ("auth u pw", WRONG),
            ("auth a b c", SYNTAX),
            ("hello", NOAUTH_HELLO),
            ("hello 3", NOAUTH_HELLO),
            ("hello 4", "-NOPROTO unsupported protocol version\r\n"),
            ("hello 3 auth default x", WRONG),
            ("client id", NOAUTH),
            ("auth default pw", "+OK\r\n"),
            ("client id", ":8\r\n"),
            ("auth x", WRONG),
            ("client id", ":8\r\n"),
            ("reset", "+RESET\r\n"),
            ("client id", NOAUTH),
            ("hello 3 auth default pw", GREETING_3),
            ("client id", ":8\r\n"),
            ("quit", "+OK\r\n"),
        ],
    );
}

#[test]
fn auth_without_a_password_to_ask_for_is_answered_as_recorded() {
    check(
        None,
        &[
            (
                "auth x",
                "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
            ),
            ("auth default x", "+OK\r\n"),
            ("auth nouser x", WRONG),
        ],
    );
}

#[test]
fn client_is_answered_as_recorded() {
    check(
        None,
        &[
            ("client id", ":8\r\n"),
            ("client getname", "$-1\r\n"),
            ("client setname bob", "+OK\r\n"),
            ("client getname", "$3\r\nbob\r\n"),
            ("client setname b\u{7f}", BAD_NAME),
            ("client no-evict on", "+OK\r\n"),
            ("client no-evict x", SYNTAX),
            ("client no-touch off", "+OK\r\n"),
            ("client no-touch x", SYNTAX),
            (
                "client caching yes",
                "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled\r\n",
            ),
            ("client tracking off", "+OK\r\n"),
            ("client tracking x", SYNTAX),
            ("client tracking on x", SYNTAX),
            ("client tracking off redirect", SYNTAX),
            ("client tracking off prefix a bcast noloop", "+OK\r\n"),
            ("client getredir", ":-1\r\n"),
            (
                "client trackinginfo",
                "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n",
            ),
            ("client setinfo lib-name redis-py(x)", "+OK\r\n"),
            ("client setinfo LIB-VER 8.0", "+OK\r\n"),
            ("client setinfo x 8.0", "-ERR Unrecognized option 'x'\r\n"),
            (
                "client setinfo lib-name a\u{7f}",
                "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n",
            ),
        ],
    );
}

#[test]
fn what_is_not_kept_up_is_an_error_with_a_hint() {
    check(
        None,
        &[(
            "client tracking on",
            "-ERR CLIENT TRACKING is not supported by this gateway: it sends no invalidations; turn client-side caching off\r\n",
        )],
    );
}

#[test]
fn own_settings_are_found_by_name_and_by_pattern() {
    let names = [String::from("a")];
    let facts = facts(None, &names);
    for (words, expected, is_all) in [
        ("config get DATABASES databases", "DATABASES=16", true),
        ("config get timeout maxclients", "timeout=0 maxclients=10000", true),
        ("config get maxc* port", "maxclients=10000 port=6380", false),
        ("config get maxclients save", "maxclients=10000", false),
        ("config get requirepass", "", false),
    ] {
        let request = Request::words(words);
        let (found, all) = settings::find(&request.args(), &facts);
        let found = found.iter().map(|(name, value)| format!("{}={value}", name.escape_ascii()));
        assert_eq!(
            (found.collect::<Vec<_>>().join(" "), all),
            (expected.to_owned(), is_all),
            "{words}"
        );
    }
}

#[test]
fn info_holds_what_clients_wait_for() {
    let names = [String::from("a"), String::from("b")];
    let facts = facts(None, &names);
    for (title, line) in [
        ("Server", "redis_version:7.2.4"),
        ("Persistence", "loading:0"),
        ("Replication", "role:master"),
        ("Cluster", "cluster_enabled:0"),
        ("Gateway", "shard_names:a,b"),
        ("Gateway", "ring_fingerprint:00000000000000ff"),
        ("Plugins", "cache:generation=1"),
    ] {
        let lines = info::section(title, &facts);
        assert!(lines.contains(&format!("{line}\r\n")), "{title} lacks {line}");
    }
    assert_eq!(info::section("Keyspace", &facts), "");
}

/// Where all of a container is carried out, its HELP is redis-server 7.0.15's.
#[test]
fn help_tells_of_what_a_container_does_here() {
    check(
        None,
        &[
            (
                "object help",
                "*15\r\n+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n+ENCODING <key>\r\n+    Return the kind of internal representation used in order to store the value\r\n+    associated with a <key>.\r\n+FREQ <key>\r\n+    Return the access frequency index of the <key>. The returned integer is\r\n+    proportional to the logarithm of the recent access frequency of the key.\r\n+IDLETIME <key>\r\n+    Return the idle time of the <key>, that is the approximated number of\r\n+    seconds elapsed since the last access to the key.\r\n+REFCOUNT <key>\r\n+    Return the number of references of the value associated with the specified\r\n+    <key>.\r\n+HELP\r\n+    Prints this help.\r\n",
            ),
            (
                "acl help",
                "*5\r\n+ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n+WHOAMI\r\n+    Return the current connection username.\r\n+HELP\r\n+    Prints this help.\r\n",
            ),
        ],
    );
}
