//! The fuzzer's corpora, run through the bodies that the fuzzer runs.
//!
//! Comes in: the inputs in `proxy/fuzz/corpus`, which cargo-fuzz found to reach different code (`make fuzz-parsers`), and
//! what it once found to break something. Goes out: a failure that names the file. Half of
//! each input is run as well.

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

/// Runs `check` on every file of a corpus.
fn run(name: &str, check: fn(&[u8])) {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join("corpus").join(name);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("a corpus is a folder") {
        let path = entry.expect("an entry of a corpus").path();
        let input = std::fs::read(&path).expect("an input");
        // Shown by the test runner when the input fails.
        println!("{}", path.display());
        check(&input);
        check(&input[..input.len() / 2]);
        count += 1;
    }
    assert!(count >= 20, "{count} inputs in {}", folder.display());
}

#[test]
fn frames_of_the_corpus_hold() {
    run("frame", bodies::frame::check);
}

#[test]
fn replies_of_the_corpus_hold() {
    run("reply", bodies::reply::check);
}

#[test]
fn requests_of_the_corpus_hold() {
    run("request", bodies::request::check);
}
