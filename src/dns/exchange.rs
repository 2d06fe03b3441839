//! One question to one server, by UDP, and by TCP where the answer is cut short.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::tcp::TcpClientStream;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsHandle as _, DnsRequestSender as _, FirstAnswer as _};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, Message};
use thiserror::Error;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ExchangeError {
    /// Nothing came back.
    #[error("did not answer in time")]
    Silent,
    /// The way there is closed, or what came back is no answer.
    #[error("could not be asked")]
    Failed,
}

/// How messages travel, so that tests can carry them without a network.
pub trait Exchange: Send + Sync {
    /// Sends `query` to `server` and returns its answer, whatever it says.
    fn exchange(
        &self,
        server: SocketAddr,
        query: Message,
    ) -> BoxFuture<'_, Result<Message, ExchangeError>>;
}

/// Over the network: from a new random port for each question.
#[derive(Clone, Debug)]
pub struct Network {
    /// How long a server has to answer.
    pub timeout: Duration,
}

impl Exchange for Network {
    fn exchange(
        &self,
        server: SocketAddr,
        query: Message,
    ) -> BoxFuture<'_, Result<Message, ExchangeError>> {
        let ask = async move {
            let answer = by_udp(server, query.clone(), self.timeout).await?;
            if answer.metadata.truncation {
                by_tcp(server, query, self.timeout).await
            } else {
                Ok(answer)
            }
        };
        Box::pin(async move {
            match tokio::time::timeout(self.timeout, ask).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(NetError::Timeout)) | Err(_) => Err(ExchangeError::Silent),
                Ok(Err(_)) => Err(ExchangeError::Failed),
            }
        })
    }
}

async fn by_udp(server: SocketAddr, query: Message, limit: Duration) -> Result<Message, NetError> {
    let provider = TokioRuntimeProvider::default();
    let mut stream = UdpClientStream::builder(server, provider).with_timeout(Some(limit)).build();
    let request = DnsRequest::new(query, DnsRequestOptions::default());
    Ok(stream.send_message(request).first_answer().await?.into_message())
}

async fn by_tcp(server: SocketAddr, query: Message, limit: Duration) -> Result<Message, NetError> {
    // What serves the connection ends with the last clone of the provider.
    let provider = TokioRuntimeProvider::default();
    let exchange = TcpClientStream::exchange(server, None, limit, None, provider.clone()).await?;
    let request = DnsRequest::new(query, DnsRequestOptions::default());
    Ok(exchange.send(request).first_answer().await?.into_message())
}
