//! docs/commands.md: the template page.md with one row per command, subcommands included.
//!
//! In: the registry, its rules, and what `differs`. Out: the page as text. Paragraphs are written by hand in page.md;
//! a test finds the heading of each way of being carried out there, and fails when the file on disk is not the page.
//! `make docs` writes the file. A new member of `Rule` asks for its heading here.

use super::rule::{LocalCommand, Rule};
use super::{CommandSpec, all, differs};

const TEMPLATE: &str = include_str!("page.md");
/// The line of the template that becomes the table.
const TABLE: &str = "{{every command}}";

/// The whole page.
pub fn page() -> String {
    let mut specs: Vec<&CommandSpec> =
        all().iter().flat_map(|spec| std::iter::once(spec).chain(&spec.subcommands)).collect();
    specs.sort_by_key(|spec| &spec.name);
    let mut table = "| command | carried out | differs |\n|---|---|---|\n".to_owned();
    for spec in specs {
        if let Some(heading) = heading(spec.rule) {
            table.push_str(&row(spec, heading));
        }
    }
    TEMPLATE.replace(&format!("{TABLE}\n"), &table)
}

/// How a command is carried out: a heading of the page. `None`: only its subcommands are commands.
fn heading(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::Key => "By key",
        Rule::Keys | Rule::Script | Rule::Sort | Rule::StreamRead => "Several keys on one shard",
        Rule::Split(_) => "Split over shards",
        Rule::Joined(_) => "Read and joined",
        Rule::Shards(_) => "All shards",
        Rule::Pubsub(_) => "Publish and subscribe",
        Rule::Transaction(_) => "Transactions",
        Rule::Local(LocalCommand::ClusterDisabled) | Rule::Refuse(_) => "Refused",
        Rule::Local(_) | Rule::Clients(_) | Rule::Plugins => "Answered by the gateway",
        Rule::Blocking => "Blocking",
        Rule::Wait(_) => "Waiting for replicas",
        Rule::Container => return None,
    })
}

/// The words of the error that a command without any other answer gets.
fn refusal(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::Refuse(text) => Some(text),
        Rule::Local(LocalCommand::ClusterDisabled) => {
            Some("This instance has cluster support disabled")
        }
        Rule::Local(_)
        | Rule::Clients(_)
        | Rule::Plugins
        | Rule::Key
        | Rule::Keys
        | Rule::Script
        | Rule::Sort
        | Rule::StreamRead
        | Rule::Blocking
        | Rule::Wait(_)
        | Rule::Split(_)
        | Rule::Joined(_)
        | Rule::Shards(_)
        | Rule::Pubsub(_)
        | Rule::Transaction(_)
        | Rule::Container => None,
    }
}

fn row(spec: &CommandSpec, heading: &str) -> String {
    let name = spec.name.to_uppercase().replace('|', " ");
    let texts: Vec<&str> = refusal(spec.rule).into_iter().chain(differs::of(&spec.name)).collect();
    let text = texts.join(". ").replace('|', "\\|");
    format!("| {name} | {} | {text} |\n", heading.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find;

    #[test]
    fn the_page_on_disk_is_the_page_that_the_table_makes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");
        let due = page();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &due).unwrap();
        }
        let on_disk = std::fs::read_to_string(path).unwrap();
        let stale = due.lines().zip(on_disk.lines()).find(|(due, found)| due != found);
        assert!(on_disk == due, "docs/commands.md is stale, run `make docs`: {stale:?}");
    }

    #[test]
    fn every_way_of_being_carried_out_is_a_heading_with_commands() {
        let headings: Vec<&str> =
            TEMPLATE.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let specs = || all().iter().flat_map(|spec| std::iter::once(spec).chain(&spec.subcommands));
        for heading in specs().filter_map(|spec| heading(spec.rule)) {
            assert!(headings.contains(&heading), "page.md has no heading '{heading}'");
        }
        for title in headings.into_iter().filter(|title| *title != "Every command") {
            let used = specs().any(|spec| heading(spec.rule) == Some(title));
            assert!(used, "no command is carried out as '{title}': take it out of page.md");
        }
    }

    #[test]
    fn differences_are_in_order_and_each_names_a_command() {
        assert!(differs::DIFFERS.is_sorted_by(|a, b| a.0 < b.0));
        for (name, text) in differs::DIFFERS {
            let mut words = name.split('|');
            let spec = words.next().and_then(|word| find(word.as_bytes()));
            let spec = match words.next() {
                Some(word) => spec.and_then(|spec| spec.subcommand(word.as_bytes())),
                None => spec,
            };
            assert!(spec.is_some_and(|spec| heading(spec.rule).is_some()), "{name} is no command");
            assert!(text.ends_with('.') && !text.contains('\n'), "{name}: '{text}'");
        }
    }
}
