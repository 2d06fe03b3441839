use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Error, Result};

/// Asks `address` for `path` in plain HTTP and gives status and body. Meant for
/// probes and metrics of a process on this machine.
pub async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let what = format!("GET http://{address}{path}");
    // In HTTP/1.0 the body ends with the connection and is never chunked.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let answer = exchange.await.map_err(Error::io(what.as_str()))?;
    let answer = String::from_utf8_lossy(&answer);
    parse(&answer).ok_or_else(|| Error::Malformed(format!("{what}: no HTTP answer: {answer}")))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
