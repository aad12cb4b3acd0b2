//! stand-in
use crate::resp::write::Protocol;
#[derive(Debug)]
pub struct Identity { pub id: u64, pub authenticated: bool, pub protocol: Protocol }
impl Identity { pub fn new(id: u64, _address: String, authenticated: bool, _now: u64) -> Self { Self { id, authenticated, protocol: Protocol::Resp2 } } }
