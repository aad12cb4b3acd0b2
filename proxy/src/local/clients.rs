//! What a client may ask about other clients, and how one client is shown: CLIENT LIST, KILL, PAUSE, UNBLOCK, REPLY.
//!
//! In: the arguments of such a command, and a `View` of a session. Out: what is asked for as a value (`Filter`,
//! `Pause` ...), or the error in Redis 7.0's own words; and the line of CLIENT LIST. Sessions live in `core`, here and on
//! other workers: it asks there and makes the reply. Each field that clients read as a number is there; what only a
//! server has (its file descriptor, the sizes of its buffers) is -1 or 0.

use crate::resp::args::Args;
use crate::resp::request::parse_number;
use crate::session::identity::Identity;

const SYNTAX: &str = "ERR syntax error";
const USER: &[u8] = b"default";

/// What kind of client is meant by TYPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Normal,
    Pubsub,
    /// Links between servers: the gateway has none.
    Link,
}

/// Which clients of a pool are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub ids: Option<Vec<u64>>,
    pub address: Option<Vec<u8>>,
    pub local_address: Option<Vec<u8>>,
    pub kind: Option<Kind>,
    /// The client with this id is not meant.
    pub not: Option<u64>,
    /// Connected for at least so many seconds.
    pub age_s: Option<u64>,
}

/// CLIENT KILL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    pub filter: Filter,
    /// The form `CLIENT KILL address:port`, which answers OK or an error.
    pub old_form: bool,
}

/// CLIENT PAUSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    pub for_ms: u64,
    /// Only commands that may write wait.
    pub writes_only: bool,
}

/// CLIENT UNBLOCK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unblock {
    /// No client has a number below 0.
    pub client: Option<u64>,
    /// The blocked command answers an error, not as if its time were over.
    pub error: bool,
}

/// The words of CLIENT REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyWord {
    On,
    Off,
    Skip,
}

/// What CLIENT LIST shows of a session beside its identity.
#[derive(Debug)]
pub struct View<'a> {
    pub identity: &'a Identity,
    pub kind: Kind,
    /// One letter for each special state; empty: `N` is shown.
    pub flags: String,
    pub age_s: u64,
    pub idle_s: u64,
    pub database: u16,
    /// Channels, patterns and shard channels that it is subscribed to.
    pub subscriptions: [usize; 3],
    /// Commands queued in its MULTI, and their bytes.
    pub queued: Option<(usize, usize)>,
    /// Input that is no whole request yet.
    pub input_bytes: usize,
    /// Replies that it has not taken.
    pub output_bytes: usize,
    pub total_bytes: usize,
    /// Full name of its last command; empty if there was none.
    pub command: &'a str,
}

impl Filter {
    /// Whether the client of `view` is meant.
    pub fn takes(&self, view: &View<'_>) -> bool {
        let identity = view.identity;
        self.ids.as_ref().is_none_or(|ids| ids.contains(&identity.id))
            && self.address.as_ref().is_none_or(|wanted| wanted == identity.address.as_bytes())
            && self.local_address.as_ref().is_none_or(|it| it == identity.local_address.as_bytes())
            && self.kind.is_none_or(|wanted| wanted == view.kind)
            && self.not != Some(identity.id)
            && self.age_s.is_none_or(|wanted| view.age_s >= wanted)
    }
}

/// CLIENT LIST [TYPE type | ID id ...].
pub fn list(args: &Args<'_>) -> Result<Filter, Vec<u8>> {
    let mut filter = Filter::default();
    let option = args.get(2).unwrap_or_default();
    if option.eq_ignore_ascii_case(b"type") && args.len() == 4 {
        filter.kind = Some(kind(args.get(3).unwrap_or_default())?);
    } else if option.eq_ignore_ascii_case(b"id") && args.len() > 3 {
        let ids: Option<Vec<i64>> = args.from(3).map(parse_number).collect();
        let ids = ids.ok_or_else(|| b"ERR Invalid client ID".to_vec())?;
        filter.ids = Some(ids.into_iter().filter_map(|id| u64::try_from(id).ok()).collect());
    } else if args.len() != 2 {
        return Err(SYNTAX.into());
    }
    Ok(filter)
}

/// CLIENT KILL address | CLIENT KILL filter value ..., asked by the client `own`.
pub fn kill(args: &Args<'_>, own: u64) -> Result<Kill, Vec<u8>> {
    let mut filter = Filter::default();
    if args.len() == 3 {
        filter.address = args.get(2).map(<[u8]>::to_vec);
        return Ok(Kill { filter, old_form: true });
    }
    filter.not = Some(own);
    let mut at = 2;
    while let Some(option) = args.get(at) {
        let value = args.get(at + 1).ok_or(SYNTAX)?;
        let is = |word: &[u8]| option.eq_ignore_ascii_case(word);
        if is(b"id") {
            let id = parse_number(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
            filter.ids = Some(vec![id.ok_or("ERR client-id should be greater than 0")?]);
        } else if is(b"type") {
            filter.kind = Some(kind(value)?);
        } else if is(b"addr") {
            filter.address = Some(value.to_vec());
        } else if is(b"laddr") {
            filter.local_address = Some(value.to_vec());
        } else if is(b"user") {
            // There is one user, and every client is this one.
            if value != USER {
                return Err([b"ERR No such user '", value, b"'"].concat());
            }
        } else if is(b"skipme") && value.eq_ignore_ascii_case(b"yes") {
            filter.not = Some(own);
        } else if is(b"skipme") && value.eq_ignore_ascii_case(b"no") {
            filter.not = None;
        } else if is(b"maxage") {
            let age = parse_number(value).ok_or("ERR maxage is not an integer or out of range")?;
            let age = u64::try_from(age).ok().filter(|age| *age > 0);
            filter.age_s = Some(age.ok_or("ERR maxage should be greater than 0")?);
        } else {
            return Err(SYNTAX.into());
        }
        at += 2;
    }
    Ok(Kill { filter, old_form: false })
}

/// CLIENT PAUSE milliseconds [WRITE | ALL].
pub fn pause(args: &Args<'_>) -> Result<Pause, Vec<u8>> {
    let writes_only = match args.get(3) {
        _ if args.len() > 4 => return Err(wrong_arguments(args)),
        None => false,
        Some(mode) if mode.eq_ignore_ascii_case(b"all") => false,
        Some(mode) if mode.eq_ignore_ascii_case(b"write") => true,
        Some(_) => return Err(b"ERR CLIENT PAUSE mode must be WRITE or ALL".to_vec()),
    };
    let timeout = parse_number(args.get(2).unwrap_or_default());
    let timeout = timeout.ok_or("ERR timeout is not an integer or out of range")?;
    let for_ms = u64::try_from(timeout).map_err(|_| "ERR timeout is negative")?;
    Ok(Pause { for_ms, writes_only })
}

/// CLIENT UNBLOCK id [TIMEOUT | ERROR].
pub fn unblock(args: &Args<'_>) -> Result<Unblock, Vec<u8>> {
    let error = match args.get(3) {
        _ if args.len() > 4 => return Err(wrong_arguments(args)),
        None => false,
        Some(reason) if reason.eq_ignore_ascii_case(b"timeout") => false,
        Some(reason) if reason.eq_ignore_ascii_case(b"error") => true,
        Some(_) => return Err(b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".to_vec()),
    };
    let id = parse_number(args.get(2).unwrap_or_default());
    let id = id.ok_or("ERR value is not an integer or out of range")?;
    Ok(Unblock { client: u64::try_from(id).ok(), error })
}

/// CLIENT REPLY ON | OFF | SKIP.
pub fn reply(args: &Args<'_>) -> Result<ReplyWord, Vec<u8>> {
    let word = args.get(2).unwrap_or_default();
    if word.eq_ignore_ascii_case(b"on") {
        Ok(ReplyWord::On)
    } else if word.eq_ignore_ascii_case(b"off") {
        Ok(ReplyWord::Off)
    } else if word.eq_ignore_ascii_case(b"skip") {
        Ok(ReplyWord::Skip)
    } else {
        Err(SYNTAX.into())
    }
}

fn kind(word: &[u8]) -> Result<Kind, Vec<u8>> {
    let is = |known: &[u8]| word.eq_ignore_ascii_case(known);
    if is(b"normal") {
        Ok(Kind::Normal)
    } else if is(b"pubsub") {
        Ok(Kind::Pubsub)
    } else if is(b"master") || is(b"replica") || is(b"slave") {
        Ok(Kind::Link)
    } else {
        Err([b"ERR Unknown client type '", word, b"'"].concat())
    }
}

/// The error for too many arguments, where a server sees them only when it has read the others.
fn wrong_arguments(args: &Args<'_>) -> Vec<u8> {
    let subcommand = args.get(1).unwrap_or_default();
    let text = b"ERR unknown subcommand or wrong number of arguments for '";
    [text, subcommand, b"'. Try CLIENT HELP."].concat()
}

/// Appends the line of one client.
pub fn write_line(view: &View<'_>, out: &mut Vec<u8>) {
    let identity = view.identity;
    let (id, address, local) = (identity.id, &identity.address, &identity.local_address);
    out.extend_from_slice(format!("id={id} addr={address} laddr={local} fd=-1 name=").as_bytes());
    out.extend_from_slice(identity.name());
    let flags = if view.flags.is_empty() { "N" } else { view.flags.as_str() };
    let [channels, patterns, shard_channels] = view.subscriptions;
    let (queued, queued_bytes) = match view.queued {
        Some((count, bytes)) => (i64::try_from(count).unwrap_or(i64::MAX), bytes),
        None => (-1, 0),
    };
    let command = if view.command.is_empty() { "NULL" } else { view.command };
    out.extend_from_slice(
        format!(
            " age={} idle={} flags={flags} db={} sub={channels} psub={patterns} ssub={shard_channels} multi={queued} \
             qbuf={} qbuf-free=0 argv-mem=0 multi-mem={queued_bytes} rbs=0 rbp=0 obl=0 oll=0 omem={} tot-mem={} \
             events=r cmd={command} user=default redir=-1 resp={} lib-name=",
            view.age_s,
            view.idle_s,
            view.database,
            view.input_bytes,
            view.output_bytes,
            view.total_bytes,
            identity.protocol.number(),
        )
        .as_bytes(),
    );
    out.extend_from_slice(identity.library_name());
    out.extend_from_slice(b" lib-ver=");
    out.extend_from_slice(identity.library_version());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::sample::Request;

    fn check<T: std::fmt::Debug + PartialEq>(
        parse: impl Fn(&Args<'_>) -> Result<T, Vec<u8>>,
        cases: Vec<(&str, Result<T, &str>)>,
    ) {
        for (words, expected) in cases {
            let request = Request::words(words);
            let found = parse(&request.args());
            let expected = expected.map_err(|text| format!("ERR {text}").into_bytes());
            assert_eq!(found, expected, "{words}");
        }
    }

    #[test]
    fn filters_of_list_are_those_of_redis() {
        let of_kind = |kind| Ok(Filter { kind: Some(kind), ..Filter::default() });
        let of_ids = |ids: &[u64]| Ok(Filter { ids: Some(ids.to_vec()), ..Filter::default() });
        check(
            list,
            vec![
                ("client list", Ok(Filter::default())),
                ("client list TYPE Normal", of_kind(Kind::Normal)),
                ("client list type slave", of_kind(Kind::Link)),
                ("client list type Foo", Err("Unknown client type 'Foo'")),
                ("client list type", Err("syntax error")),
                ("client list type normal id 3", Err("syntax error")),
                ("client list id 3 0 -1 8", of_ids(&[3, 0, 8])),
                ("client list id 3 x", Err("Invalid client ID")),
                ("client list id", Err("syntax error")),
                ("client list foo", Err("syntax error")),
            ],
        );
    }

    #[test]
    fn filters_of_kill_are_those_of_redis() {
        let new = |change: fn(&mut Filter)| {
            let mut filter = Filter { not: Some(7), ..Filter::default() };
            change(&mut filter);
            Ok(Kill { filter, old_form: false })
        };
        let old = Filter { address: Some(b"1.2.3.4:5".to_vec()), ..Filter::default() };
        check(
            |args| kill(args, 7),
            vec![
                ("client kill 1.2.3.4:5", Ok(Kill { filter: old, old_form: true })),
                ("client kill id 3 ID 4", new(|it| it.ids = Some(vec![4]))),
                ("client kill id 4 skipme NO", {
                    new(|it| (it.ids, it.not) = (Some(vec![4]), None))
                }),
                ("client kill skipme yes", new(|_| {})),
                ("client kill user default", new(|_| {})),
                ("client kill maxage 5", new(|it| it.age_s = Some(5))),
                ("client kill addr a laddr b", {
                    new(|it| {
                        (it.address, it.local_address) = (Some(b"a".into()), Some(b"b".into()))
                    })
                }),
                ("client kill type pubsub", new(|it| it.kind = Some(Kind::Pubsub))),
                ("client kill id 0", Err("client-id should be greater than 0")),
                ("client kill id x", Err("client-id should be greater than 0")),
                ("client kill user bob", Err("No such user 'bob'")),
                ("client kill type foo", Err("Unknown client type 'foo'")),
                ("client kill skipme maybe", Err("syntax error")),
                ("client kill maxage 0", Err("maxage should be greater than 0")),
                ("client kill maxage x", Err("maxage is not an integer or out of range")),
                ("client kill foo bar", Err("syntax error")),
                ("client kill id 3 type", Err("syntax error")),
            ],
        );
    }

    #[test]
    fn pauses_are_read_as_by_redis() {
        let paused = |for_ms, writes_only| Ok(Pause { for_ms, writes_only });
        let wrong = "unknown subcommand or wrong number of arguments for 'pause'. Try CLIENT HELP.";
        check(
            pause,
            vec![
                ("client pause 10", paused(10, false)),
                ("client pause 0 ALL", paused(0, false)),
                ("client pause 10 write", paused(10, true)),
                ("client pause x FOO", Err("CLIENT PAUSE mode must be WRITE or ALL")),
                ("client pause x", Err("timeout is not an integer or out of range")),
                ("client pause -1", Err("timeout is negative")),
                ("client pause 1 all x", Err(wrong)),
            ],
        );
    }

    #[test]
    fn unblocks_are_read_as_by_redis() {
        let one = |client, error| Ok(Unblock { client, error });
        let reason = "CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
        check(
            unblock,
            vec![
                ("client unblock 9", one(Some(9), false)),
                ("client unblock 9 Timeout", one(Some(9), false)),
                ("client unblock 9 ERROR", one(Some(9), true)),
                ("client unblock -5", one(None, false)),
                ("client unblock x foo", Err(reason)),
                ("client unblock x", Err("value is not an integer or out of range")),
            ],
        );
    }

    fn view(identity: &Identity) -> View<'_> {
        View {
            identity,
            kind: Kind::Normal,
            flags: String::new(),
            age_s: 3,
            idle_s: 1,
            database: 0,
            subscriptions: [0; 3],
            queued: None,
            input_bytes: 0,
            output_bytes: 0,
            total_bytes: 0,
            command: "client|list",
        }
    }

    #[test]
    fn filter_takes_whom_every_part_of_it_means() {
        let identity = Identity::new(7, "a:1".into(), "b:2".into(), 0, true);
        let meant = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter.takes(&view(&identity))
        };
        assert!(meant(|_| {}));
        assert!(meant(|it| it.ids = Some(vec![1, 7])));
        assert!(!meant(|it| it.ids = Some(vec![1])));
        assert!(!meant(|it| it.not = Some(7)));
        assert!(meant(|it| (it.address, it.age_s) = (Some(b"a:1".into()), Some(3))));
        assert!(!meant(|it| (it.address, it.age_s) = (Some(b"a:1".into()), Some(4))));
        assert!(!meant(|it| it.local_address = Some(b"a:1".into())));
        assert!(!meant(|it| it.kind = Some(Kind::Pubsub)));
    }

    #[test]
    fn line_has_the_fields_of_a_server() {
        let mut identity = Identity::new(7, "a:1".into(), "b:2".into(), 0, true);
        identity.set_name(b"bob").unwrap();
        identity.set_library_name(b"lib").unwrap();
        let mut line = Vec::new();
        let queued = View { flags: "x".into(), queued: Some((2, 50)), ..view(&identity) };
        write_line(&queued, &mut line);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "id=7 addr=a:1 laddr=b:2 fd=-1 name=bob age=3 idle=1 flags=x db=0 sub=0 psub=0 ssub=0 multi=2 qbuf=0 \
             qbuf-free=0 argv-mem=0 multi-mem=50 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=client|list \
             user=default redir=-1 resp=2 lib-name=lib lib-ver=\n"
        );
    }
}
