//! twemproxy's twelve hash functions, bit for bit, and XXH3.
//!
//! In: the bytes of a key. Out: the number that twemproxy on x86-64 computes for it. Several of them use C's `char`,
//! which is signed there, so bytes above 0x7f are sign-extended before use (`signed`); the functions that do not are
//! those that read the key as unsigned bytes. `crc16` keeps its high bits, `crc32` throws most away, `fnv1a_64` is a
//! 32-bit function: these quirks place the keys of existing fleets and must stay.
//!
//! No allocation, no failure.

use md5::{Digest, Md5};

/// A byte as C's `char` on x86-64: sign-extended.
fn signed(byte: u8) -> u32 {
    i32::from(byte.cast_signed()).cast_unsigned()
}

/// The low half of a 64-bit number.
#[allow(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn low_half(value: u64) -> u32 {
    value as u32
}

/// XXH3, 64 bits, seed 0.
pub fn xxh3(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

/// Jenkins one-at-a-time with start 0.
pub fn one_at_a_time(key: &[u8]) -> u32 {
    let mut hash = 0u32;
    for byte in key {
        hash = hash.wrapping_add(signed(*byte));
        hash = hash.wrapping_add(hash << 10);
        hash ^= hash >> 6;
    }
    hash = hash.wrapping_add(hash << 3);
    hash ^= hash >> 11;
    hash.wrapping_add(hash << 15)
}

/// Bytes 0 to 3 of MD5, little-endian.
pub fn md5(key: &[u8]) -> u32 {
    let [first, ..] = md5_words(key);
    first
}

/// MD5 as four little-endian words: the four ring points that one name gives.
pub fn md5_words(key: &[u8]) -> [u32; 4] {
    let digest: [u8; 16] = Md5::digest(key).into();
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(digest.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// One row of the CRC-16 table.
const fn crc16_entry(index: u32) -> u32 {
    let mut crc = index << 8;
    let mut bit = 0;
    while bit < 8 {
        crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        bit += 1;
    }
    crc & 0xffff
}

/// One row of the CRC-32 table, bits reflected.
const fn crc32_entry(index: u32) -> u32 {
    let mut crc = index;
    let mut bit = 0;
    while bit < 8 {
        crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xedb8_8320 };
        bit += 1;
    }
    crc
}

/// CRC-16 (XMODEM) whose register is 32 bits wide and never masked.
pub fn crc16(key: &[u8]) -> u32 {
    let mut crc = 0u32;
    for byte in key {
        let index = ((crc >> 8) ^ u32::from(*byte)) & 0xff;
        crc = (crc << 8) ^ table_at(&CRC16_TABLE, index);
    }
    crc
}

/// CRC-32 as zlib computes it.
pub fn crc32a(key: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in key {
        let index = (crc ^ u32::from(*byte)) & 0xff;
        crc = (crc >> 8) ^ table_at(&CRC32_TABLE, index);
    }
    !crc
}

/// Fifteen bits of CRC-32, as libmemcached took them.
pub fn crc32(key: &[u8]) -> u32 {
    (crc32a(key) >> 16) & 0x7fff
}

/// FNV-1 of 64 bits; only its low half is used.
pub fn fnv1_64(key: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key {
        hash = hash.wrapping_mul(0x100_0000_01b3);
        hash ^= i64::from(byte.cast_signed()).cast_unsigned();
    }
    low_half(hash)
}

/// FNV-1a with the low halves of the 64-bit constants.
pub fn fnv1a_64(key: &[u8]) -> u32 {
    let mut hash = 0x8422_2325_u32;
    for byte in key {
        hash ^= signed(*byte);
        hash = hash.wrapping_mul(0x1b3);
    }
    hash
}

/// FNV-1 of 32 bits.
pub fn fnv1_32(key: &[u8]) -> u32 {
    let mut hash = 2_166_136_261_u32;
    for byte in key {
        hash = hash.wrapping_mul(16_777_619);
        hash ^= signed(*byte);
    }
    hash
}

/// FNV-1a of 32 bits.
pub fn fnv1a_32(key: &[u8]) -> u32 {
    let mut hash = 2_166_136_261_u32;
    for byte in key {
        hash ^= signed(*byte);
        hash = hash.wrapping_mul(16_777_619);
    }
    hash
}

/// Two bytes, little-endian, as hsieh reads them.
fn half_word(low: u8, high: u8) -> u32 {
    u32::from(u16::from_le_bytes([low, high]))
}

/// SuperFastHash with start 0 instead of the length.
pub fn hsieh(key: &[u8]) -> u32 {
    if key.is_empty() {
        return 0;
    }
    let (words, rest) = key.as_chunks::<4>();
    let mut hash = 0u32;
    for [a, b, c, d] in words {
        hash = hash.wrapping_add(half_word(*a, *b));
        let mixed = (half_word(*c, *d) << 11) ^ hash;
        hash = (hash << 16) ^ mixed;
        hash = hash.wrapping_add(hash >> 11);
    }
    match rest {
        [a, b, c] => {
            hash = hash.wrapping_add(half_word(*a, *b));
            hash ^= hash << 16;
            hash ^= signed(*c) << 18;
            hash = hash.wrapping_add(hash >> 11);
        }
        [a, b] => {
            hash = hash.wrapping_add(half_word(*a, *b));
            hash ^= hash << 11;
            hash = hash.wrapping_add(hash >> 17);
        }
        [a] => {
            hash = hash.wrapping_add(u32::from(*a));
            hash ^= hash << 10;
            hash = hash.wrapping_add(hash >> 1);
        }
        _ => {}
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

/// Up to four bytes as a little-endian word, missing ones zero.
fn partial_word(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    for (slot, byte) in word.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    u32::from_le_bytes(word)
}

/// MurmurHash2 of 32 bits with libmemcached's start. Lengths wrap at 32 bits, as in C.
pub fn murmur(key: &[u8]) -> u32 {
    const MIX: u32 = 0x5bd1_e995;
    let length = low_half(key.len() as u64);
    let mut hash = 0xdead_beef_u32.wrapping_mul(length) ^ length;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut piece = u32::from_le_bytes(*word).wrapping_mul(MIX);
        piece ^= piece >> 24;
        hash = hash.wrapping_mul(MIX) ^ piece.wrapping_mul(MIX);
    }
    if !rest.is_empty() {
        hash = (hash ^ partial_word(rest)).wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

/// lookup3's `hashlittle` with 13 as its start value; without input the start comes back unmixed.
pub fn jenkins(key: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(low_half(key.len() as u64)).wrapping_add(13);
    let mut state = [start; 3];
    let mut rest = key;
    while rest.len() > 12 {
        let Some((block, tail)) = rest.split_first_chunk::<12>() else {
            break;
        };
        jenkins_add(&mut state, block);
        jenkins_mix(&mut state);
        rest = tail;
    }
    if !rest.is_empty() {
        jenkins_add(&mut state, rest);
        jenkins_finish(&mut state);
    }
    let [_, _, result] = state;
    result
}

/// Adds up to twelve bytes to the three words of state.
fn jenkins_add(state: &mut [u32; 3], block: &[u8]) {
    for (word, bytes) in state.iter_mut().zip(block.chunks(4)) {
        *word = word.wrapping_add(partial_word(bytes));
    }
}

fn jenkins_mix(state: &mut [u32; 3]) {
    let [mut a, mut b, mut c] = *state;
    a = a.wrapping_sub(c) ^ c.rotate_left(4);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(6);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(8);
    b = b.wrapping_add(a);
    a = a.wrapping_sub(c) ^ c.rotate_left(16);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(19);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(4);
    b = b.wrapping_add(a);
    *state = [a, b, c];
}

fn jenkins_finish(state: &mut [u32; 3]) {
    let [mut a, mut b, mut c] = *state;
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    *state = [a, b, c];
}

/// The entry of a 256-row table for a masked index.
fn table_at(table: &[u32; 256], index: u32) -> u32 {
    table.get(index as usize).copied().unwrap_or_default()
}

#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which would refuse an index past the end"
)]
static CRC16_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0u32;
    while index < 256 {
        table[index as usize] = crc16_entry(index);
        index += 1;
    }
    table
};

#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which would refuse an index past the end"
)]
static CRC32_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0u32;
    while index < 256 {
        table[index as usize] = crc32_entry(index);
        index += 1;
    }
    table
};
