//! Where a key lies: its bucket, and its name in there.
//!
//! Comes in: a key. Goes out: the name of a hash, `<prefix>#<number>/<buckets>`, which decides the shard, and the key without the
//! prefix as the field. A key with an end is stored under its own name on the bucket's shard, by the scripts.

use std::rc::Rc;

use sluicegate_plugin::command::{Command, cmd};
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};

use crate::config::Config;

/// A key's place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Packed<'a> {
    /// The hash.
    pub bucket: Vec<u8>,
    /// The field.
    pub field: &'a [u8],
    /// The key itself.
    pub key: &'a [u8],
}

impl<'a> Packed<'a> {
    /// The place of `key`.
    pub fn of(config: &Config, key: &'a [u8]) -> Result<Self> {
        let Some(field) = key.strip_prefix(config.prefix.as_bytes()) else {
            let text = ["pack: keys of this binding begin with '", &config.prefix, "'"].concat();
            return Err(Error::new(text));
        };
        let number = hash(key) % u64::from(config.buckets);
        let name = ["#", &number.to_string(), "/", &config.buckets.to_string()].concat();
        let bucket = [config.prefix.as_bytes(), name.as_bytes()].concat();
        Ok(Self { bucket, field, key })
    }

    /// A script on this key: `KEYS[1]` the bucket, `ARGV[1]` the key, `ARGV[2]` the field.
    pub fn script(&self, text: &str) -> Command {
        self.eval("EVAL", text)
    }

    /// One that changes nothing.
    pub fn question(&self, text: &str) -> Command {
        self.eval("EVAL_RO", text)
    }

    fn eval(&self, name: &str, text: &str) -> Command {
        cmd(name).arg(text).arg(1).arg(&self.bucket).arg(self.key).arg(self.field)
    }
}

/// The place of a call's key, and the config.
pub fn place<'a>(cx: &Cx, key: &'a [u8]) -> Result<(Rc<Config>, Packed<'a>)> {
    let config = cx.config::<Config>()?;
    let packed = Packed::of(&config, key)?;
    Ok((config, packed))
}

/// FNV-1a in 64 bits (Fowler, Noll, Vo), its halves folded into one another.
fn hash(bytes: &[u8]) -> u64 {
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    sum ^ (sum >> 32)
}

#[cfg(test)]
mod tests {
    use super::{Packed, hash};
    use crate::config::Config;

    #[test]
    fn keys_stay_in_their_buckets_and_fill_them_evenly() {
        // FNV's own test vector, folded: these buckets are in people's data.
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8 ^ 0x8594_4171);
        let config = Config { prefix: "obj:".into(), buckets: 256, adopt: false };
        let packed = Packed::of(&config, b"obj:123").unwrap();
        assert_eq!((packed.field, packed.key), (&b"123"[..], &b"obj:123"[..]));
        assert!(packed.bucket.starts_with(b"obj:#") && packed.bucket.ends_with(b"/256"));
        assert!(Packed::of(&config, b"other").is_err());
        let mut counts = std::collections::HashMap::new();
        for number in 0..25_600 {
            let key = format!("obj:{number}");
            *counts.entry(Packed::of(&config, key.as_bytes()).unwrap().bucket).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 256);
        assert!(counts.values().all(|count| (50..=160).contains(count)), "{counts:?}");
    }
}
