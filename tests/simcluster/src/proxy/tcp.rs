//! A TCP proxy that can be broken and mended.
//!
//! What must stay true: the proxy knows TCP and nothing else, so what a client sees under a fault is
//! what it would see with a real server behind a broken network. A fault is in force when `set`
//! returns for connections accepted later; connections already open notice it at their next step. A
//! connection that lost bytes never goes on, because no network could make it.
//!
//! Refused: answering 503 or delaying HTTP responses (that is what `ApiFaultProxy` is for), and closing the
//! listening socket for `Refuse` (its port could be taken by another process before the fault is lifted).

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Bytes of a connection under way in each direction.
const BUFFER: usize = 16 * 1024;
/// How finely a slow connection trickles.
const PIECES_PER_SECOND: u32 = 20;
/// Makes garbage of any byte.
const GARBLE: u8 = 0xA5;

/// What happens to connections that reach the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Bytes go through.
    #[default]
    None,
    /// Every connection is reset as soon as it is accepted; open ones are reset at once.
    Refuse,
    /// Connections are accepted and stay open, but no byte goes through, and none of the open ones
    /// goes on. When the fault is lifted, frozen connections go on where they stopped.
    Hang,
    /// Whatever goes through, in either direction, waits for `latency` and then trickles.
    Slow {
        /// How long each piece waits that arrives.
        latency: Duration,
        /// How fast it goes on.
        bytes_per_second: u32,
    },
    /// A connection is reset when so many bytes came from the server since the fault was set, in the middle
    /// of whatever they are.
    ResetAfter(u64),
    /// Clients see nothing more of the server, not even that it closes; what they send goes through. When
    /// the fault is lifted, connections that lost anything are reset.
    HalfOpen,
    /// What comes from the server arrives as other bytes.
    Garbage,
}

#[derive(Clone, Copy, Debug)]
struct State {
    fault: Fault,
    /// Raised with each fault that is set.
    serial: u64,
    target: SocketAddr,
    /// Raised to cut every connection that started under an earlier number.
    epoch: u64,
}

/// A TCP proxy whose behaviour can be broken and mended at run time; it ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    accept: AbortHandle,
}

impl FaultProxy {
    /// Listens on a free loopback port and forwards to `target`.
    pub async fn start(target: SocketAddr) -> io::Result<FaultProxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sender, receiver) = watch::channel(State {
            fault: Fault::None,
            serial: 0,
            target,
            epoch: 0,
        });
        let accept = tokio::spawn(accept(listener, receiver)).abort_handle();
        Ok(FaultProxy {
            address,
            state: Arc::new(sender),
            accept,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the fault. `Refuse` cuts open connections, `Hang` freezes them, `None` lets frozen ones go on.
    pub fn set(&self, fault: Fault) {
        self.state.send_modify(|state| {
            state.fault = fault;
            state.serial += 1;
            if fault == Fault::Refuse {
                state.epoch += 1;
            }
        });
    }

    /// The fault in force.
    pub fn fault(&self) -> Fault {
        self.state.borrow().fault
    }

    /// Cuts open connections and sends new ones to `target`.
    pub fn retarget(&self, target: SocketAddr) {
        self.state.send_modify(|state| {
            state.target = target;
            state.epoch += 1;
        });
    }

    /// Cuts open connections; new ones are served as the fault says.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.epoch += 1);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let now = *state.borrow();
                    if now.fault == Fault::Refuse {
                        reset(client);
                    } else {
                        connections.spawn(serve(client, now.epoch, state.clone()));
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Closes with RST instead of FIN.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

async fn serve(mut client: TcpStream, epoch: u64, state: watch::Receiver<State>) {
    let Some(State { target, .. }) = until_cut(epoch, state.clone(), thawed(state.clone())).await else {
        return reset(client);
    };
    let Some(Ok(mut server)) = until_cut(epoch, state.clone(), TcpStream::connect(target)).await else {
        return reset(client);
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (mut client_read, mut client_write) = client.split();
    let (mut server_read, mut server_write) = server.split();
    let both = async {
        tokio::try_join!(
            requests(&mut client_read, &mut server_write, state.clone()),
            answers(&mut server_read, &mut client_write, state.clone()),
        )
    };
    let finished = until_cut(epoch, state.clone(), both).await;
    if !matches!(finished, Some(Ok(_))) {
        reset(client);
        reset(server);
    }
}

/// Runs `work` until a cut makes `epoch` obsolete; `None` when it was cut.
async fn until_cut<T>(epoch: u64, mut state: watch::Receiver<State>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        _ = state.wait_for(|state| state.epoch != epoch) => None,
        done = work => Some(done),
    }
}

/// Waits until nothing hangs and returns the state of that moment.
async fn thawed(state: watch::Receiver<State>) -> State {
    reached(state, |state| state.fault != Fault::Hang).await
}

/// Waits until the state is as wanted.
async fn reached(mut state: watch::Receiver<State>, wanted: impl Fn(&State) -> bool) -> State {
    let found = state.wait_for(wanted).await.map(|state| *state);
    match found {
        Ok(state) => state,
        // The proxy is gone; its connections are aborted with it.
        Err(_) => std::future::pending().await,
    }
}

/// Copies what the client sends. What was read before a freeze is written after it.
async fn requests(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        thawed(state.clone()).await;
        if count == 0 {
            return to.shutdown().await;
        }
        write(to, &buffer[..count], &state).await?;
    }
}

/// Copies what the server sends, or what the fault makes of it.
async fn answers(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut lost = false;
    // Bytes passed on under the fault of this serial number.
    let (mut serial, mut passed) = (0, 0_u64);
    loop {
        let count = tokio::select! {
            biased;
            _ = reached(state.clone(), |state| state.fault != Fault::HalfOpen), if lost => return Err(broken()),
            count = from.read(&mut buffer) => count?,
        };
        let now = thawed(state.clone()).await;
        if now.serial != serial {
            (serial, passed) = (now.serial, 0);
        }
        match now.fault {
            Fault::HalfOpen => {
                lost = true;
                if count == 0 {
                    reached(state.clone(), |state| state.fault != Fault::HalfOpen).await;
                }
                continue;
            }
            Fault::ResetAfter(limit) if passed.saturating_add(count as u64) >= limit => {
                // Less than `count`, which is a `usize`.
                let rest = (limit - passed) as usize;
                to.write_all(&buffer[..rest]).await?;
                return Err(broken());
            }
            Fault::Garbage => buffer[..count].iter_mut().for_each(|byte| *byte ^= GARBLE),
            _ => {}
        }
        if count == 0 {
            return to.shutdown().await;
        }
        passed += count as u64;
        write(to, &buffer[..count], &state).await?;
    }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// Writes at the speed of the fault in force, which may change meanwhile.
async fn write(
    to: &mut (impl AsyncWriteExt + Unpin),
    mut bytes: &[u8],
    state: &watch::Receiver<State>,
) -> io::Result<()> {
    let began = *state.borrow();
    let changed = || reached(state.clone(), move |state| state.serial != began.serial);
    if let Fault::Slow { latency, .. } = began.fault {
        tokio::select! {
            () = tokio::time::sleep(latency) => {}
            _ = changed() => {}
        }
    }
    while !bytes.is_empty() {
        let now = *state.borrow();
        let Fault::Slow { bytes_per_second, .. } = now.fault else {
            return to.write_all(bytes).await;
        };
        let rate = bytes_per_second.max(1);
        let piece = (rate.div_ceil(PIECES_PER_SECOND) as usize).min(bytes.len());
        to.write_all(&bytes[..piece]).await?;
        bytes = &bytes[piece..];
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(piece as f64 / f64::from(rate))) => {}
            _ = changed() => {}
        }
    }
    Ok(())
}
