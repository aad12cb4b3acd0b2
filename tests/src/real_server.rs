//! Redis and Valkey servers for tests: started on a free port, empty, ended with the value that owns them.
//!
//! Comes in: which server and extra options. Goes out: its address, once it answers with our own process id (so a
//! stranger on the port is never taken for ours). `kill`, `restart`, `pause` and `resume` act on that process only.
//! Nothing is written to disk but the log, in a folder of its own that goes when the server goes.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::tools;
use crate::wait::{eventually, eventually_true};

/// A running server.
#[derive(Debug)]
pub struct RealServer {
    program: PathBuf,
    options: Vec<String>,
    folder: PathBuf,
    port: u16,
    child: Child,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port");
    listener.local_addr().expect("local address").port()
}

/// Sends a signal to a process that the caller started.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).unwrap_or_else(|e| panic!("signal to {pid:?}: {e}"));
}

impl RealServer {
    /// A redis-server (or what `scripts/setup` took in its place).
    pub fn start() -> RealServer {
        RealServer::start_with(&[])
    }

    /// The same with further options, such as `["--requirepass", "secret"]`.
    pub fn start_with(options: &[&str]) -> RealServer {
        let program = tools::find("redis-server")
            .expect("there is no redis-server: run scripts/setup, or set REDIS_SERVER to its path");
        RealServer::start_program(program, options)
    }

    /// A Valkey 9 server, where this machine has one.
    pub fn start_valkey() -> Option<RealServer> {
        Some(RealServer::start_program(tools::find("valkey-server")?, &[]))
    }

    /// Another server of the same program: a replica must understand its primary.
    pub fn start_alike(&self, options: &[&str]) -> RealServer {
        RealServer::start_program(self.program.clone(), options)
    }

    /// `count` redis-servers.
    pub fn start_many(count: usize) -> Vec<RealServer> {
        (0..count).map(|_| RealServer::start()).collect()
    }

    fn start_program(program: PathBuf, options: &[&str]) -> RealServer {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-tests-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("folder for a server");
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        // The port may be taken between our look and the server's bind: then the server ends, and we try another.
        for _ in 0..20 {
            let port = free_port();
            let child = spawn(&program, &options, &folder, port);
            let mut server = RealServer {
                program: program.clone(),
                options: options.clone(),
                folder: folder.clone(),
                port,
                child,
            };
            if server.wait_until_ready() {
                return server;
            }
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        panic!("{} does not start: {log}", program.display());
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// A connection of its own, past the gateway.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, empty. It must have been killed.
    pub fn restart(&mut self) {
        eventually_true("the server's port to be free again", || {
            self.child = spawn(&self.program, &self.options, &self.folder, self.port);
            self.wait_until_ready()
        });
    }

    /// Freezes it: connections stay open and nothing is answered.
    pub fn pause(&self) {
        signal(self.child.id(), Signal::STOP);
    }

    /// Ends the freeze.
    pub fn resume(&self) {
        signal(self.child.id(), Signal::CONT);
    }

    /// True once it answers as our child; false when the child has ended.
    fn wait_until_ready(&mut self) -> bool {
        let ours = format!("process_id:{}\r", self.child.id());
        let address = self.address();
        let password = self.options.iter().position(|o| o == "--requirepass").map(|i| i + 1);
        let password = password.and_then(|i| self.options.get(i)).cloned();
        eventually("a server that answers", || {
            if self.child.try_wait().expect("look at a child").is_some() {
                return Some(false);
            }
            let mut client = Client::try_connect(address).ok()?;
            if let Some(password) = &password {
                client.command(&["AUTH", password]);
            }
            client.send(&["INFO", "server"]);
            let (_, info) = client.next_reply()?;
            info.text().contains(&ours).then_some(true)
        })
    }
}

fn spawn(program: &PathBuf, options: &[String], folder: &PathBuf, port: u16) -> Child {
    Command::new(program)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(["--daemonize", "no", "--logfile", "log", "--dir"])
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("start {}: {e}", program.display()))
}

impl Drop for RealServer {
    fn drop(&mut self) {
        self.kill();
        // A folder that is left behind in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
