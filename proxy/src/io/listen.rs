//! Accepting clients and handing them to workers.
//!
//! One thread for all listeners. Each accepted socket goes to the worker with the fewest live clients, counted
//! exactly, so that no worker is left with more than its share. Running out of file descriptors makes the acceptor
//! wait, not fail; a client above `max_clients` is told so in Redis's words.

use std::os::unix::fs::PermissionsExt;
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
            // A socket file that nobody listens on is left from an earlier run.
            if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
                std::fs::remove_file(path)?;
            }
            let listener = std::os::unix::net::UnixListener::bind(path)?;
            if let Some(mode) = mode {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
            }
            listener.set_nonblocking(true)?;
            Ok(ListenSocket::Unix(listener))
        }
    }
}

fn bind_tcp(host: &str, port: u16, backlog: u32) -> std::io::Result<std::net::TcpListener> {
    use std::net::ToSocketAddrs;
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
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
    if board.clients() >= bounds.clients_max {
        refuse(socket);
        return;
    }
    let worker = board.least_loaded();
    board.client_comes(worker);
    let message = Message::Client { pool: bounds.pool, socket, address };
    if !board.send(worker, message).await {
        board.client_left(worker);
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
