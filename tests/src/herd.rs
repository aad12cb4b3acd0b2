//! Many clients at once: hundreds of connections in one test, asked together and answered in any order.
//!
//! Comes in: the gateways to connect to, in turn. Goes out: clients, and every client's reply to one request.
//! One thread holds them all: a request is written to every connection before the first reply is read, so all of them
//! are under way together. Waiting for a fact about many clients has the deadline of `wait`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::{Client, request};
use crate::gateway::InProcess;
use crate::value::Value;
use crate::wait::eventually;

/// `count` clients, spread evenly over `gateways`.
pub fn connect(gateways: &[InProcess], count: usize) -> Vec<Client> {
    allow_many_sockets();
    let gateways = gateways.iter().cycle();
    gateways.take(count).map(InProcess::client).collect()
}

/// Each of these clients has up to two sockets in this process, which is more than the usual soft limit.
pub fn allow_many_sockets() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, raised).expect("raise the soft limit of open files");
}

/// Sends one request on every connection.
pub fn send_all<A: AsRef<[u8]>>(clients: &mut [Client], args: &[A]) {
    let bytes = request(args);
    for client in clients {
        client.send_raw(&bytes);
    }
}

/// One reply from every connection, in the order of the connections.
pub fn replies(clients: &mut [Client]) -> Vec<Value> {
    clients.iter_mut().map(Client::reply).collect()
}

/// Waits until some connection has something to read, and takes it out of `clients`.
pub fn take_first_answered(clients: &mut Vec<Client>) -> Client {
    let place = eventually("some client to get its reply", || {
        clients.iter_mut().position(|client| !client.is_quiet())
    });
    clients.swap_remove(place)
}

/// Places of the replies that are nil.
pub fn nils(replies: &[Value]) -> Vec<usize> {
    let places = replies.iter().enumerate();
    places.filter(|(_, reply)| **reply == Value::Null).map(|(place, _)| place).collect()
}
