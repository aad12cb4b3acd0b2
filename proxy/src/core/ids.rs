//! Names of the things that a worker keeps: sessions, lanes, joins, gathers, questions, scripts, confirmations, tasks,
//! keys waited for, transactions, guards, blocked sessions.
//!
//! Each is a slot and a version of the slot, so a reply that comes for a session that is gone finds nobody, even
//! when the slot has been taken again. That is what keeps a reply from ever reaching another client.
//! Only ids here; what they name lives in `core`.

slotmap::new_key_type! {
    /// One client connection.
    pub struct SessionId;
    /// One connection to a shard.
    pub struct LaneId;
    /// One split request.
    pub struct JoinId;
    /// One command that asks several shards.
    pub struct GatherId;
    /// A question to the other workers.
    pub struct AskId;
    /// One EVALSHA of a script that the gateway knows.
    pub struct ScriptId;
    /// One SUBSCRIBE or UNSUBSCRIBE that is not confirmed yet.
    pub struct ConfirmationId;
    /// One PUBLISH whose shard has not answered.
    pub struct PublishId;
    /// One plugin call in flight.
    pub struct TaskId;
    /// A key that tasks wait for.
    pub struct WaitedId;
    /// One transaction in which plugins take part.
    pub struct ExecId;
    /// One guarded transaction of a plugin.
    pub struct GuardId;
    /// One command that waits at shards.
    pub struct BlockedId;
    /// One order to end such a wait.
    pub struct UnblockId;
}
