//! The name of a key that lives beside another key, on the same shard.
//!
//! `{<hashed part of the owner>}:sg:<name>`: the braces make every Redis tool place it with its owner, and the fixed
//! middle lets the gateway hide such keys from SCAN and KEYS. When the hashed part is not the whole owner, the owner
//! follows, so that two keys with one tag never share a name.

/// What every such name has after its tag.
pub const MARK: &[u8] = b"}:sg:";

/// Appends the name of the key called `name` beside `owner`, of which the shards hash the part `hashed`.
pub fn write_name(owner: &[u8], hashed: &[u8], name: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    out.extend_from_slice(hashed);
    out.extend_from_slice(MARK);
    out.extend_from_slice(name);
    if hashed.len() != owner.len() {
        out.push(b':');
        out.extend_from_slice(owner);
    }
}

/// Bytes that `write_name` appends.
pub fn name_len(owner: &[u8], hashed: &[u8], name: &[u8]) -> usize {
    let tail = if hashed.len() == owner.len() { 0 } else { 1 + owner.len() };
    1 + hashed.len() + MARK.len() + name.len() + tail
}

/// Whether `key` is such a name.
pub fn is_beside(key: &[u8]) -> bool {
    key.first() == Some(&b'{') && key.windows(MARK.len()).any(|window| window == MARK)
}

#[cfg(test)]
mod tests {
    use super::{is_beside, name_len, write_name};

    #[test]
    fn beside_name_is_distinct_per_owner_and_recognised() {
        let cases: &[(&str, &str, &str)] = &[
            ("user:1", "user:1", "{user:1}:sg:lease"),
            ("{u1}:a", "u1", "{u1}:sg:lease:{u1}:a"),
            ("{u1}:b", "u1", "{u1}:sg:lease:{u1}:b"),
        ];
        for (owner, hashed, wanted) in cases {
            let mut out = Vec::new();
            write_name(owner.as_bytes(), hashed.as_bytes(), b"lease", &mut out);
            assert_eq!(String::from_utf8_lossy(&out), *wanted);
            assert_eq!(out.len(), name_len(owner.as_bytes(), hashed.as_bytes(), b"lease"));
            assert!(is_beside(&out));
            assert!(!is_beside(owner.as_bytes()));
        }
    }
}
