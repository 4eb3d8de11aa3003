//! Names that no good client sends. Many packets of chance are the business of `tests/hostile`.

use crate::support::packet::{Packet, exchange_tcp, exchange_udp};
use crate::support::start;

/// A message with one question of this name in wire form.
fn asking(name: &[u8]) -> Vec<u8> {
    let header = [0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header, name, &[0, 1, 0, 1]].concat()
}

#[tokio::test]
async fn loops_and_oversized_names_get_formerr_and_others_are_answered() {
    let (_server, address, _) = start().await;
    let long = [&[63][..], &[b'a'; 63]].concat();
    let names: [&[u8]; 7] = [
        // To itself, to the header, forwards, to the question's end.
        &[0xc0, 12],
        &[0xc0, 0],
        &[1, b'a', 0xc0, 14],
        &[0xff, 0xff],
        // 257 octets, a label of a reserved kind, labels of one octet past the limit.
        &[long.repeat(4).as_slice(), &[0]].concat(),
        &[0x80, 1, 0],
        &[[1, b'a'].repeat(128).as_slice(), &[0]].concat(),
    ];
    for name in names {
        let packet = asking(name);
        let reply = exchange_udp(address, &packet).await.expect("a reply");
        assert_eq!((reply.len(), reply[3] & 0x0f), (12, 1), "FORMERR for {name:?}");
        let replies = exchange_tcp(address, &[packet, Packet::ask("web.example.test").bytes(1)]).await;
        assert_eq!((replies[0][3] & 0x0f, replies[1][3] & 0x0f), (1, 0));
    }
    // As long as a name may be.
    let longest = [long.repeat(3).as_slice(), &[61], &[b'a'; 61], &[0]].concat();
    assert_eq!(longest.len(), 255);
    let reply = exchange_udp(address, &asking(&longest)).await.expect("a reply");
    assert_eq!(reply[3] & 0x0f, 5, "REFUSED: a good name, not ours");
}
