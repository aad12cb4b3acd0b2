//! A worker: one thread that owns its clients, its connections to shards and its plugin instances.
//!
//! The thread runs a current-thread runtime. Its inbox is for rare things (a new client, the order to stop); no
//! request passes through it. The worker ends when it has been told to drain and its last client is gone, or when
//! the time for that is over.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::TcpStream as StdTcpStream;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use crate::core::answer::GatewayFacts;
use crate::core::ask::{Answer, Ask};
use crate::core::catalog::KnownPlugin;
use crate::core::confirm::SubscriptionNews;
use crate::core::ids::ConfirmationId;
use crate::core::monitor::Shown;
use crate::core::script_texts::ScriptNews;
use crate::core::waiters::Notice;
use crate::core::{Core, Pool, PoolSetup};
use crate::io::board::Board;
use crate::io::plugins::{Heard, PluginNews};
use crate::io::turn::{Told, Turn};
use crate::io::{backend, client, plugins};

/// A socket that was accepted.
#[derive(Debug)]
pub enum Accepted {
    /// Over TCP.
    Tcp(StdTcpStream),
    /// Over a unix socket.
    Unix(StdUnixStream),
}

impl Accepted {
    /// The address that the client connected to, as CLIENT INFO shows it.
    fn local_address(&self) -> String {
        match self {
            Self::Tcp(socket) => socket.local_addr().map_or(String::new(), |a| a.to_string()),
            Self::Unix(socket) => socket
                .local_addr()
                .ok()
                .and_then(|address| address.as_pathname().map(|path| path.display().to_string()))
                .unwrap_or_default(),
        }
    }
}

/// What a worker is told from outside.
#[derive(Debug)]
pub enum Message {
    /// Serve this client.
    Client {
        /// Index of the pool it connected to.
        pool: u16,
        /// Its socket.
        socket: Accepted,
        /// Its address, as CLIENT LIST shows it.
        address: String,
    },
    /// A plugin has a new generation, or a new file was refused.
    Plugin(PluginNews, Heard),
    /// Another worker has learned or forgotten scripts.
    Scripts(ScriptNews),
    /// Calls of this worker may wait for what a plugin notifies on another.
    Notice(Notice),
    /// A client of another worker asks about the clients of all.
    Ask(Ask),
    /// The answer to a question of this worker.
    Answer(Answer),
    /// Lines for clients of this worker that monitor.
    Shown(Shown),
    /// Sessions of another worker subscribe, or do so no more.
    Subscriptions(SubscriptionNews),
    /// Another worker knows of a change of subscriptions.
    SubscriptionsKnown(ConfirmationId),
    /// End: answer what was asked, for at most this long, then close.
    Drain(Duration),
}

/// What a worker needs to start.
#[derive(Debug)]
pub struct WorkerSetup {
    /// Its number, from 0.
    pub number: u64,
    /// Its pools.
    pub pools: Vec<PoolSetup>,
    /// The plugins of the configuration.
    pub catalog: Vec<KnownPlugin>,
    /// What holds for the whole gateway.
    pub facts: GatewayFacts,
    /// What it shares with the other workers.
    pub board: Arc<Board>,
    /// Its memory budget for traffic, bytes.
    pub bytes_max: usize,
    /// Feeds jitter and plugins' random numbers.
    pub seed: u64,
}

/// Runs a worker on the present thread until it is told to end.
pub fn run(setup: WorkerSetup, inbox: mpsc::Receiver<Message>) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let board = Arc::clone(&setup.board);
    // The first worker looks at every shard at once, so that one that is down is told at the start.
    let connects_first = |pool: &PoolSetup| setup.number == 0 || pool.config.preconnect;
    let numbered = (0..).zip(&setup.pools);
    let first: Vec<u16> =
        numbered.filter(|(_, pool)| connects_first(pool)).map(|(number, _)| number).collect();
    let pools = setup.pools.into_iter().map(|pool| Pool::new(pool, setup.seed)).collect();
    let mut core = Core::new(pools, setup.number, setup.seed, setup.bytes_max);
    core.set_facts(setup.facts);
    core.set_catalog(setup.catalog);
    let number = usize::try_from(setup.number).unwrap_or(0);
    let turn = Rc::new(RefCell::new(Turn::new(core, Arc::clone(&board), number)));
    runtime.block_on(async move {
        tokio::task::spawn_local(timers(Rc::clone(&turn)));
        with_turn(&turn, |turn| turn.core.arm_plugin_timers(None));
        with_turn(&turn, |turn| first.iter().for_each(|pool| turn.core.preconnect(*pool)));
        tokio::task::spawn_local(publish(Rc::clone(&turn), Arc::clone(&board), number));
        tokio::task::spawn_local(tell_others(Rc::clone(&turn), Arc::clone(&board), number));
        serve(turn, inbox, board, number).await;
    });
    Ok(())
}

async fn serve(
    turn: Rc<RefCell<Turn>>,
    mut inbox: mpsc::Receiver<Message>,
    board: Arc<Board>,
    number: usize,
) {
    while let Some(message) = inbox.recv().await {
        match message {
            Message::Client { pool, socket, address } => {
                start_client(&turn, (&board, number), pool, socket, address);
            }
            Message::Plugin(news, heard) => {
                with_turn(&turn, |turn| match news {
                    PluginNews::Swapped { plugin, generation } => {
                        turn.core.swap_plugin(plugin, &generation);
                    }
                    PluginNews::Mended { plugin } => turn.core.plugin_mended(plugin),
                    PluginNews::Refused { plugin, fault } => {
                        turn.core.plugin_load_failed(plugin, &fault);
                    }
                });
                drop(heard);
            }
            Message::Scripts(news) => with_turn(&turn, |turn| turn.core.script_news(&news)),
            Message::Notice(notice) => with_turn(&turn, |turn| turn.core.notified(&notice)),
            Message::Ask(ask) => with_turn(&turn, |turn| turn.core.asked(&ask)),
            Message::Answer(answer) => with_turn(&turn, |turn| turn.core.answered(answer)),
            Message::Shown(shown) => with_turn(&turn, |turn| turn.core.shown(&shown)),
            Message::Subscriptions(news) => {
                with_turn(&turn, |turn| turn.core.subscriptions_changed(&news));
            }
            Message::SubscriptionsKnown(confirmation) => {
                with_turn(&turn, |turn| turn.core.worker_confirmed(confirmation));
            }
            Message::Drain(limit) => {
                let drained = async {
                    with_turn(&turn, |turn| turn.core.drain());
                    while turn.borrow().core.sessions_open() > 0 {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                let _timed_out = tokio::time::timeout(limit, drained).await;
                return;
            }
        }
    }
}

fn start_client(
    turn: &Rc<RefCell<Turn>>,
    (board, number): (&Arc<Board>, usize),
    pool: u16,
    socket: Accepted,
    address: String,
) {
    let turn = Rc::clone(turn);
    let board = Arc::clone(board);
    // At once: an order to stop that comes next is for this client too.
    let local_address = socket.local_address();
    let opened = with_turn(&turn, |turn| turn.core.open_session(pool, address, local_address));
    tokio::task::spawn_local(async move {
        let unusable = match socket {
            Accepted::Tcp(socket) => match TcpStream::from_std(socket) {
                Ok(stream) => {
                    client::serve(Rc::clone(&turn), stream, opened).await;
                    None
                }
                Err(error) => Some(error),
            },
            Accepted::Unix(socket) => match UnixStream::from_std(socket) {
                Ok(stream) => {
                    client::serve(Rc::clone(&turn), stream, opened).await;
                    None
                }
                Err(error) => Some(error),
            },
        };
        if let Some(error) = unusable {
            tracing::warn!(%error, "a client's socket could not be used");
            with_turn(&turn, |turn| turn.core.close_session(opened));
        }
        board.client_left(number, pool);
    });
}

/// Once a second: tidies plugins, tells the other workers what this one has counted, and the core what they have.
async fn publish(turn: Rc<RefCell<Turn>>, board: Arc<Board>, number: usize) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        plugins::log_lines(&with_turn(&turn, |turn| turn.core.tidy_plugins()));
        for (pool, count) in board.take_lines_lost(number) {
            with_turn(&turn, |turn| turn.core.lines_lost(pool, count));
        }
        let mut shared = turn.borrow_mut();
        board.publish(number, &shared.core.stats);
        let facts = shared.core.facts_mut();
        facts.others = board.others(number);
        facts.clients = board.clients();
        facts.clients_refused = board.clients_refused();
    }
}

/// Takes what other workers must not miss to their inboxes, in order, waiting for room.
async fn tell_others(turn: Rc<RefCell<Turn>>, board: Arc<Board>, number: usize) {
    loop {
        match poll_fn(|cx| turn.borrow_mut().next_to_tell(cx.waker())).await {
            Told::News(news) => {
                for worker in (0..board.workers()).filter(|worker| *worker != number) {
                    let is_there = board.send(worker, Message::Subscriptions(news.clone())).await;
                    // A worker that has ended has nothing to know.
                    if !is_there && let Some(confirmation) = news.confirmation {
                        with_turn(&turn, |turn| turn.core.worker_confirmed(confirmation));
                    }
                }
            }
            Told::Notice(worker, notice) => {
                let _ended = board.send(worker, Message::Notice(notice)).await;
            }
            Told::Known(worker, confirmation) => {
                let known = Message::SubscriptionsKnown(confirmation);
                let _ended = board.send(worker, known).await;
            }
        }
    }
}

/// One call into the core from outside a connection's task.
fn with_turn<R>(turn: &Rc<RefCell<Turn>>, call: impl FnOnce(&mut Turn) -> R) -> R {
    let mut shared = turn.borrow_mut();
    shared.begin();
    let result = call(&mut shared);
    shared.finish();
    drop(shared);
    start_lanes(turn);
    result
}

/// Starts a task for each lane that needs a connection.
pub(crate) fn start_lanes(turn: &Rc<RefCell<Turn>>) {
    let mut shared = turn.borrow_mut();
    if !shared.has_to_connect() {
        return;
    }
    for id in shared.take_to_connect() {
        let Some(lane) = shared.core.lane(id) else {
            continue;
        };
        let (pool, index) = (lane.pool, lane.shard);
        let Some(config) = shared.core.pool(pool).map(|pool| &pool.config) else {
            continue;
        };
        let Some(shard) = config.shards.get(usize::from(index)) else {
            continue;
        };
        let wait = shared.connect_wait(pool, index);
        let peer = backend::Peer {
            wait,
            address: shard.address.clone(),
            connect_timeout: config.connect_timeout,
        };
        tokio::task::spawn_local(backend::run(Rc::clone(turn), id, peer));
    }
}

/// Sleeps until the core has something to do, again and again.
async fn timers(turn: Rc<RefCell<Turn>>) {
    let far = Duration::from_secs(3600);
    let mut sleep = Box::pin(tokio::time::sleep(far));
    poll_fn(|cx| {
        loop {
            let next = {
                let mut shared = turn.borrow_mut();
                shared.begin();
                shared.core.on_time();
                shared.finish();
                shared.arm_timer(cx.waker()).map(|at_ms| shared.instant_of(at_ms))
            };
            start_lanes(&turn);
            // Never in the past: what follows at once (a plugin's next pass) must let sockets be served between.
            let soonest = tokio::time::Instant::now() + Duration::from_millis(1);
            let deadline = next.map_or(soonest + far, |at| soonest.max(at.into()));
            sleep.as_mut().reset(deadline);
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::<()>::Pending;
            }
        }
    })
    .await;
}
