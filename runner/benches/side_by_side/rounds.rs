// SPDX-License-Identifier: Apache-2.0
//! Contestants in turn, round after round, so that whatever else the machine does falls on all of them alike.

use std::io;
use std::time::{Duration, Instant};

use crate::contestant::{Contestant, Work};
use crate::note;
use crate::report::{Row, Table};

/// How long it may take.
pub(crate) struct Bound {
    /// At most this many rounds.
    pub(crate) rounds: usize,
    /// No new round starts after this much time, once there were three.
    pub(crate) time: Duration,
}

const FEWEST_ROUNDS: usize = 3;

/// Measures all contestants that can take part; the one called `reference` is what the others are held against.
pub(crate) async fn race(
    title: &str,
    reference: &str,
    contestants: Vec<Contestant>,
    bound: Bound,
) -> io::Result<Table> {
    let (mut here, mut left_out) = (Vec::new(), Vec::new());
    for contestant in contestants {
        // The first round, which warms up, is this one for programs.
        match contestant.why_not() {
            None => here.push(contestant),
            Some(why) => {
                note(&format!("{}: left out: {why}", contestant.name));
                left_out.push((contestant.name, why));
            }
        }
        tokio::task::yield_now().await;
    }
    note(&format!("{title}: {} contestants, at most {} rounds", here.len(), bound.rounds));
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); here.len()];
    let start = Instant::now();
    for round in 0..=bound.rounds {
        if round > FEWEST_ROUNDS && start.elapsed() > bound.time {
            break;
        }
        // Each round starts with another one: what a contestant leaves for the kernel to do falls on all others in turn.
        for turn in 0..here.len() {
            let who = (round + turn) % here.len();
            let (Some(contestant), Some(times)) = (here.get(who), times.get_mut(who)) else { continue };
            if round == 0 && matches!(contestant.work, Work::Program(_)) {
                continue;
            }
            let took = contestant.once().await?;
            if round > 0 {
                times.push(took);
            }
            // A signal is seen here, where nothing runs.
            tokio::task::yield_now().await;
        }
    }
    let rows = here.iter().zip(times).map(|(contestant, times)| Row::of(&contestant.name, times)).collect();
    Ok(Table { title: title.to_owned(), reference: reference.to_owned(), rows, left_out, each: None })
}
