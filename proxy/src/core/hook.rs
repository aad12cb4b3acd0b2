//! Where plugins meet requests: which command starts a call, and which command must wait for one.
//!
//! A command whose key matches a binding starts a task instead of going to its shard; a plugin's own command always
//! does. While a call is at work, later commands of the same client that name its key, name no key, or write are
//! held back, so that a client sees its commands in order; reads of other keys pass. A call that only waits (for a
//! fill, for time) holds nothing back: the fill may come behind it on the same connection.

use crate::command::CommandSpec;
use crate::command::keys::places;
use crate::command::resolve::resolve;
use crate::command::rule::Rule;
use crate::core::ids::{SessionId, TaskId};
use crate::core::lane::Owner;
use crate::core::request::Request;
use crate::core::task::{Awaiting, NewTask};
use crate::core::{Core, waiters, wake_session};
use crate::pending::Place;
use crate::plugin::bindings::Taken;
use crate::plugin::given::{Kind, Status};
use crate::resp::args::Args;

impl Core {
    /// Starts a call if a binding takes this command; whether one does.
    pub(crate) fn start_hooked(
        &mut self,
        id: SessionId,
        spec: &'static CommandSpec,
        request: Request<'_>,
    ) -> bool {
        let Some((pool, taken)) = self.hook_for(id, spec, &request.args) else {
            return self.has_hooks(id, spec)
                && (self.start_hooked_keys(id, spec, request.args)
                    || self.start_hooked_whole(id, spec, request.args));
        };
        let key = only_key(spec, &request.args).unwrap_or_default();
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let place = session.pending.push();
        self.start_hook((pool, taken), (id, place), spec, (request.args, key));
        true
    }

    /// Starts the call of a binding that takes a client's command.
    pub(crate) fn start_hook(
        &mut self,
        (pool, taken): (u16, Taken),
        (session, place): (SessionId, Place),
        spec: &'static CommandSpec,
        (args, key): (Args<'_>, &[u8]),
    ) {
        self.start_task(NewTask {
            pool,
            taken,
            kind: Kind::Hook,
            owner: Owner::Session(session, place),
            session: Some(session),
            caller: None,
            spec: Some(spec),
            args,
            key,
            keys: (0, 0, 0),
        });
    }

    /// Whether some binding hooks a command that names more than one key, or none: one look-up.
    fn has_hooks(&self, id: SessionId, spec: &CommandSpec) -> bool {
        let pool =
            self.sessions.get(id).and_then(|session| self.pools.get(usize::from(session.pool)));
        let plugins = pool.and_then(|pool| pool.plugins.as_ref());
        spec.rule != Rule::Key && plugins.is_some_and(|p| p.bindings.hooked(spec.index))
    }

    /// The binding that takes a command: one look-up for a command that none hooks.
    pub(crate) fn hook_for(
        &self,
        id: SessionId,
        spec: &CommandSpec,
        args: &Args<'_>,
    ) -> Option<(u16, Taken)> {
        let pool = self.sessions.get(id)?.pool;
        let plugins = self.pools.get(usize::from(pool))?.plugins.as_ref()?;
        if !plugins.bindings.hooked(spec.index) {
            return None;
        }
        let key = only_key(spec, args)?;
        Some((pool, plugins.bindings.take(spec.index, Some(key), 0)?))
    }

    /// Whether a plugin has a command of this name.
    pub(crate) fn is_own_command(&self, pool: u16, name: &[u8]) -> bool {
        let plugins = self.pools.get(usize::from(pool)).and_then(|pool| pool.plugins.as_ref());
        plugins.is_some_and(|plugins| plugins.bindings.own_command(name).is_some())
    }

    /// Starts a call if this is a plugin's own command; whether it is (then it has been answered or will be).
    pub(crate) fn start_own_command(&mut self, id: SessionId, request: Request<'_>) -> bool {
        let Some(session) = self.sessions.get(id) else {
            return false;
        };
        let pool = session.pool;
        let Some(plugins) = self.pools.get(usize::from(pool)).and_then(|p| p.plugins.as_ref())
        else {
            return false;
        };
        let Some(own) = plugins.bindings.own_command(request.args.name()) else {
            return false;
        };
        let name = own.command.name.to_lowercase();
        let (arity, keys) = (own.command.arity, own.command.keys);
        let count = request.args.len();
        let key = places(keys, count).next().and_then(|first| request.args.get(first));
        let Some(taken) = plugins.bindings.take_own(own, key) else {
            return false;
        };
        if !session.identity.authenticated {
            self.refuse_next(id, "NOAUTH Authentication required.");
            return true;
        }
        let is_in_multi = session.transaction.is_some();
        if self.refuse_subscriber_named(id, &name) {
            return true;
        }
        if is_in_multi {
            self.fail_transaction(id);
            self.refuse_next(id, &format!("ERR '{name}' is not allowed inside MULTI"));
            return true;
        }
        let wanted = usize::from(arity.unsigned_abs());
        if (arity >= 0 && count != wanted) || count < wanted {
            self.refuse_next(id, &format!("ERR wrong number of arguments for '{name}' command"));
            return true;
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let place = session.pending.push();
        self.start_task(NewTask {
            pool,
            taken,
            kind: Kind::OwnCommand,
            owner: Owner::Session(id, place),
            session: Some(id),
            caller: None,
            spec: None,
            args: request.args,
            key: key.unwrap_or_default(),
            keys,
        });
        true
    }

    /// Whether a request must wait for the calls that are at work for its session.
    pub(crate) fn must_wait(&self, id: SessionId, args: &Args<'_>) -> bool {
        let Some(session) = self.sessions.get(id) else {
            return false;
        };
        let mut at_work = session
            .tasks
            .iter()
            .filter_map(|task| self.tasks.get(*task))
            .filter(|task| !task.only_waits())
            .peekable();
        if at_work.peek().is_none() {
            return false;
        }
        match resolve(args) {
            Ok(spec) if spec.is_write() => true,
            Ok(spec) => match only_key(spec, args) {
                Some(key) => at_work.any(|task| task.names(key)),
                None => true,
            },
            Err(_) => true,
        }
    }

    /// A call has given its reply: the session need not wait for it any more.
    pub(crate) fn release_hold(&mut self, id: SessionId, task: TaskId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.tasks.retain(|other| *other != task);
        }
        self.wake_if_held(id);
    }

    /// Lets a session look again at the request that was held back.
    pub(crate) fn wake_if_held(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && session.held
        {
            session.held = false;
            wake_session(session, id, &mut self.wake);
        }
    }

    /// The time of a SLEEP or WAIT-KEY is over.
    pub(crate) fn operation_timer(&mut self, id: TaskId, number: u32) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let awaiting = task.open.iter().find(|(open, _)| *open == number).map(|(_, what)| what);
        let why = match awaiting {
            Some(Awaiting::Key(wait)) if wait.is_cut(self.clock.now_ms) => waiters::CUT,
            Some(Awaiting::Timer | Awaiting::Key(_)) => &[],
            Some(Awaiting::Shard) | None => return,
        };
        self.settle_task(id, number, Status::Timeout, why);
    }
}

/// The key of a command that names exactly one: at a fixed place, or as the only one of a splittable command.
pub(crate) fn only_key<'a>(spec: &CommandSpec, args: &Args<'a>) -> Option<&'a [u8]> {
    if let Some(position) = spec.single_key {
        return args.get(usize::from(position));
    }
    match spec.rule {
        Rule::Split(_) if args.len() == 2 => args.get(1),
        _ => None,
    }
}
