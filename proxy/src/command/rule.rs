//! What the gateway does with a command, before its arguments are known.
//!
//! Every `CommandSpec` carries one `Rule`. `overrides.rs` gives it by hand to all rows without keys and to all rows
//! with several keys; a row with exactly one key gets `Rule::Key`. `route` turns the rule and the arguments into a
//! plan, `join` reads the join rule, `local` carries out the local commands.
//! Closed sets, matched without `_`: a new member makes the compiler list what is to be changed.

/// What is done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Answered by the gateway itself.
    Local(LocalCommand),
    /// About the clients of this gateway: carried out here, over all workers.
    Clients(ClientsCommand),
    /// About the plugins of this gateway: carried out here, over all workers and by the thread that loads plugins.
    Plugins,
    /// One key: to the key's shard.
    Key,
    /// Several keys, which must be on one shard.
    Keys,
    /// A script: like `Keys`, but it may come without any key.
    Script,
    /// SORT: like `Keys`, and its BY and GET patterns name keys too.
    Sort,
    /// XREAD and XREADGROUP: like `Keys`, unless BLOCK makes it a blocking command.
    StreamRead,
    /// Like `Keys`, and it may wait there for data; inside MULTI it never waits.
    Blocking,
    /// No key: asks the shards that the client wrote to whether their replicas or files have it.
    Wait(WaitCommand),
    /// Several keys: one part per shard, joined.
    Split(JoinRule),
    /// Several keys, only read: whole to one shard if it owns all, else each shard's are read and joined here.
    Joined(JoinedCommand),
    /// No key: asks several shards, mostly all, and joins what they say.
    Shards(ShardsCommand),
    /// Publish and subscribe.
    Pubsub(PubsubCommand),
    /// A step of a transaction.
    Transaction(TransactionStep),
    /// Never carried out. The text says why, or what to do instead.
    Refuse(&'static str),
    /// Only its subcommands are commands.
    Container,
}

/// How the replies of a split command's parts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinRule {
    /// MGET: the elements, in the order of the keys.
    Elements,
    /// DEL, UNLINK, EXISTS, TOUCH: the sum of the numbers.
    Sum,
    /// MSET: OK when every part is.
    Ok,
}

/// The commands with several keys whose parts are read and joined here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinedCommand {
    JsonMget,
    Lcs,
    Pfcount,
    Sdiff,
    Sinter,
    Sintercard,
    Sunion,
    Xread,
    Zdiff,
    Zinter,
    Zintercard,
    Zunion,
}

/// How a command without keys asks shards, and what becomes of their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardsCommand {
    /// Every shard carries it out: one reply if all say the same, else which did and which did not.
    Done,
    /// Every shard's number: the sum.
    Sum,
    /// Every shard's number: the smallest.
    Least,
    /// SCRIPT LOAD: like `Done`, and the gateway knows the text.
    ScriptLoad,
    /// SCRIPT FLUSH: like `Done`, and the gateway forgets the texts.
    ScriptFlush,
    ScriptExists,
    ScriptShow,
    /// SCRIPT KILL, FUNCTION KILL: what runs on any shard is stopped.
    Kill,
    FunctionStats,
    /// The first shard's answer: all shards have the same.
    First,
    /// FLUSHDB, FLUSHALL: like `Done`, once their one option is seen to be right.
    Flush,
    Scan,
    Keys,
    Randomkey,
    ConfigGet,
    ConfigSet,
    Info,
    /// SLOWLOG GET and COMMANDLOG GET: one list of all entries.
    Slowlog,
    LatencyLatest,
    LatencyHistory,
    LatencyHistogram,
    /// Texts for people: each shard's under its name.
    Texts,
    ModuleList,
}

impl ShardsCommand {
    /// Whether the gateway has a word in its reply, so that it does more than to ask shards and to join what they say.
    pub fn has_own_part(self) -> bool {
        matches!(self, Self::ConfigGet | Self::ConfigSet | Self::Info)
    }
}

/// What messages are published to, or subscribed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// A channel: its messages may come from any shard.
    Channel,
    /// A pattern of channels.
    Pattern,
    /// A shard channel: it belongs to the shard of its name.
    Shard,
}

/// The commands of publish and subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PubsubCommand {
    Subscribe(ChannelKind),
    Unsubscribe(ChannelKind),
    Publish(ChannelKind),
    /// PUBSUB CHANNELS and SHARDCHANNELS.
    Channels(ChannelKind),
    /// PUBSUB NUMSUB and SHARDNUMSUB.
    Numsub(ChannelKind),
    Numpat,
}

/// The commands that wait for what the client wrote to be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCommand {
    /// WAIT: in so many replicas.
    Replicas,
    /// WAITAOF: in so many append-only files.
    AppendOnlyFiles,
}

/// The commands that make a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStep {
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
}

/// The commands that look at sessions, or change what holds for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientsCommand {
    Info,
    Kill,
    List,
    Monitor,
    Pause,
    Reply,
    Unblock,
    Unpause,
}

/// The commands that the gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalCommand {
    AclWhoami,
    Auth,
    ClientCaching,
    ClientGetname,
    ClientGetredir,
    ClientId,
    ClientNoEvict,
    ClientNoTouch,
    ClientSetinfo,
    ClientSetname,
    ClientTracking,
    ClientTrackinginfo,
    /// CLUSTER and its like: the gateway presents itself as one server.
    ClusterDisabled,
    Command,
    CommandCount,
    CommandDocs,
    CommandGetkeys,
    CommandGetkeysandflags,
    CommandInfo,
    CommandList,
    Echo,
    Hello,
    /// `X HELP` of every container: made from the table.
    Help,
    Lolwut,
    Ping,
    Quit,
    Reset,
    Role,
    Select,
    Time,
}
