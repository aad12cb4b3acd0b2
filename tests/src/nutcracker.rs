//! A running nutcracker (twemproxy), the peer that placement and speed are compared with.
//!
//! Comes in: its program (`tools::find`), a nutcracker.yml and the address that its pool listens on. Goes out: the
//! process, once it answers a GET. It ends with the value that owns it; its files lie in a folder of their own.
//! Nothing here knows about the gateway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::client::Client;
use crate::real_server::free_port;
use crate::wait::eventually;

/// A running nutcracker and the folder of its files.
#[derive(Debug)]
pub struct Nutcracker {
    child: Child,
    folder: PathBuf,
}

impl Nutcracker {
    /// Starts `program` with `yaml`, whose pool listens on `listen`, and waits until it answers.
    pub fn start(program: &Path, yaml: &str, listen: SocketAddr) -> Nutcracker {
        let folder = std::env::temp_dir().join(format!(
            "sluicegate-nutcracker-{}-{}",
            std::process::id(),
            listen.port()
        ));
        std::fs::create_dir_all(&folder).expect("folder for nutcracker");
        let file = |name: &str| folder.join(name);
        std::fs::write(file("nutcracker.yml"), yaml).expect("write nutcracker.yml");
        let child = Command::new(program)
            .arg("-c")
            .arg(file("nutcracker.yml"))
            .arg("-o")
            .arg(file("log"))
            .arg("-p")
            .arg(file("pid"))
            .args(["-a", "127.0.0.1", "-s", &free_port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start nutcracker");
        let mut nutcracker = Nutcracker { child, folder };
        eventually("nutcracker to answer", || {
            let ended = nutcracker.child.try_wait().expect("look at a child");
            let log = std::fs::read_to_string(nutcracker.folder.join("log")).unwrap_or_default();
            assert!(ended.is_none(), "nutcracker ended at start: {log}\n{yaml}");
            let mut client = Client::try_connect(listen).ok()?;
            client.send(&["GET", "x"]);
            client.next_reply().map(|_| ())
        });
        nutcracker
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nutcracker {
    fn drop(&mut self) {
        // Both fail only when the process is gone already; a folder left behind harms nobody.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
