//! What the demo writes on standard output: headings, commands, replies, ticks and crosses.
//!
//! In: texts and replies. Out: lines of at most `WIDTH` columns, in colour only on a terminal. It counts what held and
//! what did not, for the last line and the exit status. It knows nothing of Redis beyond how a reply is shown.

use std::io::{IsTerminal, Write};

use super::reply::{Reply, quoted};

/// Columns of a line, indent included.
const WIDTH: usize = 96;
/// Before commands, replies and verdicts.
const INDENT: usize = 3;

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const CYAN: &str = "36";

/// Standard output as the demo uses it.
#[derive(Debug)]
pub(super) struct Screen {
    colour: bool,
    held: usize,
    failed: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { colour: std::io::stdout().is_terminal(), held: 0, failed: 0 }
    }

    /// A line without indent.
    pub(super) fn title(&self, text: &str) {
        self.print(0, "", BOLD, &[text.to_owned()]);
    }

    /// The heading of a chapter.
    pub(super) fn chapter(&self, number: usize, text: &str) {
        put("\n");
        self.print(0, &format!("{number}. "), BOLD, &[text.to_owned()]);
    }

    /// Words of explanation.
    pub(super) fn text(&self, text: &str) {
        self.print(INDENT, "", "", &[text.to_owned()]);
    }

    /// A line of a table, or other text that is laid out already.
    pub(super) fn row(&self, text: &str) {
        self.print(INDENT + 2, "", "", &[text.to_owned()]);
    }

    /// A command as it is sent; `who` names the client where there are several.
    pub(super) fn command(&self, who: &str, words: &[&str]) {
        let words: Vec<_> = words.iter().map(|word| shown_word(word)).collect();
        self.print(INDENT, &format!("{who}> "), CYAN, &[words.join(" ")]);
    }

    /// A reply as it came.
    pub(super) fn reply(&self, reply: &Reply) {
        self.print(INDENT + 2, "", "", &reply.lines());
    }

    /// A tick if `found` is what was `expected`, else a cross with both.
    pub(super) fn check(&mut self, claim: &str, expected: &str, found: &str) {
        if expected == found {
            self.held += 1;
            self.print(INDENT, "✓ ", GREEN, &[claim.to_owned()]);
        } else {
            self.fail(&format!("{claim}: expected {expected}, found {found}"));
        }
    }

    /// A cross.
    pub(super) fn fail(&mut self, text: &str) {
        self.failed += 1;
        self.print(INDENT, "✗ ", RED, &[text.to_owned()]);
    }

    /// How many expectations held, and how many did not.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.held, self.failed)
    }

    fn print(&self, indent: usize, mark: &str, colour: &str, texts: &[String]) {
        let room = " ".repeat(indent);
        let hang = " ".repeat(mark.chars().count());
        let width = WIDTH.saturating_sub(indent + hang.len());
        let mut before = mark;
        let mut out = String::new();
        for line in texts.iter().flat_map(|text| wrapped(text, width)) {
            let line = if self.colour && !colour.is_empty() {
                format!("{room}\x1b[{colour}m{before}{line}\x1b[0m")
            } else {
                format!("{room}{before}{line}")
            };
            out.push_str(line.trim_end());
            out.push('\n');
            before = &hang;
        }
        put(&out);
    }
}

/// A reader that has gone (`| head`) is no fault of ours: the exit status still tells how it went.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed_pipe = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A word of a command, in quotes where redis-cli would need them.
fn shown_word(word: &str) -> String {
    let plain = !word.is_empty()
        && !word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
    if plain { word.to_owned() } else { quoted(word.as_bytes()) }
}

/// `text` in lines of at most `width` characters, broken behind a space or comma where there is one.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive([' ', ',']) {
        if line.chars().count() + word.trim_end().chars().count() > width && !line.trim().is_empty()
        {
            lines.push(std::mem::take(&mut line));
        }
        for character in word.chars() {
            if line.chars().count() >= width && character != ' ' {
                lines.push(std::mem::take(&mut line));
            }
            line.push(character);
        }
    }
    lines.push(line);
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_words_then_anywhere() {
        let cases: &[(&str, usize, &[&str])] = &[
            ("", 5, &[""]),
            ("one two", 10, &["one two"]),
            ("one two", 7, &["one two"]),
            ("one two three", 7, &["one two", "three"]),
            ("a=1,b=2,c=3", 8, &["a=1,b=2,", "c=3"]),
            ("abcdefgh", 3, &["abc", "def", "gh"]),
            ("  indented words", 10, &["  indented", "words"]),
            ("über öl", 4, &["über", "öl"]),
        ];
        for (text, width, expected) in cases {
            assert_eq!(wrapped(text, *width), *expected, "{text:?} in {width}");
        }
    }

    #[test]
    fn words_that_a_shell_of_redis_would_split_are_quoted() {
        for (word, expected) in [("a:1", "a:1"), ("", "\"\""), ("a b", "\"a b\""), ("{x}", "{x}")] {
            assert_eq!(shown_word(word), expected);
        }
    }

    #[test]
    fn checks_are_counted() {
        let mut screen = Screen { colour: false, held: 0, failed: 0 };
        screen.check("sums", "2", "2");
        screen.check("sums", "2", "3");
        assert_eq!(screen.counts(), (1, 1));
    }
}
