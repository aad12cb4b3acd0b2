//! Scripts: EVALSHA finds its script on whatever shard its keys live on.
//!
//! ```text
//!   EVAL text, SCRIPT LOAD text ──► the text is known here, and to the other workers
//!   EVALSHA digest ─┬─ text known, lane has not loaded it ──► SCRIPT LOAD text, EVALSHA digest   (one write)
//!                   └─ else ───────────────────────────────► EVALSHA digest
//!   -NOSCRIPT of a known text, nothing later of that client ──► SCRIPT LOAD text, EVALSHA digest, once
//! ```
//! To a client the gateway is one server: a script that it loaded once, or ran by EVAL, is there. A shard that has
//! restarted has lost it, and so has its lane: a new connection knows of no loaded script. NOSCRIPT says that nothing
//! ran, so sending again is safe as long as no later request of that client could be overtaken.

use std::sync::Arc;

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::ids::{LaneId, ScriptId, SessionId};
use crate::core::lane::{LaneState, Owner};
use crate::core::request::Request;
use crate::core::script_texts::{Digest, ScriptNews, parse_digest};
use crate::pending::Place;
use crate::resp::args::Args;
use crate::resp::write;
use crate::topology::ShardIndex;

/// An EVALSHA of a known text, on its way.
#[derive(Debug)]
pub(crate) struct ActiveScript {
    session: SessionId,
    place: Place,
    target: Target,
    digest: Digest,
    request: Vec<u8>,
    /// It has been sent a second time.
    is_repeated: bool,
}

impl Core {
    /// Sends a script's call to its shard, with its text before it if the shard may lack that.
    pub(crate) fn run_script(
        &mut self,
        id: SessionId,
        spec: &'static CommandSpec,
        shard: ShardIndex,
        request: Request<'_>,
    ) {
        if request.args.get(2) == Some(b"0") {
            self.note_keyless(&request.args);
        }
        let named = request.args.get(1).unwrap_or_default();
        match spec.name.as_str() {
            "eval" | "eval_ro" => self.learn_script(named),
            "evalsha" | "evalsha_ro" => {
                let digest =
                    parse_digest(named).filter(|digest| self.scripts.text(digest).is_some());
                if let Some(digest) = digest
                    && !self.is_large(id, request.args.raw().len())
                {
                    return self.run_known_script(id, digest, shard, request.args.raw());
                }
            }
            // A function is loaded on every shard.
            _ => {}
        }
        self.forward_to_shard(id, shard, request.piece);
    }

    fn run_known_script(
        &mut self,
        id: SessionId,
        digest: Digest,
        shard: ShardIndex,
        request: &[u8],
    ) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (place, target) = (session.pending.push(), session.target(shard));
        let script = self.script_calls.insert(ActiveScript {
            session: id,
            place,
            target,
            digest,
            request: request.to_vec(),
            is_repeated: false,
        });
        self.send_script(script);
    }

    fn send_script(&mut self, id: ScriptId) {
        let Some(call) = self.script_calls.get_mut(id) else {
            return;
        };
        let (target, digest) = (call.target, call.digest);
        let request = std::mem::take(&mut call.request);
        if let Some(lane) = self.lane_of(target) {
            self.load_script(lane, target, digest);
        }
        self.forward(target, Piece::borrowed(&request), Owner::Script(id));
        if let Some(call) = self.script_calls.get_mut(id) {
            call.request = request;
        }
    }

    /// Has a lane load the script of a known text, unless it has done so.
    pub(crate) fn load_script(&mut self, id: LaneId, target: Target, digest: Digest) {
        let Some(text) = self.scripts.text(&digest).cloned() else {
            return;
        };
        if self.lanes.get(id).is_none_or(|lane| lane.scripts.contains(&digest)) {
            return;
        }
        let mut load = self.spare.take();
        let words = [b"SCRIPT".as_slice(), b"LOAD", &text];
        write::request(&mut load, words.into_iter());
        self.forward_on(id, target, (Piece::borrowed(&load), 0), Owner::Load);
        self.spare.give(load);
        // A lane that may not be opened yet has not taken it.
        if let Some(lane) = self.lanes.get_mut(id)
            && !matches!(lane.state, LaneState::Closed { .. })
        {
            lane.scripts.insert(digest);
        }
    }

    /// Takes the reply to an EVALSHA.
    pub(crate) fn settle_script(&mut self, id: ScriptId, reply: Piece<'_>) {
        let Some(call) = self.script_calls.get_mut(id) else {
            return;
        };
        if reply.bytes().starts_with(b"-NOSCRIPT") && !call.is_repeated {
            let (session, place, target) = (call.session, call.place, call.target);
            let is_last = self
                .sessions
                .get(session)
                .is_some_and(|session| !session.pending.has_behind(place));
            call.is_repeated = true;
            let is_known = self.scripts.text(&call.digest).is_some();
            // The shard has forgotten its scripts: it restarted behind our back, or somebody flushed them.
            if let Some(lane) = self.lane_of(target).and_then(|lane| self.lanes.get_mut(lane)) {
                lane.scripts.clear();
            }
            if is_last && is_known {
                return self.send_script(id);
            }
        }
        if let Some(call) = self.script_calls.remove(id) {
            self.answer(call.session, call.place, reply);
        }
    }

    /// Notes the text of a script that a client loads or runs.
    pub(crate) fn learn_script(&mut self, text: &[u8]) {
        if let Some(text) = self.scripts.learn(text) {
            self.wake.scripts.push(ScriptNews::Known(text));
        }
    }

    /// SCRIPT FLUSH: what the shards have is not known any more.
    pub(crate) fn forget_scripts(&mut self) {
        self.script_news(&ScriptNews::Flushed);
        self.wake.scripts.push(ScriptNews::Flushed);
    }

    /// Another worker has learned or forgotten scripts.
    pub fn script_news(&mut self, news: &ScriptNews) {
        match news {
            ScriptNews::Known(text) => self.scripts.add(&Arc::clone(text)),
            ScriptNews::Flushed => {
                self.scripts.clear();
                for lane in self.lanes.values_mut() {
                    lane.scripts.clear();
                }
            }
        }
    }

    /// Tells the log, once per script, that one without keys is placed by a guess.
    pub(crate) fn note_keyless(&mut self, args: &Args<'_>) {
        let named = args.get(1).unwrap_or_default();
        let digest = parse_digest(named).unwrap_or_else(|| super::script_texts::digest(named));
        if self.keyless_noted.len() >= crate::limits::SCRIPTS_MAX
            || !self.keyless_noted.insert(digest)
        {
            return;
        }
        let shown: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.notes.push(format!(
            "the script {shown} is called without keys; `keyless_scripts` places it, and keys that it builds are not looked for elsewhere"
        ));
    }
}
