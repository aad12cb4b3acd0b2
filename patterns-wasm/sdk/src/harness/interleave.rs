//! Every order in which things can happen, one after the other.
//!
//! A `World` picks what happens next by its seed. Under `explore` it asks an `Order` instead, which walks through all
//! choices, the last one first, until none is left or the bound is reached. A scenario that fails says its number and its
//! choices, and `replay` runs it alone. Two clients of a few operations each have some thousand orders, which take
//! milliseconds; three have too many, and the bound then cuts the walk off.

use std::cell::RefCell;
use std::rc::Rc;

/// The choices of one run: shared by the walk and the world that follows it. See [`explore`].
#[derive(Debug, Clone, Default)]
pub struct Order(Rc<RefCell<Choices>>);

#[derive(Debug, Default)]
struct Choices {
    /// (what was chosen, of how many)
    made: Vec<(usize, usize)>,
    /// How many of `made` have been followed in this run.
    at: usize,
}

impl Order {
    /// The next choice among `count` things.
    pub(super) fn pick(&self, count: usize) -> usize {
        let mut choices = self.0.borrow_mut();
        let at = choices.at;
        choices.at += 1;
        if let Some((chosen, of)) = choices.made.get_mut(at) {
            *of = count;
            return (*chosen).min(count.saturating_sub(1));
        }
        choices.made.push((0, count));
        0
    }

    /// Goes to the next order; answers whether there is one.
    fn advance(&self) -> bool {
        let mut choices = self.0.borrow_mut();
        let at = choices.at;
        choices.made.truncate(at);
        choices.at = 0;
        while let Some((chosen, of)) = choices.made.pop() {
            if chosen + 1 < of {
                choices.made.push((chosen + 1, of));
                return true;
            }
        }
        false
    }

    fn text(&self) -> String {
        let choices = self.0.borrow();
        let made: Vec<String> = choices.made.iter().map(|(chosen, _)| chosen.to_string()).collect();
        made.join(" ")
    }
}

/// How far a walk came. See [`explore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explored {
    /// Orders that were run.
    pub orders: usize,
    /// Whether these were all.
    pub complete: bool,
}

/// Tells of the order when the scenario panics.
struct OnPanic<'a>(usize, &'a Order);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = self.1.text();
            eprintln!(
                "order number {} failed; run it alone: interleave::replay(\"{text}\", ..)",
                self.0
            );
        }
    }
}

/// Runs `scenario` under every order of deliveries, at most `orders_max`. It hands the `Order` to its world with
/// [`World::follow`](super::world::World::follow).
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::harness::{interleave, world::World};
///
/// /// Adds one, wrongly: somebody may write between the read and the write.
/// async fn add(cx: Cx, args: Args) -> Result<i64> {
///     let value: Option<i64> = cx.call(get(args.key()).typed()).await?;
///     let sum = value.unwrap_or(0) + 1;
///     cx.call(set(args.key(), sum)).await?;
///     Ok(sum)
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["ADD" => add], capabilities: { commands: ["GET", "SET"] }
/// # }
/// # fn main() {
/// let mut lost = 0;
/// let explored = interleave::explore(1_000, |order| {
///     let mut world = World::new(&PLUGIN, "", 2, 1);
///     world.follow(order);
///     world.send(0, 1, &["ADD", "k"]);
///     world.send(1, 2, &["ADD", "k"]);
///     world.run();
///     lost += usize::from(world.redis.run(&["GET", "k"]) == Reply::bulk("1"));
/// });
/// assert!(explored.complete);
/// assert!(lost > 0, "of {} orders", explored.orders);
/// # }
/// ```
pub fn explore(orders_max: usize, mut scenario: impl FnMut(&Order)) -> Explored {
    let order = Order::default();
    let mut orders = 0;
    while orders < orders_max {
        let watch = OnPanic(orders, &order);
        scenario(&order);
        drop(watch);
        orders += 1;
        if !order.advance() {
            return Explored { orders, complete: true };
        }
    }
    Explored { orders, complete: false }
}

/// Runs `scenario` under one order, as a failed walk has named it.
///
/// ```
/// # use sluicegate_plugin::harness::interleave;
/// let mut runs = 0;
/// interleave::replay("0 1 0", |_order| runs += 1);
/// assert_eq!(runs, 1);
/// ```
pub fn replay(choices: &str, mut scenario: impl FnMut(&Order)) {
    let made = choices.split_whitespace().filter_map(|word| word.parse().ok());
    let made = made.map(|chosen: usize| (chosen, chosen + 1)).collect();
    scenario(&Order(Rc::new(RefCell::new(Choices { made, at: 0 }))));
}
