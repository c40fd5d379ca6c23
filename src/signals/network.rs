//! Where a request came from, as coarse as it is kept: a single address can be somebody's home.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Bits of an IPv4 and of an IPv6 address that are kept.
const V4_BITS: u8 = 24;
const V6_BITS: u8 = 48;

/// A network, as `192.0.2.0/24` or `2001:db8:1::/48`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// The one that an address is in. An IPv4 address is one also where an IPv6 socket took it.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { V4_BITS } else { V6_BITS };
        Network(IpNet::new_assert(address, bits).trunc())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = ipnet::AddrParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(|network: IpNet| Network(network.trunc()))
    }
}
