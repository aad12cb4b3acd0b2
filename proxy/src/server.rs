//! The whole gateway: starts everything, owns every thread, and stops in order.
//!
//! Start: check what the configuration names (listen addresses are bound first, so a port in use is told before
//! anything runs), start the workers, then the acceptor. Stop: the acceptor ends, the workers answer what was asked
//! within `drain_timeout`, their connections close, the threads are joined. After `shutdown` nothing runs on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::config::{Config, Listen, PoolConfig, Workers};
use crate::core::Pool;
use crate::io::listen::{self, ListenSocket, Listener, WorkerDoor};
use crate::io::worker::{self, Message, WorkerSetup};
use crate::limits;
use crate::topology::Topology;

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A pool's address cannot be listened on.
    #[error("pools.{pool}.listen: cannot listen on {address}: {error}; is another server running there?")]
    Listen {
        /// The pool's name.
        pool: String,
        /// What was asked for.
        address: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Gateway {
    addresses: Vec<(String, SocketAddr)>,
    doors: Vec<WorkerDoor>,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    drain_timeout: Duration,
}

impl Gateway {
    /// Starts a gateway; it serves when this returns.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let (listeners, addresses) = bind_all(&config.pools)?;
        let pools: Vec<(Arc<PoolConfig>, Topology)> = config
            .pools
            .iter()
            .map(|pool| (Arc::new(pool.clone()), Topology::from_pool(pool)))
            .collect();
        let (stop, stopped) = watch::channel(false);
        let mut gateway = Self {
            addresses,
            doors: Vec::new(),
            threads: Vec::new(),
            stop,
            drain_timeout: config.drain_timeout,
        };
        for number in 0..worker_count(config.workers) {
            let pools = pools
                .iter()
                .map(|(pool, topology)| Pool::new(Arc::clone(pool), topology.clone().with_seed(seed(number))))
                .collect();
            gateway.start_worker(number, pools, config.memory_budget_bytes)?;
        }
        gateway.start_acceptor(listeners, stopped)?;
        Ok(gateway)
    }

    fn start_worker(
        &mut self,
        number: u16,
        pools: Vec<Pool>,
        bytes_max: usize,
    ) -> Result<(), StartError> {
        let live = Arc::new(AtomicUsize::new(0));
        let (inbox, messages) = mpsc::channel(limits::INBOX_MESSAGES_MAX);
        let setup = WorkerSetup {
            number: u64::from(number),
            pools,
            bytes_max,
            seed: seed(number),
            live: Arc::clone(&live),
        };
        self.doors.push(WorkerDoor { live, inbox });
        self.start_thread(format!("worker-{number}"), move || worker::run(setup, messages))
    }

    fn start_acceptor(
        &mut self,
        listeners: Vec<Listener>,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let doors = self.doors.clone();
        self.start_thread("acceptor".into(), move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(listen::accept_all(listeners, doors, stopped))
        })
    }

    fn start_thread(
        &mut self,
        name: String,
        run: impl FnOnce() -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), StartError> {
        let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
            if let Err(error) = run() {
                tracing::error!(thread = name, %error, "a thread of the gateway ended");
            }
        });
        self.threads.push(thread.map_err(StartError::Thread)?);
        Ok(())
    }

    /// Where each pool listens over TCP: its name and the address, with the real port where 0 was asked for.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.addresses.clone()
    }

    /// Stops: no new clients, the present ones get their replies within `drain_timeout`, then all is closed.
    pub fn shutdown(self) {
        let _no_acceptor_left = self.stop.send(true);
        for door in &self.doors {
            let _worker_ended = door.inbox.blocking_send(Message::Drain(self.drain_timeout));
        }
        drop(self.doors);
        for thread in self.threads {
            let _panicked = thread.join();
        }
    }
}

fn bind_all(
    pools: &[PoolConfig],
) -> Result<(Vec<Listener>, Vec<(String, SocketAddr)>), StartError> {
    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for (pool, config) in (0..).zip(pools) {
        let socket = listen::bind(&config.listen, config.backlog).map_err(|error| {
            let address = match &config.listen {
                Listen::Tcp { host, port } => format!("{host}:{port}"),
                Listen::Unix { path, .. } => path.display().to_string(),
            };
            StartError::Listen { pool: config.name.clone(), address, error }
        })?;
        if let ListenSocket::Tcp(socket) = &socket
            && let Ok(address) = socket.local_addr()
        {
            addresses.push((config.name.clone(), address));
        }
        let clients_max = usize::try_from(config.max_clients).unwrap_or(usize::MAX);
        listeners.push(Listener { pool, clients_max, socket });
    }
    Ok((listeners, addresses))
}

fn worker_count(workers: Workers) -> u16 {
    match workers {
        Workers::Count(count) => count,
        Workers::Auto => std::thread::available_parallelism()
            .ok()
            .and_then(|count| u16::try_from(count.get()).ok())
            .unwrap_or(1)
            .min(limits::WORKERS_MAX),
    }
}

/// A seed that differs between workers and starts; nothing secret hangs on it.
fn seed(number: u16) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(number)
}
