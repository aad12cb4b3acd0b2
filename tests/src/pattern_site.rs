//! A pattern where its guarantee must hold: two gateways over the same three shards, and what may happen to them.
//!
//! Comes in: a plugin's name, perhaps others beside it, and their bindings. Goes out: clients of either gateway, and the faults: a gateway is killed and
//! another takes its place, a shard is killed and comes back empty, the plugin is swapped on both gateways. The gateways are
//! processes of their own, so that killing one is what a crash is. A `Roaming` client goes to the other one when its own has died.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::client::Client;
use crate::gateway::{Process, pool_yaml};
use crate::herd::allow_many_sockets;
use crate::plugins::{Entry, PluginFile, built, client_of_each_worker, plugins_yaml, variant};
use crate::real_server::{RealServer, free_port, signal};
use crate::value::Value;
use crate::wait::{eventually, eventually_true};

/// Workers of each gateway, as `pool_yaml` says.
const WORKERS: usize = 2;

/// Two gateways, three shards, one plugin or more. The gateways end first.
#[derive(Debug)]
pub struct PatternSite {
    gateways: Vec<Process>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    /// The servers behind both gateways.
    pub shards: Vec<RealServer>,
    name: &'static str,
    file: PluginFile,
    bindings: Vec<String>,
    /// Plugins beside it, which are not swapped.
    others: &'static [&'static str],
}

impl PatternSite {
    /// `name` with these bindings, each as `{use: cache, keys: ["cache:*"]}`.
    pub fn start(name: &'static str, bindings: &[&str]) -> PatternSite {
        PatternSite::over(RealServer::start_many(3), name, bindings)
    }

    /// The same with further plugins.
    pub fn with(
        name: &'static str,
        others: &'static [&'static str],
        bindings: &[&str],
    ) -> PatternSite {
        PatternSite::of(RealServer::start_many(3), name, others, bindings)
    }

    /// The same over other servers.
    pub fn over(shards: Vec<RealServer>, name: &'static str, bindings: &[&str]) -> PatternSite {
        PatternSite::of(shards, name, &[], bindings)
    }

    fn of(
        shards: Vec<RealServer>,
        name: &'static str,
        others: &'static [&'static str],
        bindings: &[&str],
    ) -> PatternSite {
        allow_many_sockets();
        let file = PluginFile::copy_of(name);
        let bindings = bindings.iter().map(|binding| (*binding).to_owned()).collect();
        let (gateways, addresses) = (Vec::new(), Arc::default());
        let mut site = PatternSite { gateways, addresses, shards, name, file, bindings, others };
        site.gateways = (0..2).map(|_| site.start_gateway()).collect();
        let addresses = site.gateways.iter().map(Process::address).collect();
        *site.addresses.lock().expect("no thread has failed") = addresses;
        site
    }

    fn start_gateway(&self) -> Process {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let shards: Vec<SocketAddr> = self.shards.iter().map(RealServer::address).collect();
        let lines = ["plugins:".to_owned()].into_iter();
        let lines = lines.chain(self.bindings.iter().map(|binding| format!("  - {binding}")));
        let lines: Vec<String> = lines.collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let others: Vec<_> = self.others.iter().map(|name| (*name, built(name))).collect();
        let mut plugins = vec![Entry { name: self.name, file: self.file.path(), settings: &[] }];
        plugins.extend(others.iter().map(|(name, file)| Entry { name, file, settings: &[] }));
        let text = plugins_yaml(&plugins) + &pool_yaml(&address.to_string(), &shards, &lines);
        Process::start(&text, address)
    }

    /// A client of gateway 0 or 1.
    pub fn client(&self, gateway: usize) -> Client {
        Client::connect(self.gateways[gateway].address())
    }

    /// So many clients, of the two gateways in turn.
    pub fn clients(&self, count: usize) -> Vec<Client> {
        (0..count).map(|client| self.client(client % 2)).collect()
    }

    /// Ends a gateway as a crash would, at once; its clients' connections break. Start another by `replace_gateway`.
    pub fn kill_gateway(&mut self, gateway: usize) {
        signal(self.gateways[gateway].pid(), Signal::KILL);
        self.gateways[gateway].wait();
    }

    /// Starts another gateway in the place of one that was killed.
    pub fn replace_gateway(&mut self, gateway: usize) {
        self.gateways[gateway] = self.start_gateway();
        let address = self.gateways[gateway].address();
        self.addresses.lock().expect("no thread has failed")[gateway] = address;
    }

    /// So many clients that go on through the other gateway when one dies.
    pub fn roaming(&self, count: usize) -> Vec<Roaming> {
        let roaming = |number| Roaming {
            addresses: Arc::clone(&self.addresses),
            gateway: number % 2,
            client: None,
        };
        (0..count).map(roaming).collect()
    }

    /// Kills a shard, and lets it come back without its data: see `revive_shard`.
    pub fn lose_shard(&mut self, shard: usize, key: &str) {
        self.shards[shard].kill();
        self.revive_shard(shard, key);
    }

    /// Starts a shard that was killed, empty, and waits until all workers of both gateways reach it. `key` must live there.
    pub fn revive_shard(&mut self, shard: usize, key: &str) {
        self.shards[shard].restart();
        self.await_shard(key);
    }

    /// Waits until all workers of both gateways reach the shard of `key`: each has a connection of its own to it.
    pub fn await_shard(&self, key: &str) {
        for gateway in &self.gateways {
            for mut client in client_of_each_worker(gateway.address(), WORKERS) {
                eventually_true("the shard to be reached again", || {
                    !matches!(client.command(&["TYPE", key]), Value::Error(_))
                });
            }
        }
    }

    /// The number of the shard that holds `key`, which must be there.
    pub fn shard_of(&self, key: &str) -> usize {
        let holds =
            |shard: &RealServer| shard.client().command(&["EXISTS", key]) == Value::Integer(1);
        self.shards.iter().position(holds).unwrap_or_else(|| panic!("no shard holds {key}"))
    }

    /// A key that lives on shard `shard`, by what a gateway says of the others' keys while it is down. It must be down.
    pub fn key_on(&self, shard: usize) -> String {
        let mut client = self.client(0);
        let name = format!("shard-{shard}");
        (0..1_000)
            .map(|number| format!("probe:{number}"))
            .find(|key| {
                let reply = client.command(&["TYPE", key]);
                matches!(&reply, Value::Error(_)) && reply.text().contains(&name)
            })
            .unwrap_or_else(|| panic!("no key is on {name}"))
    }

    /// Puts another version of the plugin at work on both gateways.
    pub fn swap(&self, mark: &str) {
        let built = std::fs::read(built(self.name)).expect("read a plugin");
        self.file.replace(&variant(&built, mark));
        for gateway in 0..2 {
            let reply =
                self.client(gateway).command(&["SLUICEGATE", "PLUGIN", "RELOAD", self.name]);
            assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
        }
    }
}

/// A client that connects to the other gateway when its connection breaks.
#[derive(Debug)]
pub struct Roaming {
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    gateway: usize,
    client: Option<Client>,
}

impl Roaming {
    /// Sends one request; `None` when the connection broke before its reply, so that nobody knows what became of it.
    pub fn command<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Option<Value> {
        let mut client = self.client.take().unwrap_or_else(|| self.connect());
        client.send(args);
        let (_, reply) = client.next_reply()?;
        self.client = Some(client);
        Some(reply)
    }

    fn connect(&mut self) -> Client {
        eventually("a gateway to be there", || {
            self.gateway = 1 - self.gateway;
            let address = self.addresses.lock().expect("no thread has failed")[self.gateway];
            Client::try_connect(address).ok()
        })
    }
}
