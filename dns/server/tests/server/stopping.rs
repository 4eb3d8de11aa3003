//! The end of a server: no query is dropped.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::support::packet::{LIMIT, Packet, exchange_udp};
use crate::support::{start, start_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn readiness_goes_first_and_queries_are_welcome_until_the_notice_is_over() {
    let notice = Duration::from_secs(1);
    let (server, address, _) = start_with(|config| config.settings.drain.notice = notice).await;
    let mut ready = server.ready();
    assert!(*ready.borrow_and_update());
    let begun = Instant::now();
    let ending = tokio::spawn(server.shutdown());
    tokio::time::timeout(LIMIT, ready.changed())
        .await
        .expect("at once")
        .expect("told");
    assert!(!*ready.borrow());
    let query = Packet::ask("web.example.test").bytes(1);
    assert!(exchange_udp(address, &query).await.is_some());
    assert!(TcpStream::connect(address).await.is_ok());
    assert!(begun.elapsed() < notice, "the notice was not over");
    ending.await.expect("no panic");
    assert!(begun.elapsed() >= notice);
    assert!(TcpStream::connect(address).await.is_err(), "the socket is closed");
}

#[tokio::test(flavor = "current_thread")]
async fn what_has_arrived_is_answered() {
    let (server, address, _) = start().await;
    let query = Packet::ask("web.example.test").bytes(1);
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let framed = [
        &u16::try_from(query.len()).expect("short").to_be_bytes(),
        query.as_slice(),
    ]
    .concat();
    // The connection is known to the server before the end begins.
    stream.write_all(&framed).await.expect("written");
    let mut reply = vec![0; usize::from(stream.read_u16().await.expect("a reply"))];
    stream.read_exact(&mut reply).await.expect("a reply");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(address).expect("a route");
    // On one thread nobody reads these before the end has begun.
    stream.try_write(&framed.repeat(20)).expect("written");
    for _ in 0..20 {
        socket.send(&query).expect("sent");
    }
    server.shutdown().await;
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).await.expect("closed in order");
    assert_eq!(replies.len(), 20 * (reply.len() + 2));
    let mut buffer = [0; 512];
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    for _ in 0..20 {
        assert_eq!(socket.recv(&mut buffer).expect("a reply in time"), reply.len());
    }
}

#[tokio::test]
async fn connections_that_do_not_end_are_cut_off() {
    let limit = Duration::from_millis(300);
    let (server, address, _) = start_with(|config| config.settings.drain.limit = limit).await;
    let mut deaf = TcpStream::connect(address).await.expect("a connection");
    let query = Packet::ask("many.example.test").bytes(1);
    let framed = [
        &u16::try_from(query.len()).expect("short").to_be_bytes(),
        query.as_slice(),
    ]
    .concat();
    let writing = async { while deaf.write_all(&framed.repeat(100)).await.is_ok() {} };
    let _ = tokio::time::timeout(Duration::from_millis(300), writing).await;
    let begun = Instant::now();
    server.shutdown().await;
    assert!(begun.elapsed() < limit + Duration::from_secs(1));
}

#[test]
fn datagrams_are_answered_while_every_worker_is_busy() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (server, address, _) = runtime.block_on(start());
    let (busy, is_busy) = std::sync::mpsc::channel();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    // As connections do that have more to answer than there is time for.
    runtime.spawn(async move {
        busy.send(()).expect("somebody waits");
        let _ = is_done.recv();
    });
    is_busy.recv().expect("the worker is busy");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    socket.connect(address).expect("a route");
    socket.send(&Packet::ask("web.example.test").bytes(7)).expect("sent");
    let mut reply = [0; 1500];
    let length = socket.recv(&mut reply).expect("a reply, although no worker is free");
    assert!(length > 12 && reply[..2] == [0, 7]);
    drop(done);
    runtime.block_on(server.shutdown());
}
