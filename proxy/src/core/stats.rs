//! Counters of one worker.
//!
//! Plain numbers that only the worker's own thread changes: counting costs no atomic on the request path. INFO adds the
//! workers up, from what each publishes once a second, and shows some of them under Redis's names.

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
    /// Connections to shards that were made.
    pub lanes_opened: u64,
    /// Connections to shards that broke or could not be made.
    pub lanes_failed: u64,
    /// Bytes that a shard sent although nothing was asked.
    pub unasked_replies: u64,
    /// Clients cut because they did not take their replies.
    pub clients_cut: u64,
    /// Plugin calls started.
    pub plugin_calls: u64,
    /// Plugin calls that failed.
    pub plugin_faults: u64,
}

impl Stats {
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
        self.plugin_calls += other.plugin_calls;
        self.plugin_faults += other.plugin_faults;
    }
}
