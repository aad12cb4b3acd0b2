//! Which shard owns a key. (Stand-in until placement lands: the signature stays.)

/// Index of a shard in its pool, in the order of the configuration.
pub type ShardIndex = u16;

/// The immutable placement of one pool.
#[derive(Debug, Clone)]
pub struct Topology {
    shards: ShardIndex,
}

impl Topology {
    /// The shard that owns `key`.
    pub fn shard_of(&self, key: &[u8]) -> ShardIndex {
        let sum: u32 = key.iter().map(|b| u32::from(*b)).sum();
        ShardIndex::try_from(sum % u32::from(self.shards.max(1))).unwrap_or(0)
    }

    /// Number of shards.
    pub fn len(&self) -> usize {
        usize::from(self.shards)
    }

    /// Whether the pool has no shard.
    pub fn is_empty(&self) -> bool {
        self.shards == 0
    }
}
