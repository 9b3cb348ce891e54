// SPDX-License-Identifier: Apache-2.0
//! Servers of a NATS cluster are killed while a farm works, and what was promised is still so.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reprove_farm::queue::{NatsOptions, NatsQueue};

use crate::model::{Fault, Model, Random, Work, begin, check, index, leader, round, rounds, seed};
use crate::servers::Servers;

/// Works, kills those of `kills`, starts them again, works on, and checks.
async fn survives(name: &str, count: usize, kills: impl AsyncFn(&NatsQueue, &NatsOptions) -> Vec<usize>, quorum: bool) {
    let servers = Servers::new(count);
    for seed in (seed()..).take(usize::try_from(rounds()).unwrap()) {
        println!("{name}: REPROVE_FAULT_SEED={seed}");
        let options = servers.options(&format!("farm-{seed}"));
        let killed = Mutex::new(Vec::new());
        let mend = || killed.lock().unwrap().drain(..).for_each(|index| servers.start(index));
        let strike = async |queue: &NatsQueue, options: &NatsOptions, _| {
            let indices = kills(queue, options).await;
            indices.iter().for_each(|index| servers.kill(*index));
            *killed.lock().unwrap() = indices;
        };
        round(&Fault { name, leaves_quorum: quorum, mend: &mend }, &options, &strike, seed).await;
    }
}

#[tokio::test]
async fn the_only_server() {
    survives("the only server", 1, async |_, _| vec![0], false).await;
}

#[tokio::test]
async fn the_server_that_is_connected() {
    let connected = async |queue: &NatsQueue, options: &NatsOptions| {
        let connected = index(&queue.server());
        println!("the connected server: it leads: {}", connected == leader(options).await);
        vec![connected]
    };
    survives("the connected server", 3, connected, true).await;
}

#[tokio::test]
async fn the_server_that_leads() {
    survives("the leader", 3, async |_, options| vec![leader(options).await], true).await;
}

#[tokio::test]
async fn two_of_three_servers() {
    let two = async |_: &NatsQueue, options: &NatsOptions| {
        let leader = leader(options).await;
        vec![leader, (leader + 1) % 3]
    };
    survives("two of three", 3, two, false).await;
}

#[tokio::test]
async fn all_servers() {
    survives("all three", 3, async |_, _| vec![0, 1, 2], false).await;
}

/// The process that decides is killed while much is under way, again and again.
#[test]
fn the_coordinator() {
    let servers = Servers::new(1);
    let options = NatsOptions { most_removed: 8, ..servers.options("farm") };
    let (model, seed) = (Arc::new(Mutex::new(Model::default())), seed());
    println!("the coordinator: REPROVE_FAULT_SEED={seed}");
    let mut random = Random(seed);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for n in 0..4 * rounds() {
        let mut known = std::mem::take(&mut *model.lock().unwrap());
        // With this, all that runs in it ends wherever it is.
        let runtime = runtime();
        let queue = Arc::new(runtime.block_on(NatsQueue::connect(&options)).unwrap());
        runtime.block_on(begin(&queue, &mut known));
        *model.lock().unwrap() = known;
        let work = Work { queue, model: Arc::clone(&model), stop: Arc::default() };
        runtime.spawn(work.clone().puts(n * 1_000_000));
        for number in 1..=6 {
            runtime.spawn(work.clone().takes(number, Random(random.below(u64::MAX))));
        }
        let time = Duration::from_millis(200 + random.below(500));
        runtime.block_on(async { tokio::time::sleep(time).await });
    }
    let mut model = std::mem::take(&mut *model.lock().unwrap());
    println!("the coordinator: {} put, {} settled", model.put.len(), model.settled.len());
    runtime().block_on(async {
        let queue = NatsQueue::connect(&options).await.unwrap();
        begin(&queue, &mut model).await;
        check(&queue, &mut model).await;
    });
}
