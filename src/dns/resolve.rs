//! Through the recursive resolver: only host names of name servers and names
//! above an apex, never a MAIL FROM domain.

use std::net::SocketAddr;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::RecordType;

use super::Dns;
use super::message::{addresses, code, names, question};

impl Dns {
    /// The servers of the zone whose apex is `name`; empty where none is.
    pub(super) async fn name_servers(&self, name: &str) -> Result<Vec<String>, String> {
        let answer = self.resolve(name, RecordType::NS).await?;
        Ok(names(answer.answers.iter()))
    }

    /// Where a name server is: by IPv4 if it can be.
    pub(super) async fn address_of(&self, host: &str) -> Result<SocketAddr, String> {
        for rtype in [RecordType::A, RecordType::AAAA] {
            let answer = self.resolve(host, rtype).await?;
            if let Some(ip) = addresses(&answer).into_iter().min() {
                return Ok(SocketAddr::new(ip, self.settings.port));
            }
        }
        Err(format!("{host} has no address"))
    }

    /// Asks a name server by its host name.
    pub(super) async fn ask_host(&self, host: &str, query: Message) -> Result<Message, String> {
        let address = self.address_of(host).await?;
        self.ask_one(host, address, query).await
    }

    pub(super) async fn ask_one(
        &self,
        host: &str,
        address: SocketAddr,
        query: Message,
    ) -> Result<Message, String> {
        let answer = self.exchange.exchange(address, query).await;
        answer.map_err(|error| format!("name server {host} {error}"))
    }

    /// The first answer of the resolvers, "there is none" included.
    async fn resolve(&self, name: &str, rtype: RecordType) -> Result<Message, String> {
        let mut failed = "there is no resolver to ask".to_owned();
        for resolver in &self.settings.resolvers {
            let query = question(name, rtype, true).ok_or(format!("{name} is not a DNS name"))?;
            match self.exchange.exchange(*resolver, query).await {
                Ok(answer) => match answer.metadata.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answer),
                    other => failed = format!("the resolver answered {} for {name}", code(other)),
                },
                Err(error) => failed = format!("the resolver {error}"),
            }
        }
        Err(failed)
    }
}
