//! The whole gateway: starts everything, owns every thread, and stops in order.
//!
//! Start: load the plugins, bind the listen addresses (so a port in use is told before anything runs), start the
//! workers, then the acceptor. Stop: the acceptor ends, the workers answer what was asked
//! within `drain_timeout`, their connections close, the threads are joined. After `shutdown` nothing runs on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};

use crate::config::{Config, Listen, PoolConfig, Workers};
use crate::core::PoolSetup;
use crate::core::answer::GatewayFacts;
use crate::core::plugins_command::Reload;
use crate::io::board::Board;
use crate::io::listen::{self, ListenSocket, Listener};
use crate::io::plugins::Plugins;
use crate::io::worker::{self, Message, WorkerSetup};
use crate::limits;
use crate::topology::Topology;

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A pool's address cannot be listened on.
    #[error("pools.{pool}.listen: cannot listen on {address}: {error}{}", hint(.error))]
    Listen {
        /// The pool's name.
        pool: String,
        /// What was asked for.
        address: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// Plugins cannot be loaded.
    #[error("{}", .0.join("\n"))]
    Plugins(Vec<String>),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// What to look at when an address cannot be listened on.
fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "; is another server running there?",
        _ => "",
    }
}

/// Where a pool listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The pool's name.
    pub pool: String,
    /// The address, with the real port where 0 was asked for; the path of a unix socket.
    pub address: String,
    /// The address unless it is a unix socket.
    pub tcp: Option<SocketAddr>,
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Gateway {
    places: Vec<Place>,
    board: Arc<Board>,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    drain_timeout: Duration,
}

impl Gateway {
    /// Starts a gateway; it serves when this returns.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_from(config, "")
    }

    /// Starts a gateway whose configuration was read from `config_file`, which INFO shows.
    pub fn start_from(config: Config, config_file: &str) -> Result<Self, StartError> {
        raise_file_limit();
        let count = worker_count(config.workers);
        let plugins = Plugins::load(&config, count).map_err(StartError::Plugins)?;
        let (listeners, places) = bind_all(&config.pools)?;
        let (stop, stopped) = watch::channel(false);
        let (inboxes, messages): (Vec<_>, Vec<_>) =
            (0..count).map(|_| mpsc::channel(limits::INBOX_MESSAGES_MAX)).unzip();
        let (reloads, orders) = mpsc::channel(limits::PLUGIN_RELOADS_WAITING_MAX);
        let mut gateway = Self {
            places,
            board: Arc::new(Board::new(inboxes, config.pools.len(), reloads)),
            threads: Vec::new(),
            stop,
            drain_timeout: config.drain_timeout,
        };
        let catalog = plugins.as_ref().map_or(Vec::new(), |plugins| plugins.catalog(&config));
        let facts = facts(&listeners, count, config_file);
        for (number, messages) in (0..).zip(messages) {
            let pools = pool_setups(&config, plugins.as_ref());
            let setup = WorkerSetup {
                number,
                pools,
                catalog: catalog.clone(),
                facts: facts.clone(),
                board: Arc::clone(&gateway.board),
                bytes_max: config.memory_budget_bytes,
                seed: seed(number),
            };
            gateway
                .start_thread(format!("worker-{number}"), move || worker::run(setup, messages))?;
        }
        if let Some(plugins) = plugins {
            gateway.start_plugin_watch(plugins, orders, stopped.clone())?;
        }
        gateway.start_acceptor(listeners, stopped)?;
        Ok(gateway)
    }

    fn start_plugin_watch(
        &mut self,
        plugins: Plugins,
        orders: mpsc::Receiver<Reload>,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let workers = self.board.inboxes();
        self.start_thread("plugins".into(), move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(plugins.watch(workers, orders, stopped));
            Ok(())
        })
    }

    fn start_acceptor(
        &mut self,
        listeners: Vec<Listener>,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let board = Arc::clone(&self.board);
        self.start_thread("acceptor".into(), move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(listen::accept_all(listeners, board, stopped))
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

    /// Where each pool listens.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Names and addresses of the pools that listen over TCP.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let tcp = self.places.iter().filter_map(|place| Some((place.pool.clone(), place.tcp?)));
        tcp.collect()
    }

    /// Stops: no new clients, the present ones get their replies within `drain_timeout`, then all is closed.
    pub fn shutdown(self) {
        let _no_acceptor_left = self.stop.send(true);
        for inbox in self.board.inboxes() {
            let _worker_ended = inbox.blocking_send(Message::Drain(self.drain_timeout));
        }
        for thread in self.threads {
            let _panicked = thread.join();
        }
    }
}

/// Lets the process open as many files as it may: each client and each connection to a shard is one.
fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit) {
        tracing::warn!(%error, "the number of open files stays as it is");
    }
}

/// What a worker gets of each pool.
fn pool_setups(config: &Config, plugins: Option<&Plugins>) -> Vec<PoolSetup> {
    let setup = |(index, pool): (usize, &PoolConfig)| PoolSetup {
        config: Arc::new(pool.clone()),
        topology: Topology::from_pool(pool),
        bindings: plugins.map_or(Vec::new(), |plugins| plugins.bindings(config, index)),
    };
    config.pools.iter().enumerate().map(setup).collect()
}

fn facts(listeners: &[Listener], workers: u16, config_file: &str) -> GatewayFacts {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    GatewayFacts {
        run_id: (0..3)
            .map(|part| format!("{:016x}", seed(part)))
            .collect::<String>()
            .chars()
            .take(40)
            .collect(),
        process_id: std::process::id(),
        workers: usize::from(workers),
        config_file: config_file.to_owned(),
        started_unix_ms: u64::try_from(started.as_millis()).unwrap_or(0),
        ports: listeners.iter().map(Listener::port).collect(),
        ..GatewayFacts::default()
    }
}

fn bind_all(pools: &[PoolConfig]) -> Result<(Vec<Listener>, Vec<Place>), StartError> {
    let mut listeners = Vec::new();
    let mut places = Vec::new();
    for (pool, config) in (0..).zip(pools) {
        let asked_for = match &config.listen {
            Listen::Tcp { host, port } => format!("{host}:{port}"),
            Listen::Unix { path, .. } => path.display().to_string(),
        };
        let name = config.name.clone();
        let socket = match listen::bind(&config.listen, config.backlog) {
            Ok(socket) => socket,
            Err(error) => return Err(StartError::Listen { pool: name, address: asked_for, error }),
        };
        let tcp = match &socket {
            ListenSocket::Tcp(socket) => socket.local_addr().ok(),
            ListenSocket::Unix(_) => None,
        };
        let address = tcp.map_or(asked_for, |address| address.to_string());
        places.push(Place { pool: name, address, tcp });
        let clients_max = u64::from(config.max_clients);
        listeners.push(Listener { pool, clients_max, socket });
    }
    Ok((listeners, places))
}

/// How many workers run.
pub fn worker_count(workers: Workers) -> u16 {
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
fn seed(number: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(number)
}
