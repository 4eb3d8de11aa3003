//! The DNS server's arguments of `meridian run`, and its configuration from them.
//!
//! What must stay true: without arguments the server listens on loopback, plain DNS alone, and limits
//! nobody's queries over UDP. Cookies are always on: their secret is this process's own until the
//! replicas' shared one is known.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use meridian_dns_core::SiteName;
use meridian_dns_server::{
    CertificateFiles, CookiePolicy, CookieSecret, Cookies, Listener, Protocol, RateLimits, ServerConfig, SubnetTrust,
};

/// Where the DNS server listens and what it allows.
#[derive(Debug, Args)]
pub(crate) struct DnsArgs {
    /// Addresses of the DNS server, UDP and TCP each.
    #[arg(long = "dns", default_value = "127.0.0.1:5300", value_name = "ADDRESS:PORT")]
    plain: Vec<SocketAddr>,
    /// Addresses for DNS over TLS.
    #[arg(long = "dns-tls", value_name = "ADDRESS:PORT", requires = "certificate")]
    tls: Vec<SocketAddr>,
    /// Addresses for DNS over HTTPS, at the path /dns-query.
    #[arg(long = "dns-https", value_name = "ADDRESS:PORT", requires = "certificate")]
    https: Vec<SocketAddr>,
    /// Addresses for DNS over QUIC.
    #[arg(long = "dns-quic", value_name = "ADDRESS:PORT", requires = "certificate")]
    quic: Vec<SocketAddr>,
    /// Certificate chain of the DNS server, PEM; read again when it changes.
    #[arg(long = "dns-certificate", value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long = "dns-key", value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Networks of load balancers that put a PROXY header (version 2) in front of every connection and
    /// datagram; not for QUIC.
    #[arg(long = "dns-proxied-from", value_name = "NETWORK")]
    proxied_from: Vec<IpNet>,
    /// An address, UDP and TCP, for the clients of one site alone, such as a cluster's own resolver: that
    /// site is nearest, whatever the client's address.
    #[arg(long = "dns-for-site", value_name = "SITE=ADDRESS:PORT", value_parser = of_site)]
    of_sites: Vec<(String, SocketAddr)>,
    /// Networks of resolvers whose Client Subnet option is believed in every respect: it also decides
    /// whether a site's internal addresses are told.
    #[arg(long = "dns-trusted-resolvers", value_name = "NETWORK")]
    trusted_resolvers: Vec<IpNet>,
    /// Ignore the Client Subnet option of all others; otherwise it chooses the nearest site.
    #[arg(long = "dns-ignore-strangers-subnets")]
    ignore_strangers: bool,
    /// Limit replies over UDP per client network, against floods of forged sources.
    #[arg(long = "dns-rate-limit")]
    rate_limit: bool,
    /// Seconds between the end of readiness and the end of service, for load balancers to notice.
    #[arg(long = "drain-notice", default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=3600))]
    drain_notice: u64,
    /// What this server calls itself when asked (NSID, id.server).
    #[arg(long = "dns-identifier", value_name = "TEXT")]
    identifier: Option<String>,
    /// Settings that can be changed while the server runs, YAML; read again when the file changes. What it says
    /// wins over the flags.
    #[arg(long = "dns-settings", value_name = "FILE")]
    settings: Option<PathBuf>,
}

impl DnsArgs {
    /// The file of settings that win over these arguments.
    pub(crate) fn settings_file(&self) -> Option<PathBuf> {
        self.settings.clone()
    }

    /// The server's configuration.
    pub(crate) fn config(self) -> ServerConfig {
        let mut config = ServerConfig::new([]);
        let proxied_from = self.proxied_from;
        for (protocol, addresses) in [
            (Protocol::Plain, self.plain),
            (Protocol::Tls, self.tls),
            (Protocol::Https, self.https),
            (Protocol::Quic, self.quic),
        ] {
            config.listeners.extend(addresses.into_iter().map(|address| {
                let mut listener = Listener::new(address, protocol);
                if protocol != Protocol::Quic {
                    listener.proxied_from.clone_from(&proxied_from);
                }
                listener
            }));
        }
        config
            .listeners
            .extend(self.of_sites.into_iter().map(|(site, address)| Listener {
                proxied_from: proxied_from.clone(),
                site: Some(SiteName::new(site)),
                ..Listener::new(address, Protocol::Plain)
            }));
        config.certificate = self
            .certificate
            .zip(self.key)
            .map(|(chain, key)| CertificateFiles::new(chain, key));
        config.settings.subnets = SubnetTrust {
            resolvers: self.trusted_resolvers,
            strangers: !self.ignore_strangers,
        };
        config.settings.drain.notice = Duration::from_secs(self.drain_notice);
        config.settings.rate = self.rate_limit.then(RateLimits::default);
        config.settings.identity.server = self.identifier.map(String::into_bytes);
        config.settings.cookies = CookieSecret::random().map(|current| Cookies {
            current,
            previous: None,
            policy: CookiePolicy::Offer,
        });
        config
    }
}

/// A site's name and an address. Names of clusters have no `=`.
fn of_site(text: &str) -> Result<(String, SocketAddr), String> {
    let (site, address) = text.split_once('=').ok_or("write it as SITE=ADDRESS:PORT")?;
    if site.is_empty() {
        return Err("the site's name is missing".to_owned());
    }
    let address = address
        .parse()
        .map_err(|_| format!("{address:?} is not an address and a port"))?;
    Ok((site.to_owned(), address))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        dns: DnsArgs,
    }

    fn parse(arguments: &str) -> Result<ServerConfig, clap::Error> {
        let words = ["meridian"].into_iter().chain(arguments.split_whitespace());
        Line::try_parse_from(words).map(|line| line.dns.config())
    }

    #[test]
    fn without_arguments_there_is_plain_dns_on_loopback() {
        let config = parse("").expect("no arguments are needed");
        assert_eq!(
            config.listeners,
            [Listener::new(SocketAddr::from(([127, 0, 0, 1], 5300)), Protocol::Plain)]
        );
        assert!(config.certificate.is_none() && config.settings.rate.is_none());
        assert!(config.settings.cookies.is_some());
    }

    #[test]
    fn encrypted_listeners_need_both_files() {
        let files = "--dns-certificate chain.pem --dns-key key.pem";
        for listener in ["--dns-tls", "--dns-https", "--dns-quic"] {
            let listener = format!("{listener} 127.0.0.1:853");
            assert!(parse(&listener).is_err());
            assert!(parse(&format!("{listener} --dns-certificate chain.pem")).is_err());
            let config = parse(&format!("{listener} {files}")).expect("all that is needed");
            assert_eq!((config.listeners.len(), config.certificate.is_some()), (2, true));
        }
    }

    #[test]
    fn a_site_may_have_a_listener_of_its_own() {
        let config = parse("--dns-for-site tokyo=127.0.0.1:5301 --dns-proxied-from 192.0.2.0/24").expect("arguments");
        let sites: Vec<_> = config
            .listeners
            .iter()
            .map(|listener| (listener.site.as_ref().map(SiteName::as_str), listener.address.port()))
            .collect();
        assert_eq!(sites, [(None, 5300), (Some("tokyo"), 5301)]);
        assert!(config.listeners.iter().all(|listener| listener.proxied_from.len() == 1));
        for bad in ["tokyo", "=127.0.0.1:5301", "tokyo=127.0.0.1"] {
            assert!(parse(&format!("--dns-for-site {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_is_trusted_and_strangers_are_heeded_unless_it_is_said() {
        let subnets = |arguments: &str| parse(arguments).expect("good arguments").settings.subnets;
        assert_eq!(subnets(""), SubnetTrust::default());
        let told = subnets("--dns-trusted-resolvers 192.0.2.0/24 --dns-ignore-strangers-subnets");
        assert_eq!((told.resolvers.len(), told.strangers), (1, false));
    }

    #[test]
    fn balancers_are_trusted_by_all_listeners_but_quic() {
        let config = parse(
            "--dns-quic 127.0.0.1:853 --dns-tls 127.0.0.1:853 --dns-certificate c --dns-key k \
             --dns-proxied-from 192.0.2.0/24 --dns-proxied-from 2001:db8::/32 --dns-rate-limit --dns-identifier a1",
        )
        .expect("good arguments");
        let trusted: Vec<_> = config
            .listeners
            .iter()
            .map(|listener| listener.proxied_from.len())
            .collect();
        assert_eq!(trusted, [2, 2, 0]);
        assert!(config.settings.rate.is_some());
        assert_eq!(config.settings.identity.server.as_deref(), Some(&b"a1"[..]));
    }
}
