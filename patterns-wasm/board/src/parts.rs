//! Where a board lies: the names of its parts, and the part of a member.
//!
//! Part 2 of 4 of the board `top` is the sorted set beside `top#2/4`, a name that decides the shard: parts of one board lie
//! on several, and those of `{jobs}:top` on one, because the tag is in the name. A window's board `top@20261123` has
//! its parts beside the same names, so that one shard can add the windows of a part up.

use std::rc::Rc;

use sluicegate_plugin::command::{Arg, beside};
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::window::Window;

use crate::config::Config;

/// Name of a part when the binding has no windows, and of what its end is kept in.
const NAME: &str = "board";
const END: &str = "end";

/// A board of one call.
pub struct Board {
    owners: Vec<Vec<u8>>,
    name: String,
    window: Option<Window>,
    /// The binding's config.
    pub config: Rc<Config>,
}

impl Board {
    /// The board that a client calls `key`: of the present window, when the binding has windows and `key` names none.
    pub fn of(cx: &Cx, key: &[u8]) -> Result<Self> {
        let config = cx.config::<Config>()?;
        let (mut base, mut name, mut window) = (key, String::from(NAME), None);
        if let Some(length) = config.window {
            let at = key.iter().rposition(|byte| *byte == b'@');
            let named = at.and_then(|at| {
                let (before, behind) = (key.get(..at)?, key.get(at + 1..)?);
                Some((before, length.named(behind, config.utc_offset)?))
            });
            let (before, named) =
                named.unwrap_or_else(|| (key, length.at(cx.now_ms(), config.utc_offset)));
            (base, name, window) = (before, named.name(), Some(named));
        }
        let of = ["/", &config.parts.to_string()].concat();
        let owner = |part: u32| [base, b"#", part.to_string().as_bytes(), of.as_bytes()].concat();
        Ok(Self { owners: (0..config.parts).map(owner).collect(), name, window, config })
    }

    /// The numbers of all parts.
    pub fn parts(&self) -> std::ops::Range<usize> {
        0..self.owners.len()
    }

    /// Whether it has one part only, which can then be asked whatever a sorted set can.
    pub fn is_whole(&self) -> bool {
        self.owners.len() == 1
    }

    /// The part that a member belongs to.
    pub fn part_of(&self, member: &[u8]) -> usize {
        let parts = u64::try_from(self.owners.len()).unwrap_or(1).max(1);
        usize::try_from(hash(member) % parts).unwrap_or(0)
    }

    /// The key of a part.
    pub fn key(&self, part: usize) -> Arg<'_> {
        beside(self.owner(part), &self.name)
    }

    /// The key that holds a part's end while the part may not be there.
    pub fn end_key(&self, part: usize) -> Arg<'_> {
        beside(self.owner(part), END)
    }

    /// The key of another thing beside a part.
    pub fn beside<'a>(&'a self, part: usize, name: &'a str) -> Arg<'a> {
        beside(self.owner(part), name)
    }

    fn owner(&self, part: usize) -> &[u8] {
        self.owners.get(part).map_or(&b""[..], Vec::as_slice)
    }

    /// The window, if the binding has such.
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// When the window's board ends, milliseconds since 1970: `keep` windows of its length after the window. Months are
    /// counted by the length of this one.
    pub fn end_ms(&self) -> Option<i64> {
        let window = self.window?;
        let length = window.end_ms() - window.before(1).end_ms();
        Some(window.end_ms() + length * i64::from(self.config.keep))
    }
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
    use super::hash;

    #[test]
    fn members_stay_in_their_parts_and_spread_evenly() {
        // FNV's own test vectors, folded: these parts are in people's data.
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325 ^ 0xcbf2_9ce4);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c ^ 0xaf63_dc4c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8 ^ 0x8594_4171);
        for parts in [2_u64, 3, 4, 7, 64] {
            let mut counts = vec![0_u64; usize::try_from(parts).unwrap()];
            for member in 0..64_000 {
                let part = hash(format!("member:{member}").as_bytes()) % parts;
                counts[usize::try_from(part).unwrap()] += 1;
            }
            let fair = 64_000 / parts;
            assert!(counts.iter().all(|count| count.abs_diff(fair) < fair / 5), "{counts:?}");
        }
    }
}
