//! Addresses as written: `host:port`, `[::1]:port`, `/path/to/socket`.
//!
//! In: text. Out: a `Listen` or an `Address`, or `None`; the caller words the fault. The port stands after the last
//! colon, as twemproxy reads it. Host names are not resolved here: that happens at every connect.
//!
//! `default_name` is what placement uses for a shard without a name of its own.

use std::path::PathBuf;

use super::{Address, Distribution, Listen};

/// The port that libmemcached left out of names; twemproxy still does.
const KETAMA_PORT: u16 = 11211;

/// A shard's address.
pub(super) fn address(text: &str) -> Option<Address> {
    if text.starts_with('/') {
        let path = PathBuf::from(text);
        return is_plain(text).then_some(Address::Unix { path });
    }
    let (host, port) = host_port(text)?;
    (port > 0).then_some(Address::Tcp { host, port })
}

/// An address to listen on: port 0 means any free port, a socket's path may be followed by its permissions in octal.
pub(super) fn listen(text: &str) -> Option<Listen> {
    if !text.starts_with('/') {
        let (host, port) = host_port(text)?;
        return Some(Listen::Tcp { host, port });
    }
    let (path, mode) = match text.rsplit_once(' ') {
        Some((path, mode)) => (path, Some(octal_mode(mode)?)),
        None => (text, None),
    };
    let path_buf = PathBuf::from(path);
    is_plain(path).then_some(Listen::Unix { path: path_buf, mode })
}

fn octal_mode(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok()?;
    (digits && mode <= 0o777).then_some(mode)
}

/// Host and port around the last colon; brackets around an IPv6 address are taken off.
fn host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = whole(port)?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = inner.unwrap_or(host);
    let plain = !host.is_empty() && is_plain(host) && !host.contains(['[', ']', '/']);
    plain.then(|| (host.to_owned(), port))
}

/// Digits only, as `parse` would also take a plus sign.
fn whole(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Without white space or control characters.
pub(super) fn is_plain(text: &str) -> bool {
    !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
}

/// What placement hashes for a shard without a name: its address as written, under twemproxy's rules for `ketama`
/// (no port if it is 11211; a socket's path with the colon that follows it in `servers`).
pub(super) fn default_name(written: &str, address: &Address, distribution: Distribution) -> String {
    if distribution != Distribution::Ketama {
        return written.to_owned();
    }
    match address {
        Address::Tcp { port, .. } if *port == KETAMA_PORT => {
            written.rsplit_once(':').map_or(written, |(host, _)| host).to_owned()
        }
        Address::Tcp { .. } => written.to_owned(),
        Address::Unix { .. } => format!("{written}:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Option<Address> {
        let host = host.to_owned();
        Some(Address::Tcp { host, port })
    }

    #[test]
    fn shard_address_is_host_and_port_or_a_path() {
        let cases = [
            ("127.0.0.1:7001", tcp("127.0.0.1", 7001)),
            ("redis-1.internal:6379", tcp("redis-1.internal", 6379)),
            ("[::1]:6379", tcp("::1", 6379)),
            ("::1:6379", tcp("::1", 6379)),
            ("127.0.0.1", None),
            ("127.0.0.1:0", None),
            ("127.0.0.1:65536", None),
            ("127.0.0.1:+80", None),
            ("127.0.0.1:", None),
            (":6379", None),
            ("a b:6379", None),
            ("redis://a:6379", None),
        ];
        for (text, expected) in cases {
            assert_eq!(address(text), expected, "{text}");
        }
        let path = PathBuf::from("/run/redis.sock");
        assert_eq!(address("/run/redis.sock"), Some(Address::Unix { path }));
    }

    #[test]
    fn listen_address_may_leave_the_port_open_and_set_permissions() {
        let unix = |mode| {
            let path = PathBuf::from("/run/gate.sock");
            Some(Listen::Unix { path, mode })
        };
        let host = "0.0.0.0".to_owned();
        assert_eq!(listen("0.0.0.0:0"), Some(Listen::Tcp { host, port: 0 }));
        assert_eq!(listen("/run/gate.sock"), unix(None));
        assert_eq!(listen("/run/gate.sock 0660"), unix(Some(0o660)));
        for wrong in ["/run/gate.sock 888", "/run/gate.sock 1777", "/a b 660", "6380"] {
            assert_eq!(listen(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn unnamed_shard_is_called_as_twemproxy_calls_it() {
        let cases = [
            ("127.0.0.1:6379", "127.0.0.1:6379", "127.0.0.1:6379"),
            ("127.0.0.1:11211", "127.0.0.1", "127.0.0.1:11211"),
            ("/run/redis.sock", "/run/redis.sock:", "/run/redis.sock"),
        ];
        for (written, ketama, ring) in cases {
            let address = address(written).unwrap();
            let name = |distribution| default_name(written, &address, distribution);
            assert_eq!(name(Distribution::Ketama), ketama);
            assert_eq!(name(Distribution::Ring), ring);
        }
    }
}
