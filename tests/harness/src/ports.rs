use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::{Error, Result};

/// A loopback address that this process has to itself: the kernel hands out
/// ports per address, so two test processes that each listen on their own
/// address cannot take each other's port between asking for it and binding it.
pub fn own_loopback() -> IpAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 128 | (high & 0x7f), middle, low).into()
}

/// An address on [`own_loopback`] with a port that is free now, for a server
/// that must be told its port. Another thread may take it before that server
/// does: who cannot bind it asks for another.
pub fn loopback_address() -> Result<SocketAddr> {
    let ip = own_loopback();
    TcpListener::bind((ip, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(Error::io(format!("find a free port at {ip}")))
}
