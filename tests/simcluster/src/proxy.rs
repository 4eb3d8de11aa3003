//! Faults in front of any API server.
//!
//! What must stay true: the proxy knows TCP and nothing else, so what a client sees under a fault is
//! what it would see with a real server behind a broken network. A fault is in force when `set`
//! returns for connections accepted later; connections already open notice it at their next step.
//!
//! Refused: answering 503 or delaying HTTP responses (a client's retry layer treats those quite
//! unlike a dead peer), and closing the listening socket for `Refuse` (its port could be taken by
//! another process before the fault is lifted).

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

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
}

#[derive(Clone, Copy, Debug)]
struct State {
    fault: Fault,
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
    let Some(target) = until_cut(epoch, state.clone(), thawed(state.clone())).await else {
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
        tokio::join!(
            pump(&mut client_read, &mut server_write, state.clone()),
            pump(&mut server_read, &mut client_write, state.clone()),
        )
    };
    let finished = until_cut(epoch, state.clone(), both).await;
    if !matches!(finished, Some((Ok(()), Ok(())))) {
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

/// Waits until nothing hangs and returns the target of that moment.
async fn thawed(mut state: watch::Receiver<State>) -> SocketAddr {
    let target = state
        .wait_for(|state| state.fault != Fault::Hang)
        .await
        .map(|state| state.target)
        .ok();
    match target {
        Some(target) => target,
        // The proxy is gone; its connections are aborted with it.
        None => std::future::pending().await,
    }
}

/// Copies one direction. What was read before a freeze is written after it.
async fn pump(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        thawed(state.clone()).await;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
