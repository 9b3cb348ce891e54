// SPDX-License-Identifier: Apache-2.0
//! The process that runs an attack's builds, amid the bait: this program again, started by the bait's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::header::{self, Attack, Builds, Way};
use crate::{bubblewrap, sandbox};

/// The first argument with which this program starts itself.
pub(crate) const ARGUMENT: &str = "__inside";

/// How one build ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// `well`, which is also what `cut` in a header stands for where the log has lost its last line, `failed`, `killed`, `out-of-memory`, `time-out`, or `refused`: it ended well, but its outputs can't be taken.
    pub(crate) how: String,
    /// Whether a secret of the host's is in its outputs.
    pub(crate) leaked: bool,
    /// Where its log is.
    pub(crate) log: PathBuf,
}

/// What the builds of an attack came to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) ended: String,
    /// The end of the log.
    pub(crate) log: String,
    pub(crate) log_bytes: u64,
    pub(crate) leaked: bool,
    /// Where the end came too late: that.
    pub(crate) late: Option<String>,
    /// The process that ran the builds.
    pub(crate) runner: u32,
}

/// Runs the builds of an attack: the arguments are the bait's folder, the attack's name and the way.
pub(crate) fn main(arguments: &[String]) {
    let folder = Path::new(&arguments[0]);
    let attack = header::all().into_iter().find(|attack| attack.name == arguments[1]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(report(&attack, Way::named(&arguments[2]), folder));
    fs::write(folder.join("report.json"), serde_json::to_vec(&report).unwrap()).unwrap();
}

async fn report(attack: &Attack, way: Way, folder: &Path) -> Report {
    let (ended, late) = match attack.builds {
        Builds::One => timed(attack, way, folder, "").await,
        Builds::After => {
            let (first, late) = timed(attack, way, folder, "send").await;
            assert_eq!(first.how, "well", "{}", text(&first.log));
            let (second, later) = timed(attack, way, folder, "receive").await;
            check_received(attack, &first.log, &second.log);
            (second, late.or(later))
        }
        Builds::AtOnce => at_once(attack, way, folder).await,
    };
    Report {
        log: tail(&text(&ended.log)),
        log_bytes: fs::metadata(&ended.log).map_or(0, |metadata| metadata.len()),
        ended: ended.how,
        leaked: ended.leaked,
        late,
        runner: std::process::id(),
    }
}

/// Past its limit, the end of a build comes within this time.
const GRACE: Duration = Duration::from_secs(1);

async fn timed(attack: &Attack, way: Way, folder: &Path, role: &str) -> (Ended, Option<String>) {
    let started = Instant::now();
    let ended = match way {
        Way::Root | Way::Ordinary => sandbox::build(attack, folder, role).await,
        Way::Bubblewrap | Way::OrdinaryBubblewrap => bubblewrap::build(attack, folder, role).await,
    };
    let (took, limit) = (started.elapsed(), Duration::from_secs(attack.seconds().into()));
    (ended, (took > limit + GRACE).then(|| format!("its end took {took:?}; its limit is {limit:?}")))
}

async fn at_once(attack: &Attack, way: Way, folder: &Path) -> (Ended, Option<String>) {
    let log = log_of(attack, way, folder, "send");
    let ready = async {
        while !text(&log).lines().any(|line| line == "ready") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let second = async {
        ready.await;
        timed(attack, way, folder, "receive").await
    };
    tokio::select! {
        first = timed(attack, way, folder, "send") => panic!("the first build ended before the second: {first:?}, {}", text(&log)),
        second = second => {
            check_received(attack, &log, &second.0.log);
            second
        }
    }
}

/// A receiver that says that it has received something has to say what was sent.
fn check_received(attack: &Attack, sent: &Path, received: &Path) {
    let (sent, received) = (text(sent), text(received));
    let Some(word) = received.lines().last().and_then(|line| line.strip_prefix("escaped: received ")) else { return };
    let sent = sent.lines().find_map(|line| line.strip_prefix("sent: "));
    assert_eq!(sent, Some(word), "{}: what was received is not what was sent", attack.name);
}

/// Where the log of a build with this role is.
fn log_of(attack: &Attack, way: Way, folder: &Path, role: &str) -> PathBuf {
    match way {
        Way::Root | Way::Ordinary => folder.join(format!("store/logs/{}{role}.log", attack.name)),
        Way::Bubblewrap | Way::OrdinaryBubblewrap => bubblewrap::log(folder, role),
    }
}

/// The last 2,000 characters.
fn tail(text: &str) -> String {
    text.chars().skip(text.chars().count().saturating_sub(2000)).collect()
}

fn text(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}
