//! A cluster of nodes, with its clients, in golden scripts.

mod as_of;
mod cluster;
mod golden;
mod repair;

use cluster::Cluster;

use super::Input;
use super::protocol::Message;

#[test]
fn a_proposal_that_does_not_decode_never_reaches_the_log() {
    let mut cluster = Cluster::new(1);
    cluster.start(1);
    cluster.elect();
    let last = |cluster: &Cluster| cluster.node(1).unwrap().raft().last_index();
    let before = last(&cluster);
    for garbage in [&[][..], &[0xff; 40], &[0, 1, 2]] {
        cluster.input(1, Input::Peer(Message::Propose { from: 9, to: 1, command: garbage.into() }));
    }
    assert_eq!(last(&cluster), before);
}
