//! The command line: what each subcommand prints.
//!
//! A subcommand here is a function from its inputs to an `Outcome`: the text to print and the exit code. The binary
//! reads the arguments, prints and exits. Nothing here opens a socket or writes to a terminal.
//!
//! Texts are for people first, but stable: one finding per line, `FILE:LINE: PATH: problem`.

pub mod check;
pub mod explain;

use std::path::Path;

use crate::config::fault::Fault;
use crate::config::{Distribution, Listen, PoolConfig};

/// What a subcommand prints, and its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub text: String,
    /// 0: done; 1: the file has faults, or what was asked for does not exist.
    pub exit_code: u8,
}

/// `FILE:LINE: PATH: problem`, the line and the path as far as known.
pub fn finding_line(file: &Path, finding: &Fault) -> String {
    let line = finding.line.map_or(String::new(), |line| format!(":{line}"));
    let path = match finding.path.as_str() {
        "" => String::new(),
        path => format!(" {path}:"),
    };
    format!("{}{line}:{path} {}", file.display(), finding.problem)
}

/// Where a pool listens, as written in a file.
fn shown_listen(listen: &Listen) -> String {
    match listen {
        Listen::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
        Listen::Tcp { host, port } => format!("{host}:{port}"),
        Listen::Unix { path, .. } => path.display().to_string(),
    }
}

/// A pool's rules in one line: `ring, hash xxh3_64, hash tag {}`.
fn shown_rules(pool: &PoolConfig) -> String {
    let tag = match pool.hash_tag {
        Some(tag) => format!("hash tag {}", shown_bytes(&tag)),
        None => "no hash tag".to_owned(),
    };
    let hash = pool.hash.name();
    match pool.distribution {
        Distribution::Ring => format!("ring, hash {hash}, {tag}"),
        Distribution::Ketama => format!("ketama, hash {hash}, {tag}"),
        Distribution::Modula => format!("modula, hash {hash}, {tag}"),
        Distribution::Random => "random".to_owned(),
    }
}

/// Bytes from a user as one line of text: as they are if printable, else escaped.
fn shown_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_names_file_line_and_path_as_far_as_known() {
        let mut finding =
            Fault { path: "pools.a".to_owned(), line: Some(4), problem: "no shards".to_owned() };
        let file = Path::new("gate.yaml");
        assert_eq!(finding_line(file, &finding), "gate.yaml:4: pools.a: no shards");
        finding.line = None;
        finding.path.clear();
        assert_eq!(finding_line(file, &finding), "gate.yaml: no shards");
    }

    #[test]
    fn unprintable_bytes_are_escaped() {
        let cases: [(&[u8], &str); 4] = [
            (b"user:1", "user:1"),
            ("café".as_bytes(), "café"),
            (b"a\r\nb", "a\\r\\nb"),
            (b"\xff\x00", "\\xff\\x00"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(shown_bytes(bytes), expected);
        }
    }
}
