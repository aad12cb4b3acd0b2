//! `sluicegate plugin reload`: lets a running gateway read plugin files again, and prints what it says.
//!
//! In: its address, or its configuration, and names. Out: one line per answer; exit code 1 when one is an error. Speaks
//! RESP to the gateway like any client.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{Outcome, check};
use crate::config::{self, Listen, with_port};
use crate::limits;
use crate::resp::reply::{ReplyScan, ReplyScanned};
use crate::resp::write;

/// Where a gateway listens that nobody says anything of.
const DEFAULT_ADDRESS: &str = "127.0.0.1:6380";
/// For connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which gateway.
#[derive(Debug)]
pub struct Target {
    /// Where it listens.
    pub address: Option<String>,
    /// Its configuration.
    pub config: Option<PathBuf>,
    /// For AUTH.
    pub auth_user: Option<String>,
    /// For AUTH.
    pub password: Option<String>,
}

/// Orders a reload of these plugins, or of all.
pub fn reload(target: &Target, names: &[String]) -> Result<Outcome, String> {
    let (address, known_password) = resolve(target)?;
    let mut gateway = connect(&address)?;
    let password = target.password.clone().map(String::into_bytes).or(known_password);
    if let Some(password) = password {
        let user = target.auth_user.as_deref().map(str::as_bytes);
        let words: Vec<&[u8]> =
            [Some(&b"AUTH"[..]), user, Some(&password)].into_iter().flatten().collect();
        let told = ask(&mut gateway, &words, &address)?;
        if told.starts_with('-') {
            return Err(format!("{address}: {}", told.trim_start_matches('-')));
        }
    }
    let mut outcome = Outcome { text: String::new(), exit_code: 0 };
    let orders: Vec<Option<&String>> =
        if names.is_empty() { vec![None] } else { names.iter().map(Some).collect() };
    for name in orders {
        let order = [&b"SLUICEGATE"[..], b"PLUGIN", b"RELOAD"];
        let words: Vec<&[u8]> = order.into_iter().chain(name.map(|name| name.as_bytes())).collect();
        let told = ask(&mut gateway, &words, &address)?;
        if told.starts_with('-') {
            outcome.exit_code = 1;
        }
        outcome.text.push_str(told.trim_start_matches(['+', '-']));
        outcome.text.push('\n');
    }
    Ok(outcome)
}

/// The address, and the password that the configuration knows.
fn resolve(target: &Target) -> Result<(String, Option<Vec<u8>>), String> {
    let Some(file) = &target.config else {
        let address = target.address.clone();
        return Ok((address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned()), None));
    };
    let loaded = config::load(file).map_err(|_| check::check(file).text)?;
    let listens = |listen: &Listen| match listen {
        Listen::Tcp { host, port } => Some(with_port(host, *port)),
        Listen::Unix { .. } => None,
    };
    let mut pools = loaded.config.pools.iter().filter_map(|pool| {
        let password = pool.client_password.as_ref().map(|password| password.bytes().to_vec());
        Some((listens(&pool.listen)?, password))
    });
    let found = match &target.address {
        Some(given) => {
            let known = pools.find(|(address, _)| is_same(address, given));
            Some((given.clone(), known.and_then(|(_, password)| password)))
        }
        None => pools.next(),
    };
    found.ok_or_else(|| {
        format!("{}: no pool listens over TCP; name one with --address", file.display())
    })
}

/// Whether both names are of one socket, so that a password is for it.
fn is_same(one: &str, other: &str) -> bool {
    let sockets = |name: &str| name.to_socket_addrs().into_iter().flatten().collect::<Vec<_>>();
    let others = sockets(other);
    one == other || sockets(one).iter().any(|socket| others.contains(socket))
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let failed = |error: std::io::Error| {
        format!(
            "cannot connect to {address}: {error}; is the gateway running? --address says where"
        )
    };
    // A name may stand for several: the gateway listens on one of them.
    let mut found = None;
    for socket in address.to_socket_addrs().map_err(failed)? {
        found = Some(TcpStream::connect_timeout(&socket, CONNECT_TIMEOUT));
        if matches!(found, Some(Ok(_))) {
            break;
        }
    }
    let found = found.ok_or_else(|| format!("{address} names no address"))?;
    let stream = found.map_err(failed)?;
    let patience = Duration::from_millis(limits::PLUGIN_RELOAD_MS) + CONNECT_TIMEOUT;
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
    Ok(stream)
}

/// Sends a request; the line that is its reply, with the mark in front.
fn ask(gateway: &mut TcpStream, words: &[&[u8]], address: &str) -> Result<String, String> {
    let lost = |error: std::io::Error| format!("{address}: no reply: {error}");
    let mut request = Vec::new();
    write::request(&mut request, words.iter().copied());
    gateway.write_all(&request).map_err(lost)?;
    let (mut reply, mut scan, mut part) = (Vec::new(), ReplyScan::default(), [0; 4096]);
    loop {
        match scan.scan(&reply) {
            ReplyScanned::Complete { len } => {
                let line = reply.get(..len).unwrap_or_default();
                return Ok(String::from_utf8_lossy(line).trim_end().to_owned());
            }
            ReplyScanned::Broken => return Err(format!("{address} does not speak RESP")),
            ReplyScanned::Incomplete => {}
        }
        let count = gateway.read(&mut part).map_err(lost)?;
        if count == 0 {
            return Err(format!("{address} closed the connection; outcome unknown"));
        }
        reply.extend(part.iter().take(count));
    }
}
