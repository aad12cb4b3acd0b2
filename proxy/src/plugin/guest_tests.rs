//! The engine with real guests: the passing one and the one that breaks every rule.
//!
//! What must hold: each fault answers its own stable text, costs at most its own cell, and leaves the engine able to run
//! the next call; a swap loses nothing. Loading, and what plugins keep, is `load_tests`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{Arg, Op, Target};
use super::cells::{CallId, Cells};
use super::fault::{Fault, FaultKind};
use super::given::{Kind, OpResult, Status};
use super::grants::{Denied, Grants};
use super::host::Clock;
use super::limits::PluginLimits;
use super::room::Step;
use super::test_support::{
    CLOCK, cells, engine, guest, head, load, misbehave, misbehaving, setup, start_at, wake,
};

#[test]
fn pass_guest_passes_hooks_and_sends_a_command_of_its_own() {
    let mut cells = cells("pass.wasm", &PluginLimits::default());
    let (_, step) = start_at(&mut cells, CLOCK, &head(Kind::Hook, 0), &["GET", "k"]).unwrap();
    assert_eq!(step, Step::Pass);
    let own = head(Kind::OwnCommand, 4);
    let (id, step) = start_at(&mut cells, CLOCK, &own, &["PASS.ECHO", "k"]).unwrap();
    let Step::Pending(batch) = step else {
        panic!("not pending: {step:?}");
    };
    assert!(!batch.first && !batch.last);
    let [only] = batch.ops.as_slice() else {
        panic!("not one operation: {batch:?}");
    };
    let Op::Command { reply_wanted: true, hooked: false, target: Target::OwnKeys, args } = only.op
    else {
        panic!("not a command: {only:?}");
    };
    assert_eq!((only.number, only.denied), (0, None));
    let args: Vec<Arg<'_>> = batch.args(args).collect();
    assert_eq!(args, [Arg::Plain(b"GET"), Arg::Plain(b"k")]);
    let result = OpResult { number: 0, status: Status::Reply, bytes: b"$3\r\nabc\r\n" };
    let step = cells.resume(CLOCK, id, [result].into_iter()).unwrap();
    assert_eq!(step, Step::Done(b"$3\r\nabc\r\n".to_vec()));
    assert_eq!(cells.stats().live, 0);
}

#[test]
fn pass_guest_outside_its_grant_is_denied_visibly() {
    let limits = PluginLimits::default();
    let bindings = setup("cache:*", "");
    let generation =
        engine().load("t", &guest("pass.wasm"), &limits, &Grants::default(), &bindings).unwrap();
    let mut cells = Cells::new(generation, 0, 1);
    let own = head(Kind::OwnCommand, 4);
    let mut denied_of = |key: &str| {
        let (id, step) = start_at(&mut cells, CLOCK, &own, &["PASS.ECHO", key]).unwrap();
        let Step::Pending(batch) = step else {
            panic!("not pending: {step:?}");
        };
        (id, batch.ops[0].denied)
    };
    assert_eq!(denied_of("cache:1").1, None);
    let (id, denied) = denied_of("user:1");
    assert_eq!(denied, Some(Denied::Key));
    let result =
        OpResult { number: 0, status: Status::Denied, bytes: Denied::Key.text().as_bytes() };
    let step = cells.resume(CLOCK, id, [result].into_iter()).unwrap();
    let text = b"-ERR denied: a key is outside the granted patterns\r\n";
    assert_eq!(step, Step::Done(text.to_vec()));
}

#[test]
fn fault_in_start_answers_its_own_text_and_the_next_call_runs() {
    let cases: &[(&str, FaultKind)] = &[
        ("loop", FaultKind::CpuLimit),
        ("bomb", FaultKind::MemoryLimit),
        ("huge", FaultKind::MemoryLimit),
        ("recurse", FaultKind::Trap("stack overflow")),
        ("panic", FaultKind::Trap("unreachable")),
        ("out-of-bounds", FaultKind::Trap("out of bounds")),
        ("bad-import-pointer", FaultKind::Trap("out of bounds")),
        ("garbage", FaultKind::BadReply),
        ("empty", FaultKind::BadReply),
        ("lying-length", FaultKind::BadReply),
        ("lying-pointer", FaultKind::BadReply),
        ("lying-count", FaultKind::BadReply),
        ("lying-arg", FaultKind::BadReply),
        ("broken-resp", FaultKind::BadReply),
        ("two-replies", FaultKind::BadReply),
        ("resp3", FaultKind::BadReply),
        ("no-ops", FaultKind::BadReply),
    ];
    // Much CPU time, so that on a busy machine no other fault ends as this one.
    let limits = PluginLimits { step_cpu_us: 100_000, ..PluginLimits::default() };
    let generation = load("misbehaving/misbehaving.wasm", &limits, "").unwrap();
    for (fault, wanted) in cases {
        for later in [false, true] {
            let mut cells = Cells::new(Arc::clone(&generation), 0, 7);
            let found = if later {
                let (id, _) = misbehave(&mut cells, &[fault, "later"]).unwrap();
                wake(&mut cells, id).map(|step| (id, step))
            } else {
                misbehave(&mut cells, &[fault])
            };
            let found = found.expect_err(fault);
            assert_eq!(found.kind, *wanted, "{fault}, later: {later}: {found:?}");
            assert!(found.lost.is_empty());
            assert_eq!((cells.stats().cells, cells.stats().crashed), (0, 1));
            let (_, step) = misbehave(&mut cells, &["fine"]).unwrap();
            assert_eq!(step, Step::Done(b"+OK\r\n".to_vec()), "after {fault}");
        }
    }
}

#[test]
fn panic_text_is_in_the_fault_under_the_id_that_the_client_sees() {
    let mut cells = misbehaving();
    let fault = misbehave(&mut cells, &["panic"]).unwrap_err();
    assert!(fault.detail.contains("the plugin said 0"), "{}", fault.detail);
    let text = fault.client_text();
    let wanted = format!("PLUGINERR t: trap unreachable (id {:08x})", fault.id);
    assert_eq!(text, wanted);
    // However much it has logged before.
    let fault = misbehave(&mut cells, &["log-panic"]).unwrap_err();
    assert!(fault.detail.contains("the plugin said 0 after all"), "{}", fault.detail);
}

/// GET of a key, as the operation in a frame.
const GET_K: &str = "\x01\0\0\x02\0\0\0\x03\0\0\0GET\x01\0\0\0k";

#[test]
fn call_that_goes_on_after_its_reply_is_denied_without_background() {
    let answer_and_ask = format!("\x03\x05\0\0\0+OK\r\n\0\x01\0{GET_K}");
    let ask = format!("\0\0\x01\0{GET_K}");
    for background in [false, true] {
        let grants = Grants {
            commands: Some(vec!["GET".into()]),
            background: Some(background),
            ..Grants::default()
        };
        let (limits, bindings) = (PluginLimits::default(), setup("*", ""));
        let wasm = guest("misbehaving/misbehaving.wasm");
        let generation = engine().load("t", &wasm, &limits, &grants, &bindings).unwrap();
        let mut cells = Cells::new(generation, 0, 1);
        let denied = (!background).then_some(Denied::Background);
        let raw = head(Kind::OwnCommand, 2);
        let frames = ["RAW", &answer_and_ask, &ask, "\x01"];
        let (id, step) = start_at(&mut cells, CLOCK, &raw, &frames).unwrap();
        let Step::DoneBackground { reply, batch } = step else { panic!("{step:?}") };
        assert_eq!((reply.as_slice(), batch.ops[0].denied), (&b"+OK\r\n"[..], denied));
        // Nor is what it asks for later.
        let step = wake(&mut cells, id).unwrap();
        let Step::Pending(batch) = step else { panic!("{step:?}") };
        assert_eq!(batch.ops[0].denied, denied);
        assert!(!cells.has_written(id));
        assert_eq!(wake(&mut cells, id).unwrap(), Step::Done(Vec::new()));
    }
}

#[test]
fn endless_loop_is_stopped_soon_in_every_entry() {
    for entry in ["start", "resume", "cancel"] {
        let mut cells = misbehaving();
        let word = if entry == "cancel" { "loop-cancel" } else { "loop" };
        let id = (entry != "start").then(|| misbehave(&mut cells, &[word, "later"]).unwrap().0);
        let begun = Instant::now();
        let fault = match (entry, id) {
            ("resume", Some(id)) => wake(&mut cells, id).unwrap_err(),
            ("cancel", Some(id)) => cells.cancel(CLOCK, id).unwrap_err(),
            _ => misbehave(&mut cells, &[word]).unwrap_err(),
        };
        assert_eq!(fault.kind, FaultKind::CpuLimit, "{entry}");
        // The limit is CPU time, so a busy machine may take longer: the bound only tells "soon" from "never".
        assert!(begun.elapsed() < Duration::from_secs(2), "{entry}");
        assert_eq!(cells.stats().cells, 0);
    }
}

#[test]
fn endless_pending_ends_at_the_step_limit_and_takes_nobody_with_it() {
    let limits = PluginLimits { steps_per_call: 50, ..PluginLimits::default() };
    let mut cells = cells("misbehaving/misbehaving.wasm", &limits);
    let (sibling, _) = misbehave(&mut cells, &["fine", "later"]).unwrap();
    let (id, _) = misbehave(&mut cells, &["endless-pending"]).unwrap();
    let mut steps = 1;
    let fault = loop {
        match wake(&mut cells, id) {
            Ok(_) => steps += 1,
            Err(fault) => break fault,
        }
    };
    assert_eq!((steps, fault.kind), (50, FaultKind::StepLimit));
    assert!(fault.lost.is_empty());
    assert_eq!(wake(&mut cells, sibling).unwrap(), Step::Done(b"+OK\r\n".to_vec()));
}

#[test]
fn allocator_that_lies_is_a_bad_reply_on_the_next_entry() {
    let mut cells = misbehaving();
    misbehave(&mut cells, &["bad-realloc"]).unwrap();
    let fault = misbehave(&mut cells, &["fine"]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::BadReply);
    misbehave(&mut cells, &["fine"]).unwrap();
}

#[test]
fn log_flood_is_cut_in_lines_and_length() {
    let mut cells = misbehaving();
    misbehave(&mut cells, &["log-flood"]).unwrap();
    let lines = cells.take_logs();
    assert_eq!(lines.len(), 16);
    assert!(lines.iter().all(|line| line.text.len() == 512));
    assert_eq!(cells.stats().logs_dropped, 984);
    assert!(!cells.has_logs());
}

#[test]
fn trap_names_the_siblings_in_its_cell_and_quarantine_ends_that() {
    let mut cells = misbehaving();
    let waiting: Vec<_> =
        (0..3).map(|_| misbehave(&mut cells, &["fine", "later"]).unwrap().0).collect();
    assert_eq!(cells.stats().cells, 1, "calls share a cell");
    let fault = misbehave(&mut cells, &["panic"]).unwrap_err();
    let lost: Vec<_> = fault.lost.iter().map(|lost| lost.id).collect();
    assert_eq!(lost, waiting);
    assert!(fault.lost.iter().all(|lost| lost.replayable), "they only slept");
    for id in waiting {
        assert_eq!(wake(&mut cells, id).unwrap_err().kind, FaultKind::Aborted);
        assert!(cells.cancel(CLOCK, id).is_ok(), "a stale id is nothing");
    }
    let waiting: Vec<_> =
        (0..3).map(|_| misbehave(&mut cells, &["fine", "later"]).unwrap().0).collect();
    assert_eq!(cells.stats().cells, 3, "quarantine: one call per cell");
    let fault = misbehave(&mut cells, &["panic"]).unwrap_err();
    assert!(fault.lost.is_empty());
    for id in waiting {
        assert_eq!(wake(&mut cells, id).unwrap(), Step::Done(b"+OK\r\n".to_vec()));
    }
}

#[test]
fn breaker_after_five_traps_refuses_then_lets_one_call_try() {
    let mut cells = misbehaving();
    for _ in 0..5 {
        misbehave(&mut cells, &["panic"]).unwrap_err();
    }
    let fault = misbehave(&mut cells, &["fine"]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Down);
    assert_eq!(fault.client_text(), "PLUGINDOWN t: stopped after repeated traps");
    let later = Clock { mono_ms: CLOCK.mono_ms + 10_000, ..CLOCK };
    let own = head(Kind::OwnCommand, 1);
    let args = ["MISBEHAVE", "fine"];
    assert!(start_at(&mut cells, later, &own, &args).is_ok());
    assert!(start_at(&mut cells, later, &own, &args).is_ok());
}

#[test]
fn full_cells_refuse_the_next_call_and_take_it_after_one_ends() {
    let limits = PluginLimits { calls_per_cell: 2, cells_max: 2, ..PluginLimits::default() };
    let mut cells = cells("misbehaving/misbehaving.wasm", &limits);
    let ids: Vec<_> =
        (0..4).map(|_| misbehave(&mut cells, &["fine", "later"]).unwrap().0).collect();
    assert_eq!(cells.stats().cells, 2);
    let fault = misbehave(&mut cells, &["fine"]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Busy);
    cells.cancel(CLOCK, ids[1]).unwrap();
    let (id, _) = misbehave(&mut cells, &["fine", "later"]).unwrap();
    assert_ne!(id, ids[1], "the slot is the same, the call is not");
    assert_eq!(wake(&mut cells, ids[1]).unwrap_err().kind, FaultKind::Aborted);
    assert_eq!(wake(&mut cells, id).unwrap(), Step::Done(b"+OK\r\n".to_vec()));
}

#[test]
fn request_larger_than_the_plugin_may_get_is_refused_before_the_guest() {
    let limits =
        PluginLimits { request_bytes: 1_000, reply_bytes: 2_000, ..PluginLimits::default() };
    let mut cells = cells("pass.wasm", &limits);
    let value = "x".repeat(1_001);
    let args = ["SET", "k", &value];
    let fault = start_at(&mut cells, CLOCK, &head(Kind::Hook, 1), &args).unwrap_err();
    assert_eq!(fault.kind, FaultKind::RequestTooLarge(1_000));
    let own = head(Kind::OwnCommand, 4);
    let (id, _) = start_at(&mut cells, CLOCK, &own, &["PASS.ECHO", "k"]).unwrap();
    let reply = format!("$2002\r\n{value}{value}\r\n");
    let result = OpResult { number: 0, status: Status::Reply, bytes: reply.as_bytes() };
    let step = cells.resume(CLOCK, id, [result].into_iter()).unwrap();
    let Step::Done(reply) = step else {
        panic!("not done: {step:?}");
    };
    assert!(reply.starts_with(b"-ERR the reply is larger"), "{reply:?}");
}

#[test]
fn reply_or_batch_that_is_only_too_long_ends_its_own_call_and_nothing_else() {
    let limits =
        PluginLimits { request_bytes: 1_000, step_cpu_us: 100_000, ..PluginLimits::default() };
    let mut cells = cells("misbehaving/misbehaving.wasm", &limits);
    let (sibling, _) = misbehave(&mut cells, &["fine", "later"]).unwrap();
    for _ in 0..10 {
        let fault = misbehave(&mut cells, &["long"]).unwrap_err();
        assert_eq!(fault.kind, FaultKind::ReplyTooLarge(1 << 20));
        let fault = misbehave(&mut cells, &["long-batch"]).unwrap_err();
        assert_eq!(fault.kind, FaultKind::BatchTooLarge(1_000));
    }
    assert_eq!((cells.stats().live, cells.stats().crashed), (1, 0));
    assert_eq!(wake(&mut cells, sibling).unwrap(), Step::Done(b"+OK\r\n".to_vec()));
}

/// `RAW` with these out-frames, one for each step.
fn raw(cells: &mut Cells, frames: &[&str]) -> Result<(CallId, Step), Fault> {
    let head = head(Kind::OwnCommand, 2);
    start_at(cells, CLOCK, &head, &[&["RAW"], frames].concat())
}

/// SET of a key, as the operation in a frame.
const SET_K: &str = "\x01\0\0\x03\0\0\0\x03\0\0\0SET\x01\0\0\0k\x01\0\0\0v";

#[test]
fn call_that_has_written_says_so_however_it_ends() {
    let limits = PluginLimits { reply_bytes: 100, steps_per_call: 3, ..PluginLimits::default() };
    let mut cells = cells("misbehaving/misbehaving.wasm", &limits);
    let set = format!("\0\0\x01\0{SET_K}");
    let long = format!("\x01$200\r\n{}\r\n", "x".repeat(200));
    let cases = [
        (long.as_str(), FaultKind::ReplyTooLarge(100)),
        ("\x09", FaultKind::BadReply),
        ("again", FaultKind::StepLimit),
    ];
    for (frame, kind) in cases {
        let (id, _) = raw(&mut cells, &[&set, frame]).unwrap();
        let fault = (0..3).find_map(|_| wake(&mut cells, id).err()).unwrap();
        assert_eq!((fault.kind, fault.wrote), (kind, true));
    }
    // One that has only read does not.
    let get = format!("\0\0\x01\0{GET_K}");
    let (id, _) = raw(&mut cells, &[&get, &long]).unwrap();
    assert!(!wake(&mut cells, id).unwrap_err().wrote);
}

#[test]
fn what_one_call_keeps_in_the_host_is_bounded() {
    let limits = PluginLimits { request_bytes: 300_000, ..PluginLimits::default() };
    let mut cells = cells("misbehaving/misbehaving.wasm", &limits);
    // WAIT-KEY of so long a key, and a command that is denied and so resumes the call at once.
    let wait = |len: u32| {
        let bytes = len.to_le_bytes().map(char::from);
        let mut frame = String::from("\x01\0\x02\0\x04\0\0\0\0\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f");
        frame = frame.replacen("\x01\0\x02", "\0\x01\x02", 1);
        frame.extend(bytes);
        frame.push_str(&"x".repeat(len as usize));
        frame.push_str("\x01\0\0\x02\0\0\0\x03\0\0\0FOO\x01\0\0\0k");
        frame
    };
    let (id, step) = raw(&mut cells, &[&wait(0x7f7f), "again"]).unwrap();
    let Step::Pending(batch) = step else { panic!("{step:?}") };
    let denied: Vec<Option<Denied>> = batch.ops.iter().map(|op| op.denied).collect();
    assert_eq!(denied, [None, Some(Denied::Command)]);
    let mut steps = 0;
    let fault = loop {
        steps += 1;
        if let Err(fault) = wake(&mut cells, id) {
            break fault;
        }
    };
    // 13 frames of 32 KiB are above 300,000 bytes and what a batch may have besides.
    assert_eq!((fault.kind, steps), (FaultKind::BatchTooLarge(300_000), 13));
    let (_, step) = raw(&mut cells, &[&wait(0x1_0101)]).unwrap();
    let Step::Pending(batch) = step else { panic!("{step:?}") };
    assert_eq!(batch.ops[0].denied, Some(Denied::TooLong));
}

#[test]
fn name_of_a_key_beside_another_may_have_no_colon() {
    let mut cells = misbehaving();
    for (name, wanted) in [("a.b", None), ("a:b", Some(Denied::BesideName))] {
        // The argument's length has the mark that only bytes above 127 make: written as bytes.
        let mut frame =
            b"\0\0\x01\0\x01\0\0\x02\0\0\0\x03\0\0\0GET\x08\0\0\x80\x01\0\0\0k".to_vec();
        frame.extend_from_slice(name.as_bytes());
        let args = [&b"RAW"[..], &frame];
        let (_, step) = cells.start(CLOCK, &head(Kind::OwnCommand, 2), args.into_iter()).unwrap();
        let Step::Pending(batch) = step else { panic!("{step:?}") };
        assert_eq!(batch.ops[0].denied, wanted, "{name}");
    }
}

#[test]
fn traps_of_an_old_version_do_not_count_against_the_new_one() {
    let mut cells = misbehaving();
    let calls: Vec<CallId> =
        (0..5).map(|_| misbehave(&mut cells, &["panic", "later"]).unwrap().0).collect();
    let next = load("misbehaving/misbehaving.wasm", &PluginLimits::default(), "").unwrap();
    cells.swap(CLOCK, next, 0);
    let faults: Vec<Fault> = calls.iter().filter_map(|id| wake(&mut cells, *id).err()).collect();
    assert!(faults.iter().any(|fault| matches!(fault.kind, FaultKind::Trap(_))), "{faults:?}");
    // No quarantine: a second call shares the cell of the first.
    misbehave(&mut cells, &["fine", "later"]).unwrap();
    misbehave(&mut cells, &["fine", "later"]).unwrap();
    assert_eq!(cells.stats().cells, 1);
}

#[test]
fn swap_sends_new_calls_to_the_new_generation_and_lets_old_ones_finish() {
    let mut cells = misbehaving();
    let old = cells.generation().number;
    let (waiting, _) = misbehave(&mut cells, &["fine", "later"]).unwrap();
    let limits = PluginLimits::default();
    let next = load("misbehaving/misbehaving.wasm", &limits, "").unwrap();
    assert!(next.number > old);
    cells.swap(CLOCK, next, 0);
    misbehave(&mut cells, &["fine"]).unwrap();
    assert_eq!(cells.stats().cells, 2);
    assert_eq!(wake(&mut cells, waiting).unwrap(), Step::Done(b"+OK\r\n".to_vec()));
    cells.tidy(CLOCK);
    assert_eq!(cells.stats().cells, 1, "the old cell went with its last call");
}

#[test]
fn tidy_drops_cells_that_were_idle_for_long_but_one() {
    let limits = PluginLimits { calls_per_cell: 1, ..PluginLimits::default() };
    let mut cells = cells("misbehaving/misbehaving.wasm", &limits);
    let ids: Vec<_> =
        (0..3).map(|_| misbehave(&mut cells, &["fine", "later"]).unwrap().0).collect();
    for id in ids {
        wake(&mut cells, id).unwrap();
    }
    let at = |mono_ms| Clock { mono_ms, ..CLOCK };
    cells.tidy(at(CLOCK.mono_ms + 9_999));
    assert_eq!(cells.stats().cells, 3);
    cells.tidy(at(CLOCK.mono_ms + 10_000));
    assert_eq!(cells.stats().cells, 1);
}

#[test]
fn calls_with_large_frames_share_a_cell_only_as_far_as_its_memory_goes() {
    let mut cells = misbehaving();
    let large = "x".repeat(300_000);
    let small: Vec<_> =
        (0..3).map(|_| misbehave(&mut cells, &["fine", "later"]).unwrap().0).collect();
    assert_eq!(cells.stats().cells, 1);
    let ids: Vec<_> =
        (0..31).map(|_| misbehave(&mut cells, &["fine", "later", &large]).unwrap().0).collect();
    // 16 MiB of memory, an eighth of it for frames: six of 300 kB in each.
    assert_eq!(cells.stats().cells, 6);
    let another = misbehave(&mut cells, &["fine", "later"]).unwrap().0;
    assert_eq!(cells.stats().cells, 6, "a small one finds its place beside them");
    for id in small.into_iter().chain(ids).chain([another]) {
        wake(&mut cells, id).unwrap();
    }
    assert_eq!(cells.stats().live, 0);
    assert_eq!(cells.stats().crashed, 0);
}

#[test]
fn call_inside_multi_may_not_wait() {
    let mut cells = misbehaving();
    let in_multi = head(Kind::InMulti, 0);
    for args in [&["GET", "fine"][..], &["GET", "fine", "later"]] {
        let fault = start_at(&mut cells, CLOCK, &in_multi, args).unwrap_err();
        assert_eq!(fault.kind, FaultKind::BadReply, "{args:?}");
    }
    let (_, step) = start_at(&mut cells, CLOCK, &in_multi, &["GET", "no such fault"]).unwrap();
    assert!(matches!(step, Step::Done(reply) if reply.starts_with(b"-ERR")));
}

#[test]
fn breaker_closes_by_the_call_on_trial_and_no_other() {
    let mut cells = misbehaving();
    let at = |mono_ms| Clock { mono_ms, ..CLOCK };
    let start = |cells: &mut Cells, ms: u64, words: &[&str]| {
        let args = [&["MISBEHAVE"], words].concat();
        start_at(cells, at(ms), &head(Kind::OwnCommand, 1), &args)
    };
    // From before, in a cell of its own since the first trap.
    start(&mut cells, 0, &["panic"]).unwrap_err();
    let before = start(&mut cells, 0, &["fine", "later"]).unwrap().0;
    (0..4).for_each(|_| drop(start(&mut cells, 0, &["panic"]).unwrap_err()));
    assert_eq!(start(&mut cells, 9_999, &["fine"]).unwrap_err().kind, FaultKind::Down);
    let trial = start(&mut cells, 10_000, &["fine", "later"]).unwrap().0;
    assert_eq!(wake(&mut cells, before).unwrap(), Step::Done(b"+OK\r\n".to_vec()));
    let fault = start(&mut cells, 10_000, &["fine"]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Down, "the trial is not over");
    assert_eq!(wake(&mut cells, trial).unwrap(), Step::Done(b"+OK\r\n".to_vec()));
    assert!(start(&mut cells, 10_000, &["fine"]).is_ok());
}
