//! Counters of one worker.
//!
//! Plain numbers that only the worker's own thread changes: counting costs no atomic on the request path. INFO adds the
//! workers up, from what each publishes once a second.

/// What a worker has counted since it started.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Client connections taken in.
    pub sessions_opened: u64,
    /// Client connections that are gone.
    pub sessions_closed: u64,
    /// Bytes of whole requests read.
    pub input_bytes: u64,
    /// Bytes written to clients.
    pub output_bytes: u64,
    /// Requests read.
    pub requests: u64,
    /// Requests that were split over shards.
    pub requests_split: u64,
    /// Requests refused by the gateway itself.
    pub requests_refused: u64,
    /// Requests whose shard did not answer in time.
    pub timeouts: u64,
    /// Requests refused because a shard's queue was full.
    pub overloads: u64,
    /// Clients cut because the worker's memory budget was used up.
    pub budget_refusals: u64,
    /// Connections to shards that were made.
    pub lanes_opened: u64,
    /// Connections to shards that broke or could not be made.
    pub lanes_failed: u64,
    /// Bytes that a shard sent although nothing was asked.
    pub unasked_replies: u64,
    /// Clients cut because they did not take their replies.
    pub clients_cut: u64,
    /// Messages given to subscribers.
    pub messages: u64,
    /// Clients that wait at shards now.
    pub clients_blocked: u64,
    /// Plugin calls started.
    pub plugin_calls: u64,
    /// Plugin calls that failed.
    pub plugin_faults: u64,
    /// Notices that another worker's calls may have waited for, and that did not reach it.
    pub notices_lost: u64,
}

impl Stats {
    /// What INFO shows in its section `gateway`, by name; what Redis counts too stands in its section `stats`.
    pub fn of_gateway(&self) -> [(&'static str, u64); 12] {
        [
            ("requests_split", self.requests_split),
            ("timeouts", self.timeouts),
            ("overloads", self.overloads),
            ("shard_connections_opened", self.lanes_opened),
            ("shard_connections_failed", self.lanes_failed),
            ("unasked_replies", self.unasked_replies),
            ("clients_cut", self.clients_cut),
            ("budget_refusals", self.budget_refusals),
            ("messages", self.messages),
            ("plugin_calls", self.plugin_calls),
            ("plugin_faults", self.plugin_faults),
            ("notices_lost", self.notices_lost),
        ]
    }

    /// Adds another worker's counters.
    pub fn add(&mut self, other: &Self) {
        self.sessions_opened += other.sessions_opened;
        self.sessions_closed += other.sessions_closed;
        self.input_bytes += other.input_bytes;
        self.output_bytes += other.output_bytes;
        self.requests += other.requests;
        self.requests_split += other.requests_split;
        self.requests_refused += other.requests_refused;
        self.timeouts += other.timeouts;
        self.overloads += other.overloads;
        self.lanes_opened += other.lanes_opened;
        self.lanes_failed += other.lanes_failed;
        self.unasked_replies += other.unasked_replies;
        self.clients_cut += other.clients_cut;
        self.budget_refusals += other.budget_refusals;
        self.messages += other.messages;
        self.clients_blocked += other.clients_blocked;
        self.plugin_calls += other.plugin_calls;
        self.plugin_faults += other.plugin_faults;
        self.notices_lost += other.notices_lost;
    }
}
