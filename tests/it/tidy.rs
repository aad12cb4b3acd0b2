//! The house rules that a text scan can hold, each with a bad sample that it must catch.
//!
//! Reads the source tree and ARCHITECTURE.md: the allowed imports, the outer modules and the code map stand there,
//! so page and code cannot drift apart. Every finding names the file, the line, the rule and what to do.
//! It sees names, not types: root re-exports and glob imports of `super` would blind it, so both are banned.

use std::collections::BTreeSet;

use sluicegate_tests::source::{Architecture, Source, architecture, tree};

const CODE_LINES_MAX: usize = 500;
const HEADER_LINES_MIN: usize = 4;
/// Data, not logic: may be longer than a file of code.
const TABLES: &[&str] = &["proxy/src/command/table.rs"];
/// What a module that only decides must not touch: time, chance, sockets, locks and tasks are the outer modules'.
const IMPURE: &[&str] = &[
    "tokio",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "Instant::now",
    "SystemTime",
    "rand::",
    "getrandom",
    "Mutex",
    "RwLock",
    "thread::",
    "tracing::",
];

fn top(path: &str) -> &str {
    path.split(['/', ':']).next().unwrap_or_default()
}

/// The top-level modules that `line` names after `crate::` or `sluicegate::`, alone or in a group.
fn named_modules(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["crate::", "sluicegate::"] {
        for (at, _) in line.match_indices(root) {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &line[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(grouped_modules(group)),
                None => found.push(first_word(rest)),
            }
        }
    }
    found
}

/// The modules at the top of a group `a, b::{c, d}}`; a group that goes on in the next line is one strange name.
fn grouped_modules(group: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut depth = 0;
    let mut item = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(first_word(item.trim()));
                return found;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(first_word(std::mem::take(&mut item).trim())),
            _ => item.push(c),
        }
    }
    vec!["a group of several lines".to_owned()]
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn check_imports(source: &Source, architecture: &Architecture) -> Vec<String> {
    if source.is_tests() {
        return Vec::new();
    }
    let Some(module) = source.module().filter(|module| *module != "lib") else {
        return Vec::new();
    };
    let own = top(module);
    let Some(allowed) = architecture.imports.get(own) else {
        return vec![
            source.finding(1, &format!("`{own}` has no line in the imports of ARCHITECTURE.md")),
        ];
    };
    let mut findings = Vec::new();
    for (number, line) in source.code() {
        let mut fail = |text: String| findings.push(source.finding(number, &text));
        for name in named_modules(line) {
            if name != own && !allowed.contains(&name) {
                fail(format!("`{own}` imports `{name}`: ARCHITECTURE.md does not allow it"));
            }
        }
        if line.contains("super::super")
            || line.contains("super::*")
            || line.contains("super::{self")
        {
            fail(
                "reaches past its folder or for everything: name the module from `crate::`"
                    .to_owned(),
            );
        }
        if line.contains("super::") && !source.path.trim_start_matches("proxy/src/").contains('/') {
            fail("`super` is the root here: name the module from `crate::`".to_owned());
        }
        if line.trim_start().starts_with("pub use") || line.contains(") use ") {
            fail("re-export: let users name the module that owns the item".to_owned());
        }
    }
    findings
}

fn check_purity(source: &Source, architecture: &Architecture) -> Vec<String> {
    let Some(module) = source.module() else {
        return Vec::new();
    };
    let outer = architecture.outer.contains(top(module)) || architecture.outer.contains(module);
    if outer || source.is_tests() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in source.code() {
        for word in IMPURE.iter().filter(|word| line.contains(**word)) {
            let text = format!("`{word}` in a module that decides: take it as an argument");
            findings.push(source.finding(number, &text));
        }
    }
    findings
}

fn check_shape(source: &Source) -> Vec<String> {
    let header = source.text.lines().take_while(|line| line.starts_with("//!")).count();
    let code = source.code().len();
    let mut findings = Vec::new();
    if header < HEADER_LINES_MIN {
        let text = format!(
            "opens with {header} lines of `//!`, at least {HEADER_LINES_MIN}: what it owns, \
                            what goes in and out, what it must not do"
        );
        findings.push(source.finding(1, &text));
    }
    if code > CODE_LINES_MAX && !TABLES.contains(&source.path.as_str()) {
        let text = format!("{code} lines of code, at most {CODE_LINES_MAX}: is it still one noun?");
        findings.push(source.finding(code, &text));
    }
    let depth =
        source.path.strip_prefix("proxy/src/").map_or(0, |below| below.matches('/').count());
    if depth > 1 {
        findings.push(source.finding(1, "folders in src are one level deep"));
    }
    findings
}

fn check_map(module: &str, architecture: &Architecture) -> Option<String> {
    let (row, file) = match module.split_once('/') {
        Some((folder, file)) => (format!("{folder}/"), Some(file)),
        None => (module.to_owned(), None),
    };
    let known = match file {
        Some(file) => {
            architecture.map.get(&row).is_some_and(|text| text.contains(&format!("`{file}`")))
        }
        None => [row.clone(), format!("{row}/"), format!("{row}.rs")]
            .iter()
            .any(|name| architecture.map.contains_key(name)),
    };
    (!known).then(|| format!("proxy/src/{module}.rs is not in the code map of ARCHITECTURE.md"))
}

/// Words that no file of the repository holds. Written in halves, so that this file may name them.
fn banned_words() -> Vec<(String, &'static str)> {
    let word = |first: &str, second: &str| [first, second].concat();
    vec![
        (word("TO", "DO"), "open work belongs into an issue"),
        (word("FIX", "ME"), "open work belongs into an issue"),
        (word("/wo", "rk/"), "a path of one machine"),
        (word("/ro", "ot/"), "a path of one machine"),
        (word("/ho", "me/"), "a path of one machine"),
        (word("arti", "factory"), "a host of one workplace"),
    ]
}

fn check_words(source: &Source) -> Vec<String> {
    let banned = banned_words();
    let mut findings = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for (word, reason) in banned.iter().filter(|(word, _)| line.contains(word)) {
            findings.push(source.finding(index + 1, &format!("`{word}`: {reason}")));
        }
    }
    findings
}

/// A test that sleeps is slow when all is well and wrong when it is not.
fn check_pauses(source: &Source) -> Vec<String> {
    let call = ["slee", "p("].concat();
    let whole_file = source.path.starts_with("tests/") || source.path.contains("/tests/");
    let tests_start = source.code().last().map_or(0, |(number, _)| *number);
    let lines = source.text.lines().enumerate();
    let slept =
        lines.filter(|(index, line)| line.contains(&call) && (whole_file || *index >= tests_start));
    slept
        .map(|(index, _)| source.finding(index + 1, "a test waits for a fact (`eventually`)"))
        .collect()
}

/// Rust files, without generated ones that carry another project's text.
fn rust(tree: &[Source]) -> impl Iterator<Item = &Source> {
    tree.iter().filter(|source| source.path.ends_with(".rs"))
}

fn report(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn modules_import_only_from_the_layers_below() {
    let (tree, architecture) = (tree(), architecture());
    report(&rust(&tree).flat_map(|s| check_imports(s, &architecture)).collect::<Vec<_>>());
}

/// Allowed edges that no file uses: the list says what is, not what might be.
fn unused_imports(tree: &[Source], architecture: &Architecture) -> Vec<String> {
    let modules = rust(tree).filter(|source| !source.is_tests());
    let used: BTreeSet<(String, String)> = modules
        .filter_map(|source| Some((source, top(source.module()?).to_owned())))
        .flat_map(|(source, own)| {
            let named = source.code().into_iter().flat_map(|(_, line)| named_modules(line));
            named.map(move |name| (own.clone(), name)).collect::<Vec<_>>()
        })
        .collect();
    let allowed =
        architecture.imports.iter().flat_map(|(own, list)| list.iter().map(move |n| (own, n)));
    allowed
        .filter(|(own, name)| !used.contains(&((*own).clone(), (*name).clone())))
        .map(|(own, name)| format!("ARCHITECTURE.md lets `{own}` import `{name}`: no file does"))
        .collect()
}

#[test]
fn allowed_imports_are_all_used() {
    report(&unused_imports(&tree(), &architecture()));
}

#[test]
fn allowed_imports_form_no_circle() {
    let architecture = architecture();
    let mut open = architecture.imports.clone();
    while !open.is_empty() {
        let next = open.iter().find(|(_, list)| list.iter().all(|name| !open.contains_key(name)));
        let next = next.map(|(name, _)| name.clone());
        let next = next.unwrap_or_else(|| panic!("a circle among {:?}", open.keys()));
        open.remove(&next);
    }
}

#[test]
fn modules_that_decide_touch_no_clock_socket_lock_or_task() {
    let (tree, architecture) = (tree(), architecture());
    report(&rust(&tree).flat_map(|s| check_purity(s, &architecture)).collect::<Vec<_>>());
}

#[test]
fn files_open_with_their_story_and_stay_short() {
    report(&rust(&tree()).flat_map(check_shape).collect::<Vec<_>>());
}

#[test]
fn code_map_names_every_file_and_no_other() {
    let (tree, architecture) = (tree(), architecture());
    let modules = tree.iter().filter(|source| !source.is_tests());
    let modules: BTreeSet<&str> = modules.filter_map(Source::module).collect();
    let mut findings: Vec<String> =
        modules.iter().filter_map(|m| check_map(m, &architecture)).collect();
    for name in architecture.imports.keys().filter(|name| !modules.contains(name.as_str())) {
        findings.push(format!("ARCHITECTURE.md lists `{name}`, which is not in proxy/src"));
    }
    report(&findings);
}

#[test]
fn no_file_holds_open_ends_or_paths_of_a_machine() {
    let tree = tree();
    let ours =
        tree.iter().filter(|source| source.path != "LICENSE" && !source.path.ends_with(".lock"));
    report(&ours.flat_map(check_words).collect::<Vec<_>>());
}

#[test]
fn tests_wait_for_facts_not_for_time() {
    report(&rust(&tree()).flat_map(check_pauses).collect::<Vec<_>>());
}

/// A page with two modules that may import each other in one direction only.
fn sample_page() -> Architecture {
    Architecture::read(
        "```imports\nresp: limits\nlimits:\nio: resp\n```\n```outer\nio\n```\n\
         | `resp/` | `args` |\n| `io` | x |\n",
    )
}

fn sample(path: &str, body: &str) -> Source {
    Source::new(path, &format!("//! a\n//! b\n//! c\n//! d\n{body}"))
}

#[test]
fn import_rule_catches_every_way_to_name_a_module() {
    let page = sample_page();
    let check = |path: &str, body: &str, expected: usize| {
        let findings = check_imports(&sample(path, body), &page);
        assert_eq!(findings.len(), expected, "{body:?}: {findings:?}");
    };
    let args = "proxy/src/resp/args.rs";
    check(args, "use crate::limits::X;\nuse crate::resp::Y;\n", 0);
    check(args, "use crate::io::X;\n", 1);
    check(args, "let x = crate::io::run();\n", 1);
    check(args, "use crate::{io, limits};\n", 1);
    check(args, "use crate::{limits::{A, B}, resp};\n", 0);
    check(args, "use crate::{resp, limits::{A, B}, io::C};\n", 1);
    check(args, "use crate::{\n    limits,\n};\n", 1);
    check(args, "use super::super::io;\n", 1);
    check(args, "pub use crate::limits::X;\n", 1);
    check(args, "pub(crate) use crate::limits::X;\n", 1);
    check("proxy/src/limits.rs", "use super::io;\n", 1);
    check("proxy/src/stranger.rs", "", 1);
    check(args, "#[cfg(test)]\nmod tests {\nuse super::*;\n}\n", 0);
    check(args, "use super::*;\n", 1);
}

#[test]
fn unused_import_rule_catches_an_edge_that_only_comments_and_tests_use() {
    let page = sample_page();
    let unused = |body: &str| {
        let tree = [
            sample("proxy/src/resp/args.rs", body),
            sample("proxy/src/io.rs", "use crate::resp;\n"),
        ];
        unused_imports(&tree, &page).len()
    };
    assert_eq!(unused("use crate::limits::X;\n"), 0);
    assert_eq!(unused("// as in crate::limits\n"), 1);
    assert_eq!(unused("#[cfg(test)]\nmod tests {\nuse crate::limits;\n}\n"), 1);
}

#[test]
fn purity_rule_catches_a_clock_in_code_but_not_in_comments_or_outer_modules() {
    let page = sample_page();
    let purity = |path: &str, body: &str| check_purity(&sample(path, body), &page).len();
    for word in IMPURE {
        assert_eq!(purity("proxy/src/resp/args.rs", &format!("let x = {word};\n")), 1, "{word}");
        assert_eq!(purity("proxy/src/resp/args.rs", &format!("// not {word}\n")), 0, "{word}");
        assert_eq!(purity("proxy/src/io.rs", &format!("let x = {word};\n")), 0, "{word}");
    }
}

#[test]
fn shape_rule_catches_short_headers_long_files_and_deep_folders() {
    let long = "x\n".repeat(CODE_LINES_MAX);
    assert_eq!(check_shape(&sample("proxy/src/io.rs", "")).len(), 0);
    assert_eq!(check_shape(&Source::new("proxy/src/io.rs", "//! a\n//! b\n//! c\n")).len(), 1);
    assert_eq!(check_shape(&sample("proxy/src/io.rs", &long)).len(), 1);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(check_shape(&sample("proxy/src/io.rs", &tests)).len(), 0);
    assert_eq!(check_shape(&sample("proxy/src/a/b/c.rs", "")).len(), 1);
}

#[test]
fn map_rule_catches_a_file_without_a_row_and_a_row_without_the_file() {
    let page = sample_page();
    assert_eq!(check_map("resp/args", &page), None);
    assert_eq!(check_map("io", &page), None);
    assert!(check_map("resp/other", &page).is_some());
    assert!(check_map("other", &page).is_some());
}

#[test]
fn word_rules_catch_their_words() {
    for (word, _) in banned_words() {
        let source = Source::new("README.md", &format!("see {word}x"));
        assert_eq!(check_words(&source).len(), 1, "{word}");
    }
    let sleepy = ["std::thread::slee", "p(second);\n"].concat();
    let in_tests = format!("#[cfg(test)]\nmod tests {{\n{sleepy}}}\n");
    assert_eq!(check_pauses(&sample("tests/it/a.rs", &sleepy)).len(), 1);
    assert_eq!(check_pauses(&sample("proxy/src/a.rs", &sleepy)).len(), 0);
    assert_eq!(check_pauses(&sample("proxy/src/a.rs", &in_tests)).len(), 1);
}
