//! The tutorial of docs/plugins.md, carried out as it stands there.
//!
//! Each code block of the section says by its first line what it is: `sh` are commands, `sh background` one that goes on, `text`
//! what the commands before it print, `rust file=..` and `yaml file=..` a whole file, `toml after=LINE file=..` lines behind a
//! line of a file, `edit file=..` the old and the new lines with `---` between. A block of another kind fails the test, so that
//! nothing in the section goes untried. Ports are replaced by free ones. `redis-cli` is played by a client of the tests.
//! While the plugin is edited and swapped a client asks without a pause, and none of its requests may fail.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sluicegate_tests::client::Client;
use sluicegate_tests::load::Load;
use sluicegate_tests::real_server::{free_port, signal};
use sluicegate_tests::tools::{gateway_binary, repository};
use sluicegate_tests::value::Value;

const SECTION: &str = "\n## Half an hour";
/// The ports of the document.
const PORTS: [&str; 3] = ["6380", "7001", "7002"];
/// For what compiles on a busy machine.
const BUILD_DEADLINE: Duration = Duration::from_secs(240);

struct Block {
    kind: String,
    text: String,
    line: usize,
}

/// The code blocks between the section's title and the next one.
fn blocks(document: &str) -> Vec<Block> {
    let begin = document.find(SECTION).expect("the section") + 1;
    let first_line = document[..begin].lines().count() + 1;
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (index, line) in document[begin..].lines().enumerate() {
        match (inside, line.strip_prefix("```")) {
            (false, Some(kind)) => {
                let line = first_line + index;
                blocks.push(Block { kind: kind.to_owned(), text: String::new(), line });
                inside = true;
            }
            (true, Some("")) => inside = false,
            (true, _) => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            (false, None) if index > 0 && line.starts_with("## ") => return blocks,
            (false, None) => {}
        }
    }
    blocks
}

/// The reader of the document: a folder, a gateway in the background, and what was printed last.
struct Reader {
    top: PathBuf,
    folder: PathBuf,
    ports: [String; 3],
    background: Option<Child>,
    asked: Vec<Vec<String>>,
    load: Option<Load>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(mut child) = self.background.take() {
            // It ends the shards that it has started.
            signal(child.id(), Signal::INT);
            let _ = child.wait();
        }
        // What is left in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.top);
    }
}

impl Reader {
    fn new() -> Reader {
        let top = std::env::temp_dir().join(format!("sluicegate-tutorial-{}", std::process::id()));
        std::fs::create_dir_all(&top).expect("a folder");
        let ports = std::array::from_fn(|_| free_port().to_string());
        Reader { folder: top.clone(), top, ports, background: None, asked: Vec::new(), load: None }
    }

    fn client(&self) -> Client {
        let port = self.ports[0].parse().expect("a port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let what = "the gateway to listen";
        until(what, || Client::try_connect(address).ok())
    }

    fn with_own_ports(&self, text: &str) -> String {
        PORTS
            .iter()
            .zip(&self.ports)
            .fold(text.to_owned(), |text, (old, new)| text.replace(old, new))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn sluicegate(&self, words: &[&str]) -> Command {
        let mut command = Command::new(gateway_binary());
        command
            .args(words)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", repository().join("target/projects"))
            .env("CARGO_NET_OFFLINE", "true")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }

    fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["cd", folder] => self.folder.push(folder),
            ["sluicegate", rest @ ..] => {
                let output = self.sluicegate(rest).output().expect("the binary starts");
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{line}: {said}{errors}");
            }
            ["redis-cli", "-p", "6380", rest @ ..] => {
                self.asked.push(rest.iter().map(|word| (*word).to_owned()).collect());
            }
            _ => panic!("the tutorial's reader has no command {line}"),
        }
    }

    /// What the client's questions answer; asked again until it is what is wanted, because a swap takes its time.
    fn prints(&mut self, wanted: &str, may_repeat: bool) {
        let asked = std::mem::take(&mut self.asked);
        let mut client = self.client();
        let wanted: Vec<&str> = wanted.lines().collect();
        until(&format!("{asked:?} to print {wanted:?}"), || {
            let said: Vec<String> =
                asked.iter().map(|words| shown(&client.command(words))).collect();
            let same = said.len() == wanted.len()
                && said.iter().zip(&wanted).all(|(said, wanted)| said.starts_with(wanted));
            assert!(same || may_repeat, "{asked:?} printed {said:?}, not {wanted:?}");
            same.then_some(())
        });
    }

    fn follow(&mut self, block: &Block) {
        let (name, rest) = block.kind.split_once(' ').unwrap_or((block.kind.as_str(), ""));
        let file = rest.rsplit_once("file=").map(|(_, file)| self.file(file));
        match (name, rest, file) {
            ("sh", "", None) => block.text.lines().for_each(|line| self.run(line)),
            ("sh", "background", None) => {
                let words: Vec<&str> = block.text.split_whitespace().skip(1).collect();
                let mut command = self.sluicegate(&words);
                let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                self.background = Some(child.expect("the binary starts"));
            }
            ("text", "", None) => self.prints(&block.text, self.load.is_some()),
            ("rust" | "yaml", _, Some(file)) => write(&file, &self.with_own_ports(&block.text)),
            ("toml", _, Some(file)) => {
                let after = rest.strip_prefix("after=").and_then(|rest| rest.split(' ').next());
                let after = after.expect("a line to stand behind");
                replace(&file, &format!("{after}\n"), &format!("{after}\n{}", block.text));
            }
            ("edit", _, Some(file)) => {
                let (old, new) = block.text.split_once("---\n").expect("old --- new");
                let load = Load::start(vec![self.client()], |client, _, _| {
                    let said = shown(&client.line("LIMIT.TAKE u:2"));
                    let known = ["1", "0"].contains(&said.as_str()) || said.starts_with("LIMITED ");
                    assert!(known, "under the swap: {said}");
                });
                load.await_round();
                self.load = Some(load);
                replace(&file, old, new);
            }
            _ => panic!("docs/plugins.md:{}: no kind of block: {}", block.line, block.kind),
        }
    }
}

/// As redis-cli prints it where its output is no terminal.
fn shown(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Error(text) => String::from_utf8_lossy(text.as_ref()).into_owned(),
        other => format!("{other:?}"),
    }
}

fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < BUILD_DEADLINE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

fn replace(file: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(file).expect("read a file");
    assert!(text.contains(old), "{} has no {old}", file.display());
    write(file, &text.replacen(old, new, 1));
}

#[test]
fn tutorial_works_as_it_is_written() {
    let document = std::fs::read_to_string(repository().join("docs/plugins.md"));
    let blocks = blocks(&document.expect("docs/plugins.md"));
    assert!(blocks.len() > 10, "found only {} blocks", blocks.len());
    let mut reader = Reader::new();
    for block in &blocks {
        reader.follow(block);
    }
    assert!(reader.asked.is_empty(), "the last commands have nothing to print");
    let load = reader.load.take().expect("there was a swap");
    load.await_round();
    load.finish();
}
