// SPDX-License-Identifier: Apache-2.0
//! Passphrases of keys: out of `REPROVE_KEY_PASSPHRASE`, or asked for at the terminal. PINs of tokens, where they are asked for.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::Arc;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::app::blocking;
use crate::error::CommandError;
use crate::{env_vars, plain};

/// Cleared when it is dropped.
pub(crate) type Passphrase = Zeroizing<String>;

/// The longest line that is read as a passphrase, in bytes.
const MAX: u64 = 4096;

/// The passphrase of the key at `path`, which is there.
pub(crate) async fn of(path: &Path) -> Result<Passphrase, CommandError> {
    if let Some(given) = env_vars::text(env_vars::KEY_PASSPHRASE) {
        return Ok(given.into());
    }
    let shown = path.display();
    let terminal = Terminal::open().map_err(|_| {
        CommandError::bad_usage(format!("the private key {shown} is encrypted, and there is no terminal to ask at"))
            .next(format!("set {} to its passphrase", env_vars::KEY_PASSPHRASE))
    })?;
    terminal.ask(&format!("passphrase of {shown}: ")).await
}

/// A passphrase for a new key at `path`.
pub(crate) async fn new(path: &Path) -> Result<Passphrase, CommandError> {
    let empty = || {
        CommandError::bad_usage("an empty passphrase protects nothing")
            .next("give one, or make a key that is not encrypted: --no-passphrase")
    };
    if let Some(given) = env_vars::text(env_vars::KEY_PASSPHRASE) {
        return Ok(given.into());
    }
    let terminal = Terminal::open().map_err(|_| {
        CommandError::bad_usage("a new key is encrypted with a passphrase, and there is no terminal to ask at").next(
            format!("set {} to it, or make a key that is not encrypted: --no-passphrase", env_vars::KEY_PASSPHRASE),
        )
    })?;
    let one = terminal.ask(&format!("passphrase for the new key {}: ", path.display())).await?;
    if one.is_empty() {
        return Err(empty());
    }
    let again = terminal.ask("the same again: ").await?;
    if one == again { Ok(one) } else { Err(CommandError::bad_usage("the two passphrases are not the same")) }
}

/// The PIN of a token.
pub(crate) async fn pin(token: &str, last_try: bool) -> Result<Passphrase, CommandError> {
    let terminal = Terminal::open().map_err(|_| {
        CommandError::bad_usage(format!("the token {token} needs a PIN, and there is no terminal to ask at"))
            .next(format!("name a file with it as pin-source in the URI, or set {}", env_vars::PKCS11_PIN))
    })?;
    let warning = if last_try { " (the last try before it locks)" } else { "" };
    terminal.ask(&plain::line(&format!("PIN of the token {token}{warning}: "))).await
}

/// The controlling terminal.
struct Terminal(Arc<File>);

/// Has the terminal show what is typed again, when the value goes: also where a signal ends the command at the question.
struct Hidden(Arc<File>, Termios);

impl Terminal {
    fn open() -> io::Result<Self> {
        File::options().read(true).write(true).open("/dev/tty").map(|file| Self(Arc::new(file)))
    }

    /// Asks, and reads a line that is not shown.
    async fn ask(&self, question: &str) -> Result<Passphrase, CommandError> {
        let fail = |e: io::Error| CommandError::cannot(format!("can't ask at the terminal: {e}"));
        let before = tcgetattr(&*self.0).map_err(|e| fail(e.into()))?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        let _hidden = Hidden(Arc::clone(&self.0), before);
        tcsetattr(&*self.0, SetArg::TCSAFLUSH, &silent).map_err(|e| fail(e.into()))?;
        (&*self.0).write_all(question.as_bytes()).map_err(fail)?;
        let terminal = Arc::clone(&self.0);
        // On a thread of its own: it may wait for ever, and a signal is to be heard.
        let read = blocking(move || {
            let mut line = Passphrase::default();
            io::Read::take(BufReader::new(&*terminal), MAX).read_line(&mut line).map(|_| line)
        });
        let mut line = read.await?.map_err(fail)?;
        if !line.ends_with('\n') {
            return Err(CommandError::bad_usage("nothing was typed, or more than 4,095 bytes"));
        }
        line.pop();
        Ok(line)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(&*self.0, SetArg::TCSANOW, &self.1);
        // The line's end was not shown either.
        let _ = (&*self.0).write_all(b"\n");
    }
}
