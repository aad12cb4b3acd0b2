//! Two readers of a cold key on two workers, under every order in which requests, replies and notices can arrive.
//!
//! What must hold in each: at most one of them is told to compute, the other one waits, and the fill reaches it.
//! Nothing of the outside is in it: requests, replies and notices are the only choices, and `interleave` makes them all.

use sluicegate_plugin::harness::interleave;
use sluicegate_plugin::reply::Reply;

use super::support::world;

/// More than there are.
const ORDERS_MAX: usize = 200_000;

#[test]
fn of_two_readers_of_a_cold_key_one_leads_and_the_other_gets_its_fill() {
    let explored = interleave::explore(ORDERS_MAX, |order| {
        let mut world = world(2, 1);
        world.follow(order);
        let readers = [(0, 1), (1, 2)]
            .map(|(worker, session)| (world.send(worker, session, &["GET", "k"]), worker, session));
        world.run();
        let leaders: Vec<_> = readers
            .iter()
            .filter(|(ticket, ..)| world.reply(*ticket) == Some(&Reply::Null))
            .collect();
        assert_eq!(leaders.len(), 1, "told to compute");
        let (_, worker, session) = *leaders[0];
        world.ask(worker, session, &["SETEX", "k", "10", "v"]);
        for (ticket, ..) in readers.iter().filter(|reader| reader.2 != session) {
            assert_eq!(world.reply(*ticket), Some(&Reply::bulk("v")));
        }
    });
    assert!(explored.complete, "{} orders are not all", explored.orders);
}
