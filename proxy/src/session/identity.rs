//! Who a client is: its number, names, protocol, and whether it may do anything.
//!
//! In: what HELLO, AUTH, RESET, CLIENT SETNAME and CLIENT SETINFO say. Out: the facts that replies, CLIENT INFO and the
//! choice of lane need. Names hold what Redis allows: printable bytes without spaces, so that CLIENT LIST stays
//! readable by clients that split it at spaces; each is bounded by `limits::CLIENT_TEXT_BYTES_MAX`.
//! Passwords are not kept or compared here.

use crate::limits::CLIENT_TEXT_BYTES_MAX;
use crate::resp::write::Protocol;

/// Why a name is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Holds a space, a line end or another byte that is not printable ASCII.
    #[error("cannot contain spaces, newlines or special characters.")]
    Characters,
    #[error("cannot be longer than {CLIENT_TEXT_BYTES_MAX} bytes")]
    Length,
}

/// The facts of one client connection.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Unique in this process; never used again.
    pub id: u64,
    /// Whether it may send more than AUTH and its like.
    pub authenticated: bool,
    pub protocol: Protocol,
    /// The database that SELECT chose.
    pub database: u16,
    /// The client's address as CLIENT INFO shows it.
    pub address: String,
    /// The address that it connected to.
    pub local_address: String,
    /// When it connected, milliseconds of the Unix clock.
    pub created_ms: u64,
    name: Vec<u8>,
    library_name: Vec<u8>,
    library_version: Vec<u8>,
}

impl Identity {
    /// A client that has just connected. `authenticated` is whether no password is asked for.
    pub fn new(
        id: u64,
        address: String,
        local_address: String,
        now_ms: u64,
        authenticated: bool,
    ) -> Self {
        Self {
            id,
            authenticated,
            protocol: Protocol::Resp2,
            database: 0,
            address,
            local_address,
            created_ms: now_ms,
            name: Vec::new(),
            library_name: Vec::new(),
            library_version: Vec::new(),
        }
    }

    /// Back to what it was when it connected, as RESET does: RESP2, its pool's database, no name, not authenticated where a password
    /// is asked for. What CLIENT SETINFO said stays.
    pub fn reset(&mut self, authenticated: bool, database: u16) {
        self.authenticated = authenticated;
        self.protocol = Protocol::Resp2;
        self.database = database;
        self.name.clear();
    }

    /// Its name; empty if it has none.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its library's name; empty if it did not say.
    pub fn library_name(&self) -> &[u8] {
        &self.library_name
    }

    /// Its library's version; empty if it did not say.
    pub fn library_version(&self) -> &[u8] {
        &self.library_version
    }

    /// CLIENT SETNAME; an empty name takes the name away.
    pub fn set_name(&mut self, name: &[u8]) -> Result<(), NameError> {
        self.name = checked(name)?.to_vec();
        Ok(())
    }

    /// CLIENT SETINFO LIB-NAME.
    pub fn set_library_name(&mut self, name: &[u8]) -> Result<(), NameError> {
        self.library_name = checked(name)?.to_vec();
        Ok(())
    }

    /// CLIENT SETINFO LIB-VER.
    pub fn set_library_version(&mut self, version: &[u8]) -> Result<(), NameError> {
        self.library_version = checked(version)?.to_vec();
        Ok(())
    }
}

/// `name` if it may be one.
pub fn checked(name: &[u8]) -> Result<&[u8], NameError> {
    if name.len() > CLIENT_TEXT_BYTES_MAX {
        return Err(NameError::Length);
    }
    if !name.iter().all(u8::is_ascii_graphic) {
        return Err(NameError::Characters);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity::new(7, "10.0.0.1:5".to_owned(), "10.0.0.2:6380".to_owned(), 1000, false)
    }

    #[test]
    fn names_are_printable_and_bounded() {
        let mut identity = identity();
        assert_eq!(identity.set_name(b"worker-1!~"), Ok(()));
        for bad in [b"a b".as_slice(), b"a\n", b"\x7f", b"caf\xc3\xa9", b"\0"] {
            assert_eq!(identity.set_name(bad), Err(NameError::Characters), "{bad:?}");
        }
        let long = [b'a'; CLIENT_TEXT_BYTES_MAX + 1];
        assert_eq!(identity.set_library_name(&long), Err(NameError::Length));
        assert_eq!(identity.name(), b"worker-1!~");
        assert_eq!(identity.set_name(b""), Ok(()));
        assert_eq!(identity.name(), b"");
    }

    #[test]
    fn reset_takes_back_what_the_connection_set_but_not_its_library() {
        let mut identity = identity();
        identity.authenticated = true;
        identity.protocol = Protocol::Resp3;
        identity.set_name(b"bob").unwrap();
        identity.set_library_name(b"redis-py").unwrap();
        identity.reset(false, 0);
        assert_eq!(identity.protocol, Protocol::Resp2);
        assert_eq!(identity.name(), b"");
        assert_eq!(identity.library_name(), b"redis-py");
        assert!(!identity.authenticated);
        assert_eq!(identity.id, 7);
    }
}
