//! A plugin for the tests of the gateway: through the SDK, what the patterns do not use yet.
//!
//! `PROBE.CAS key expected new` stores `new` if the value is `expected`, by a guarded transaction, and answers `{1, EXEC's
//! replies}` or `{0, what was found}`. `PROBE.CAS2 key other ...` watches the one key and writes the other. `PROBE.WORK key
//! steps spins` takes so many steps, each with a GET behind it and so many rounds of a loop in it, and answers how many
//! steps it took. `PROBE.LATER key value` answers at once, then deletes the key, pauses and stores the value. `PROBE.COPY key owner`
//! copies the key to one beside its owner. A hooked `GET` sends a hooked `GET` of its own and adds `+` to its reply, so that the reply tells how
//! many bindings saw it; on a key that ends with `:plain` its own `GET` is not hooked. A hooked `MGET` reads each key and
//! adds `+` to each reply; it passes when its first key ends with `:pass`, or inside MULTI. `KEYS *` is refused, other
//! `KEYS` pass.
//! What the budgets are measured with: `PROBE.NOOP key value` answers at once, `PROBE.TWO key value` is a GET and then a
//! SET of the key and answers what was there.

use sluicegate_plugin::prelude::*;

async fn read(cx: Cx, args: Args) -> Result<Reply> {
    let read = cmd("GET").arg(args.key());
    let read = if args.key().ends_with(b":plain") { read } else { read.hooked() };
    let found = cx.call(read).await?;
    let mut said = found.bytes().unwrap_or_default().to_vec();
    said.push(b'+');
    Ok(Reply::bulk(said))
}

async fn mget(cx: Cx, args: Args) -> Result<Vec<Vec<u8>>> {
    if args.key().ends_with(b":pass") || cx.kind() == Kind::InMulti {
        return cx.pass();
    }
    let found = cx.pipeline(args.from(1).map(get).collect::<Vec<_>>()).await?;
    let marked =
        found.into_iter().map(|value| [value.unwrap_or_default().as_slice(), b"+"].concat());
    Ok(marked.collect())
}

async fn keys(cx: Cx, args: Args) -> Result<Reply> {
    if args.bytes(1) == b"*" {
        return Err(Error::new("KEYS * is refused here: use SCAN"));
    }
    cx.pass()
}

async fn noop(_cx: Cx, _args: Args) -> Result<Reply> {
    Ok(Reply::ok())
}

async fn two(cx: Cx, args: Args) -> Result<Reply> {
    let before = cx.call(cmd("GET").arg(args.key())).await?;
    cx.call(cmd("SET").arg(args.key()).arg(args.bytes(2))).await?;
    Ok(before)
}

async fn cas(cx: Cx, args: Args) -> Result<Reply> {
    swap(&cx, args.key(), args.key(), args.bytes(2), args.bytes(3)).await
}

async fn cas2(cx: Cx, args: Args) -> Result<Reply> {
    swap(&cx, args.key(), args.bytes(2), args.bytes(3), args.bytes(4)).await
}

async fn work(cx: Cx, args: Args) -> Result<Reply> {
    let (steps, spins) = (args.int(2).unwrap_or(0), args.int(3).unwrap_or(0));
    let mut taken = 0;
    while taken < steps {
        (0..spins).for_each(|spin| {
            std::hint::black_box(spin);
        });
        cx.call(cmd("GET").arg(args.key())).await?;
        taken += 1;
    }
    Ok(Reply::Int(taken))
}

async fn later(cx: Cx, args: Args) -> Result<()> {
    cx.background(());
    cx.call(del(args.key())).await?;
    cx.sleep(20).await?;
    cx.call(set(args.key(), args.bytes(2))).await
}

async fn copy(cx: Cx, args: Args) -> Result<Reply> {
    cx.call(cmd("COPY").arg(args.key()).arg(beside(args.bytes(2), "copy"))).await
}

async fn swap(cx: &Cx, read: &[u8], write: &[u8], expected: &[u8], new: &[u8]) -> Result<Reply> {
    let guard = get(read).to_key(read);
    let expected = if expected == b"nil" { Reply::Null } else { Reply::bulk(expected) };
    let set = cmd("SET").arg(write).arg(new);
    match cx.guarded(guard, &expected, [set]).await? {
        Guarded::Done(rows) => Ok(Reply::Array(vec![Reply::Int(1), Reply::Array(rows.into())])),
        Guarded::Changed(found) => Ok(Reply::Array(vec![Reply::Int(0), found])),
    }
}

sluicegate_plugin::plugin! {
    name: "probe",
    version: "1.0.0",
    hooks: ["GET" => read, "MGET" => mget, "KEYS" => keys],
    commands: [
        "PROBE.NOOP" => noop { arity: 3, keys: (1, 1, 1), flags: ["readonly"] },
        "PROBE.TWO" => two { arity: 3, keys: (1, 1, 1), flags: ["write"] },
        "PROBE.CAS" => cas { arity: 4, keys: (1, 1, 1), flags: ["write"] },
        "PROBE.CAS2" => cas2 { arity: 5, keys: (1, 2, 1), flags: ["write"] },
        "PROBE.WORK" => work { arity: 4, keys: (1, 1, 1), flags: ["readonly"] },
        "PROBE.LATER" => later { arity: 3, keys: (1, 1, 1), flags: ["write"] },
        "PROBE.COPY" => copy { arity: 3, keys: (1, 2, 1), flags: ["write"] },
    ],
    capabilities: { commands: ["GET", "SET", "DEL", "COPY"], wait: true, background: true },
}
