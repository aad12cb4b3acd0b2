//! The command table as a whole: every row has a rule and every name is found.
//!
//! These tests read the registry that the gateway uses, not the tables behind it. They fail when a renewed table brings
//! a command that nobody has thought about, which is what they are for.

use super::*;

fn every_spec() -> Vec<&'static CommandSpec> {
    all().iter().flat_map(|spec| std::iter::once(spec).chain(&spec.subcommands)).collect()
}

#[test]
fn every_row_without_keys_or_with_several_has_a_rule() {
    let missing: Vec<&str> = every_spec()
        .into_iter()
        .filter(|spec| spec.rule == NO_RULE)
        .map(|spec| spec.name.as_str())
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn only_rows_with_one_fixed_key_go_by_the_default() {
    for spec in every_spec() {
        let by_hand = overrides::RULES.iter().any(|(name, _)| *name == spec.name);
        match spec.rule {
            Rule::Key => assert!(spec.single_key.is_some() && !by_hand, "{}", spec.name),
            Rule::Container => assert!(!spec.subcommands.is_empty(), "{}", spec.name),
            _ => assert!(by_hand, "{}", spec.name),
        }
    }
}

#[test]
fn rules_are_in_order_and_each_names_a_row() {
    let names: Vec<&str> = overrides::RULES.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted_by(|a, b| a < b));
    let known: Vec<&str> = every_spec().iter().map(|s| s.name.as_str()).collect();
    for name in names {
        assert!(known.contains(&name), "{name} is no row");
    }
}

#[test]
fn hand_rows_are_in_order_and_the_generated_table_lacks_them() {
    assert!(newer::ROWS.is_sorted_by(|a, b| a.name < b.name));
    for row in newer::ROWS {
        let generated = table::ROWS.iter().any(|known| known.name == row.name);
        assert!(!generated, "{} can go: the table has it", row.name);
    }
}

#[test]
fn every_name_is_found_in_any_case() {
    for spec in all() {
        assert!(spec.name.len() <= NAME_BYTES_MAX);
        for name in [spec.name.to_lowercase(), spec.name.to_uppercase()] {
            assert_eq!(find(name.as_bytes()).map(|s| s.index), Some(spec.index));
        }
    }
}

#[test]
fn names_that_are_no_command_are_not_found() {
    let long = [b'a'; NAME_BYTES_MAX + 1];
    for name in
        [b"".as_slice(), b"ge", b"gett", b"get ", b"get\0", b"\xff\xfe", b"client|id", &long]
    {
        assert!(find(name).is_none(), "{name:?}");
    }
}

#[test]
fn folding_lowers_capitals_and_no_other_byte() {
    for byte in 0..=u8::MAX {
        let expected = u64::from_le_bytes([byte.to_ascii_lowercase(); 8]);
        assert_eq!(lower(u64::from_le_bytes([byte; 8])), expected, "{byte}");
    }
}

#[test]
fn indices_are_dense() {
    let mut indices: Vec<usize> = every_spec().iter().map(|s| usize::from(s.index)).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..count()).collect::<Vec<usize>>());
}

#[test]
fn no_command_reads_and_writes_at_once() {
    for spec in every_spec() {
        assert!(!(spec.is_write() && spec.is_readonly()), "{}", spec.name);
    }
}

#[test]
fn a_script_counts_as_a_write_unless_it_is_read_only() {
    for (name, is_write) in [
        ("eval", true),
        ("evalsha", true),
        ("fcall", true),
        ("eval_ro", false),
        ("set", true),
        ("get", false),
    ] {
        assert_eq!(find(name.as_bytes()).unwrap().is_write(), is_write, "{name}");
    }
}

#[test]
fn no_name_needs_a_long_probe() {
    for spec in all() {
        let mut place = hash(&fold(spec.name.as_bytes()));
        let mut probes = 1;
        while REGISTRY.specs[usize::from(REGISTRY.places[place])].index != spec.index {
            place = (place + 1) % PLACES;
            probes += 1;
        }
        assert!(probes <= 4, "{} takes {probes} probes", spec.name);
    }
}
