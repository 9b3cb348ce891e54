// SPDX-License-Identifier: Apache-2.0
//! A registry of Debian's (`docker-registry`) on a loopback port, for as long as a test has it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait_until;

/// A registry that ends with the value.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    /// Where it answers, as images are named by it: `127.0.0.1:PORT`.
    pub host: String,
}

impl Registry {
    /// Starts one that keeps what it has below `folder`. It ends itself after ten minutes.
    ///
    /// # Panics
    /// Where it does not come up.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        for _ in 0..5 {
            // Free when it was asked for; somebody else may be quicker, and then it is another one's turn.
            let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
            let settings = format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: \"{host}\"}}\n",
                folder.display()
            );
            fs::create_dir_all(folder).unwrap();
            let file = folder.join("settings.yml");
            fs::write(&file, settings).unwrap();
            let mut command = Command::new("timeout");
            command.args(["--kill-after=1", "600", "docker-registry", "serve"]).arg(file);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut registry = Self { process: command.spawn().unwrap(), host };
            let mut is_up = || {
                let ended = registry.process.try_wait().unwrap().is_some();
                ended || TcpStream::connect(&registry.host).is_ok()
            };
            assert!(wait_until(Duration::from_secs(30), &mut is_up), "the registry does not come up");
            if registry.process.try_wait().unwrap().is_none() {
                return registry;
            }
        }
        panic!("docker-registry ends at once (Debian: install `docker-registry`)");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // `timeout` hands the signal on to the registry.
        if let Ok(id) = i32::try_from(self.process.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.process.wait();
    }
}
