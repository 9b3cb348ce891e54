// SPDX-License-Identifier: Apache-2.0
//! The network between a NATS cluster and a farm is cut, and within the cluster, and what was promised is still so. Each server
//! is on a host of its own, and the farm on another.

use std::sync::Arc;

use reprove_farm::queue::{NatsOptions, NatsQueue};

use crate::model::{Fault, index, leader, round, rounds, seed};
use crate::network::{Cut, Network};
use crate::servers::Servers;

/// The farm's host.
const FARM: usize = 3;

/// Works, has `strike` cut something by a number, heals it, works on, and checks.
fn survives(name: &str, leaves_quorum: bool, strike: impl AsyncFn(&Network, &NatsQueue, &NatsOptions, u64) + Sync) {
    if !Network::can_be() {
        return println!("skipped: it takes root to make a network");
    }
    let network = Arc::new(Network::new(4));
    let servers = Servers::on(Arc::clone(&network));
    for seed in (seed()..).take(usize::try_from(rounds()).unwrap()) {
        println!("{name}: REPROVE_FAULT_SEED={seed}");
        let options = servers.options(&format!("farm-{seed}"));
        let strike = async |queue: &NatsQueue, options: &NatsOptions, number: u64| {
            strike(&network, queue, options, number).await;
        };
        let fault = Fault { name, leaves_quorum, mend: &|| network.heal() };
        network.within(FARM, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(round(&fault, &options, &strike, seed));
        });
    }
}

/// One of the two ways to be cut off.
fn cut(number: u64) -> Cut {
    let cut = if number.is_multiple_of(2) { Cut::Down } else { Cut::Silent };
    println!("cut: {cut:?}");
    cut
}

#[test]
fn the_server_that_is_connected() {
    survives("the connected server", true, async |network, queue, options, number| {
        let connected = index(&queue.server());
        println!("the connected server: it leads: {}", connected == leader(options).await);
        network.cut(connected, cut(number));
    });
}

#[test]
fn the_server_that_leads() {
    survives("the leader", true, async |network, queue, options, number| {
        let leader = leader(options).await;
        println!("the leader: it is connected: {}", leader == index(&queue.server()));
        network.cut(leader, cut(number));
    });
}

/// Whoever asks it is told by nobody that it can do nothing.
#[test]
fn the_connected_server_from_the_others() {
    survives("the connected server from the others", true, async |network, queue, options, _| {
        let connected = index(&queue.server());
        println!("the connected server from the others: it leads: {}", connected == leader(options).await);
        for other in (0..FARM).filter(|other| *other != connected) {
            network.mute(connected, other);
            network.mute(other, connected);
        }
    });
}

#[test]
fn a_farm_with_one_of_three_servers() {
    survives("the farm with one of three", false, async |network, queue, options, number| {
        let (connected, leader) = (index(&queue.server()), leader(options).await);
        let one = if number.is_multiple_of(2) { connected } else { leader };
        println!("the farm with one of three: connected: {}, leads: {}", one == connected, one == leader);
        network.part(&[FARM, one]);
    });
}

#[test]
fn a_farm_without_any_server() {
    survives("the farm alone", false, async |network, _, _, number| network.cut(FARM, cut(number)));
}
