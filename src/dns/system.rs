//! The machine's own resolvers.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// The `nameserver` lines of a resolv.conf(5).
pub(super) fn resolvers(path: &Path) -> std::io::Result<Vec<SocketAddr>> {
    Ok(parse(&std::fs::read_to_string(path)?))
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let ip: IpAddr =
            words.next().filter(|w| *w == "nameserver").and(words.next())?.parse().ok()?;
        Some(SocketAddr::new(ip, 53))
    };
    text.lines().filter_map(server).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_nameserver_lines_count() {
        let text = "search svc.cluster.local\n# nameserver 9.9.9.9\nnameserver 10.0.0.10\n\
                    options ndots:5\nnameserver ::1 # local\nnameserver fe80::1%eth0\nnameserver";
        let expected: Vec<SocketAddr> =
            vec!["10.0.0.10:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
        assert_eq!(parse(text), expected);
    }
}
