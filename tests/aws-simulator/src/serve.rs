//! The world over the network, on loopback addresses only.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

use crate::{dns, simulator::Simulator};

/// Where to listen. The default takes free ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// For AWS requests.
    pub http: SocketAddr,
    /// For DNS, the same on every address; 0 takes a free one.
    pub dns_port: u16,
}

impl Default for Listen {
    fn default() -> Self {
        Self { http: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), dns_port: 0 }
    }
}

/// The simulator could not listen.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// The listening sockets; dropping it closes them.
#[derive(Debug)]
pub struct Serving {
    http: SocketAddr,
    dns_port: u16,
    _tasks: JoinSet<()>,
}

impl Serving {
    /// The AWS endpoint, for every service: `http://127.0.0.1:…`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The port on which all name servers and the resolver answer.
    pub fn dns_port(&self) -> u16 {
        self.dns_port
    }

    /// The recursive resolver.
    pub fn resolver(&self) -> SocketAddr {
        SocketAddr::from((dns::RESOLVER, self.dns_port))
    }
}

/// How often a free DNS port is looked for: it must be free on all addresses
/// and for both transports.
const PORT_ATTEMPTS: usize = 50;

impl Simulator {
    /// Listens for AWS requests and DNS queries until the result is dropped.
    pub async fn serve(&self, listen: Listen) -> Result<Serving, ListenError> {
        let fail = |source| ListenError { address: listen.http, source };
        let listener = TcpListener::bind(listen.http).await.map_err(fail)?;
        let http = listener.local_addr().map_err(fail)?;
        let (dns_port, sockets) = self.bind_dns(listen.dns_port).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_http(self.clone(), listener));
        for (udp, tcp) in sockets {
            tasks.spawn(serve_udp(self.clone(), udp));
            tasks.spawn(serve_tcp(self.clone(), tcp));
        }
        let driver = self.clone();
        tasks.spawn(async move { driver.run().await });
        Ok(Serving { http, dns_port, _tasks: tasks })
    }

    async fn bind_dns(
        &self,
        port: u16,
    ) -> Result<(u16, Vec<(UdpSocket, TcpListener)>), ListenError> {
        let addresses = self.with(|world| world.dns_addresses());
        let mut attempt = 0;
        loop {
            attempt += 1;
            match bind_all(&addresses, port).await {
                Err(error) if port == 0 && attempt < PORT_ATTEMPTS => {
                    tracing::debug!(%error, "trying another DNS port");
                }
                result => return result,
            }
        }
    }
}

async fn bind_all(
    addresses: &[Ipv4Addr],
    port: u16,
) -> Result<(u16, Vec<(UdpSocket, TcpListener)>), ListenError> {
    let (mut port, mut sockets) = (port, Vec::new());
    for address in addresses {
        let at = |port| SocketAddr::from((*address, port));
        let fail = |port| move |source| ListenError { address: at(port), source };
        let udp = UdpSocket::bind(at(port)).await.map_err(fail(port))?;
        port = udp.local_addr().map_err(fail(port))?.port();
        let tcp = TcpListener::bind(at(port)).await.map_err(fail(port))?;
        sockets.push((udp, tcp));
    }
    Ok((port, sockets))
}

async fn serve_http(simulator: Simulator, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(serve_connection(simulator.clone(), stream)); }
                Err(error) => accept_failed(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Out of file descriptors or the like: not to be repeated in a tight loop.
async fn accept_failed(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(10)).await;
}

async fn serve_connection(simulator: Simulator, stream: TcpStream) {
    // Without this every small answer waits for the client's delayed ACK.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(simulator.clone(), request));
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    {
        tracing::debug!(%error, "connection ended");
    }
}

/// An error makes hyper cut the connection, which is what a lost answer is.
async fn answer(
    simulator: Simulator,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let response = simulator.handle(Request::from_parts(head, body)).await?;
    Ok(response.map(Full::new))
}

async fn serve_udp(simulator: Simulator, socket: UdpSocket) {
    let Ok(server) = socket.local_addr() else {
        return;
    };
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let query = &buffer[..length];
        if let Some(response) = simulator.dns(server.ip(), query) {
            let _ = socket.send_to(&dns::truncate(query, response), client).await;
        }
    }
}

async fn serve_tcp(simulator: Simulator, listener: TcpListener) {
    let Ok(server) = listener.local_addr() else {
        return;
    };
    let simulator = Arc::new(simulator);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let simulator = Arc::clone(&simulator);
                    connections.spawn(async move {
                        // A client that goes away ends its own connection only.
                        let _ = serve_tcp_connection(&simulator, server.ip(), stream).await;
                    });
                }
                Err(error) => accept_failed(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Messages with a length of two bytes before each (RFC 1035 section 4.2.2).
async fn serve_tcp_connection(
    simulator: &Simulator,
    server: IpAddr,
    mut stream: TcpStream,
) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let Some(response) = simulator.dns(server, &query) else {
            continue;
        };
        let Ok(length) = u16::try_from(response.len()) else {
            continue;
        };
        stream.write_u16(length).await?;
        stream.write_all(&response).await?;
    }
}
