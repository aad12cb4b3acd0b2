//! Accepting clients and handing them to workers.
//!
//! One thread for all listeners. Each accepted socket goes to the worker with the fewest live clients, counted
//! exactly, so that no worker is left with more than its share. Running out of file descriptors makes the acceptor
//! wait, not fail; a client above its pool's `max_clients` is told so in Redis's words.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use crate::config::Listen;
use crate::io::board::Board;
use crate::io::worker::{Accepted, Message};

/// A bound listener of one pool.
#[derive(Debug)]
pub struct Listener {
    /// Index of the pool.
    pub pool: u16,
    /// Most clients of the pool.
    pub clients_max: u64,
    /// The socket.
    pub socket: ListenSocket,
}

impl Listener {
    /// Its TCP port; 0 for a unix socket.
    pub fn port(&self) -> u16 {
        match &self.socket {
            ListenSocket::Tcp(socket) => socket.local_addr().map_or(0, |address| address.port()),
            ListenSocket::Unix(_) => 0,
        }
    }
}

/// The socket of a listener.
#[derive(Debug)]
pub enum ListenSocket {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// Binds what a pool's `listen` says.
pub fn bind(listen: &Listen, backlog: u32) -> std::io::Result<ListenSocket> {
    match listen {
        Listen::Tcp { host, port } => bind_tcp(host, *port, backlog).map(ListenSocket::Tcp),
        Listen::Unix { path, mode } => {
            remove_left_socket(path)?;
            let listener = std::os::unix::net::UnixListener::bind(path)?;
            if let Some(mode) = mode {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
            }
            listener.set_nonblocking(true)?;
            Ok(ListenSocket::Unix(listener))
        }
    }
}

/// Removes a socket that nobody listens on, left from an earlier run. Whatever else is at `path` stays.
fn remove_left_socket(path: &Path) -> std::io::Result<()> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(facts) => facts.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        let text = "there is a file that is no socket, and it is left as it is";
        return Err(Error::new(ErrorKind::AlreadyExists, text));
    }
    // Without waiting: a listener whose backlog is full is one as well.
    let probe = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&socket2::SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Ok(()) => Err(ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

fn bind_tcp(host: &str, port: u16, backlog: u32) -> std::io::Result<std::net::TcpListener> {
    use std::net::ToSocketAddrs;
    let mut last = Error::new(ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        let family = socket2::Domain::for_address(address);
        let bound = socket2::Socket::new(family, socket2::Type::STREAM, None).and_then(|socket| {
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        match bound {
            Ok(socket) => return Ok(socket.into()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Accepts clients until `stop` says so.
pub async fn accept_all(
    listeners: Vec<Listener>,
    board: Arc<Board>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut accepting = tokio::task::JoinSet::new();
    for listener in listeners {
        let board = Arc::clone(&board);
        let mut stop = stop.clone();
        let bounds = Bounds { pool: listener.pool, clients_max: listener.clients_max };
        let socket = match listener.socket {
            ListenSocket::Tcp(socket) => Socket::Tcp(TcpListener::from_std(socket)?),
            ListenSocket::Unix(socket) => Socket::Unix(UnixListener::from_std(socket)?),
        };
        accepting.spawn(async move {
            tokio::select! {
                () = accept_loop(&socket, bounds, &board) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }
    while accepting.join_next().await.is_some() {}
    Ok(())
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

#[derive(Clone, Copy)]
struct Bounds {
    pool: u16,
    clients_max: u64,
}

async fn accept_loop(socket: &Socket, bounds: Bounds, board: &Board) {
    loop {
        match accept_one(socket).await {
            Ok((accepted, address)) => hand_over(accepted, address, bounds, board).await,
            Err(error) => {
                // EMFILE and its like pass when a client leaves: wait a little.
                tracing::warn!(%error, "a client could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn accept_one(socket: &Socket) -> std::io::Result<(Accepted, String)> {
    match socket {
        Socket::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Accepted::Tcp(stream.into_std()?), address.to_string()))
        }
        Socket::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            Ok((Accepted::Unix(stream.into_std()?), "unix:0".into()))
        }
    }
}

async fn hand_over(socket: Accepted, address: String, bounds: Bounds, board: &Board) {
    let Bounds { pool, clients_max } = bounds;
    if board.clients_of(pool) >= clients_max {
        board.client_refused();
        refuse(socket);
        return;
    }
    let worker = board.least_loaded();
    board.client_comes(worker, pool);
    if !board.send(worker, Message::Client { pool, socket, address }).await {
        board.client_left(worker, pool);
    }
}

fn refuse(socket: Accepted) {
    use std::io::Write;
    let text = b"-ERR max number of clients reached\r\n";
    // The socket is fresh: its buffer takes the line, or the client is gone.
    let _sent = match socket {
        Accepted::Tcp(mut socket) => socket.write(text),
        Accepted::Unix(mut socket) => socket.write(text),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let name = format!("sluicegate-listen-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn bind_at(path: &Path) -> std::io::Result<ListenSocket> {
        bind(&Listen::Unix { path: path.to_path_buf(), mode: Some(0o600) }, 16)
    }

    #[test]
    fn file_at_the_path_of_a_socket_stays_and_is_told() {
        let folder = folder("file");
        let file = folder.join("notes");
        std::fs::write(&file, "mine").unwrap();
        let link = folder.join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&file, &link, &folder] {
            let error = bind_at(path).unwrap_err();
            assert!(error.to_string().contains("no socket"), "{path:?}: {error}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn socket_is_taken_over_only_when_nobody_listens_on_it() {
        let folder = folder("socket");
        let path = folder.join("gate.sock");
        let first = bind_at(&path).unwrap();
        assert_eq!(bind_at(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists(), "a socket file outlives its listener");
        bind_at(&path).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }
}
