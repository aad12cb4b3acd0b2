//! Hash functions for keys, under the names that the YAML files use.
//!
//! `HashKind` names the twelve functions of twemproxy and `xxh3_64`; `HashKind::hash` turns a key into a number.
//! twemproxy's functions give 32 bits (zero-extended here) and are reproduced with their quirks, because a key must
//! land on the very server that holds it today: see `functions`.
//!
//! Pure: bytes in, number out. Nothing here may change once released, since any change moves keys between shards.

pub mod functions;

/// A hash function by its name in YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// Jenkins one-at-a-time.
    OneAtATime,
    /// The first four bytes of MD5.
    Md5,
    /// CRC-16 kept in 32 bits, as twemproxy does.
    Crc16,
    /// libmemcached's 15 bits of CRC-32.
    Crc32,
    /// CRC-32 as zlib computes it.
    Crc32a,
    /// FNV-1, 64 bits, low half.
    Fnv164,
    /// twemproxy's default; not the 64-bit FNV-1a in spite of its name.
    Fnv1a64,
    /// FNV-1, 32 bits.
    Fnv132,
    /// FNV-1a, 32 bits.
    Fnv1a32,
    /// SuperFastHash.
    Hsieh,
    /// MurmurHash2.
    Murmur,
    /// lookup3.
    Jenkins,
    /// XXH3 with seed 0: the only one of 64 bits.
    Xxh3,
}

/// Every hash function with its name in YAML, twemproxy's first.
pub const HASH_NAMES: [(&str, HashKind); 13] = [
    ("one_at_a_time", HashKind::OneAtATime),
    ("md5", HashKind::Md5),
    ("crc16", HashKind::Crc16),
    ("crc32", HashKind::Crc32),
    ("crc32a", HashKind::Crc32a),
    ("fnv1_64", HashKind::Fnv164),
    ("fnv1a_64", HashKind::Fnv1a64),
    ("fnv1_32", HashKind::Fnv132),
    ("fnv1a_32", HashKind::Fnv1a32),
    ("hsieh", HashKind::Hsieh),
    ("murmur", HashKind::Murmur),
    ("jenkins", HashKind::Jenkins),
    ("xxh3_64", HashKind::Xxh3),
];

impl HashKind {
    /// The function's name in YAML.
    pub fn name(self) -> &'static str {
        HASH_NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| *name)
    }

    /// Whether twemproxy has this function; its results fit 32 bits.
    pub fn is_twemproxy(self) -> bool {
        self != Self::Xxh3
    }

    /// The hash of `key`. An empty key is the caller's business: twemproxy never hashes one.
    pub fn hash(self, key: &[u8]) -> u64 {
        match self {
            Self::OneAtATime => u64::from(functions::one_at_a_time(key)),
            Self::Md5 => u64::from(functions::md5(key)),
            Self::Crc16 => u64::from(functions::crc16(key)),
            Self::Crc32 => u64::from(functions::crc32(key)),
            Self::Crc32a => u64::from(functions::crc32a(key)),
            Self::Fnv164 => u64::from(functions::fnv1_64(key)),
            Self::Fnv1a64 => u64::from(functions::fnv1a_64(key)),
            Self::Fnv132 => u64::from(functions::fnv1_32(key)),
            Self::Fnv1a32 => u64::from(functions::fnv1a_32(key)),
            Self::Hsieh => u64::from(functions::hsieh(key)),
            Self::Murmur => u64::from(functions::murmur(key)),
            Self::Jenkins => u64::from(functions::jenkins(key)),
            Self::Xxh3 => functions::xxh3(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Function names in the order of the columns of `VECTORS`.
    const COLUMNS: [&str; 12] = [
        "fnv1a_64",
        "fnv1_64",
        "fnv1a_32",
        "fnv1_32",
        "one_at_a_time",
        "md5",
        "crc16",
        "crc32",
        "crc32a",
        "hsieh",
        "murmur",
        "jenkins",
    ];

    /// `apple` is the vector of twemproxy's own test program; the others come from an independent
    /// implementation that passes it.
    #[rustfmt::skip]
    const VECTORS: [(&str, [u64; 12]); 6] = [
        ("apple", [1488911807, 473199127, 280767167, 67176023, 2297466611, 3195025439, 3662830516, 10542, 2838417488, 3738850110, 4142305122, 1442444624]),
        ("a", [2248273036, 2248259518, 3826002220, 84696446, 3392050242, 3111502092, 31879, 26807, 3904355907, 2472816263, 1262581116, 3768813200]),
        ("foo", [4275688823, 1805727027, 2851307223, 1083137555, 596015325, 3675831724, 205303702, 3187, 2356372769, 1993659431, 3303027599, 2583187353]),
        ("bar", [322520602, 1806514304, 1991736602, 513390112, 2151715081, 421377335, 1276220357, 30463, 1996459178, 2197238083, 516654467, 2006320315]),
        ("user:1000", [2927313545, 3550362913, 1350311305, 2796551329, 3043211087, 781738503, 3781445233, 8052, 2675185635, 3723237737, 2384768711, 76303748]),
        ("café", [3472276361, 2315714289, 1970454601, 3598905713, 3650908318, 3833532679, 4129724007, 6317, 2561491637, 3728705621, 3658586143, 3412207021]),
    ];

    fn kind(name: &str) -> HashKind {
        HASH_NAMES.iter().find(|row| row.0 == name).unwrap().1
    }

    #[test]
    fn twemproxy_functions_give_the_vectors_of_twemproxy() {
        for (key, expected) in VECTORS {
            for (name, value) in COLUMNS.iter().zip(expected) {
                assert_eq!(kind(name).hash(key.as_bytes()), value, "{name} of {key}");
            }
        }
    }

    #[test]
    fn jenkins_without_input_returns_its_start_unmixed() {
        assert_eq!(HashKind::Jenkins.hash(b""), 0xdead_beef + 13);
    }

    #[test]
    fn xxh3_is_the_published_function_with_seed_zero() {
        assert_eq!(HashKind::Xxh3.hash(b""), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn every_function_has_one_name() {
        for (name, kind) in HASH_NAMES {
            assert_eq!(kind.name(), name);
        }
    }
}
