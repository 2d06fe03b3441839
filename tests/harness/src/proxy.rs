use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::{ControlPlane, Error, Result, own_loopback};

/// A TCP proxy in front of the API server, for one operator, that can go bad. It
/// lives on the runtime that started it.
#[derive(Debug)]
pub struct ApiProxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Cut,
    Hung,
}

impl ApiProxy {
    /// Starts one in front of `plane`, open.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        Self::in_front_of(plane.address()?).await
    }

    /// Starts one in front of any server.
    pub async fn in_front_of(server: SocketAddr) -> Result<Self> {
        // The API server's certificate is good for the same address.
        let listener =
            TcpListener::bind((own_loopback(), 0)).await.map_err(Error::io("bind a proxy"))?;
        let address = listener.local_addr().map_err(Error::io("bind a proxy"))?;
        let mode = watch::Sender::new(Mode::Open);
        let accepting = tokio::spawn(accept(listener, server, mode.subscribe()));
        Ok(Self { address, mode, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, for [`crate::Launch::through`].
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Ends all connections and every new one at once.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Keeps connections and takes new ones, but carries nothing, neither way.
    pub fn hang(&self) {
        self.mode.send_replace(Mode::Hung);
    }

    /// Carries again, what was held up included.
    pub fn restore(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        // The connections are that task's and end with it.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, mode: watch::Receiver<Mode>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(carry(client, server, mode.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries one connection until either side ends it or the proxy is cut.
async fn carry(client: TcpStream, server: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let (there, back) = (mode.clone(), mode.clone());
    let carrying = async {
        let Ok(server) = TcpStream::connect(server).await else {
            return;
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(pump(from_client, to_server, there), pump(from_server, to_client, back));
    };
    tokio::select! {
        // Looked at first, so that a connection to a cut proxy is not even tried.
        biased;
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
        () = carrying => {}
    }
}

/// Carries one direction to its end, holding what it has read while hung.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read) = from.read(&mut buffer).await else {
            return;
        };
        if mode.wait_for(|mode| *mode == Mode::Open).await.is_err() {
            return;
        }
        // Ends the other side's stream as this one's ended.
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
