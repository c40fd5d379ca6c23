//! Upstreams, from what the configuration says of them.

use anyhow::Context;
use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use crate::config::{self, Config, Secret};
use crate::proxy::Upstream;
use crate::secrets;
use crate::transport::{self, EndpointTerms, Endpoints};

/// Where it is, and what is shown there.
///
/// # Errors
/// Where a file cannot be used.
pub fn endpoints(upstream: &config::Upstream, config: &Config) -> anyhow::Result<Endpoints> {
    let tls = match &upstream.tls {
        None => None,
        Some(files) => {
            let name =
                files.server_name.clone().map(ServerName::try_from).transpose().context("server_name")?;
            Some((transport::client_config(files)?, name))
        }
    };
    let terms = EndpointTerms {
        connect_timeout: upstream.connect_timeout.unwrap_or(config.limits.connect_timeout),
        idle_timeout: upstream.idle_timeout,
        max_connections: upstream.max_connections,
        max_idle: upstream.max_idle,
        check: upstream.check.clone(),
    };
    Ok(Endpoints::new(&upstream.urls, tls, terms)?)
}

/// As the gateway calls it.
///
/// # Errors
/// Where a file or a secret cannot be used.
pub fn upstream(upstream: &config::Upstream, config: &Config) -> anyhow::Result<Upstream> {
    let made = Upstream::new(endpoints(upstream, config)?, upstream.prefix().to_owned());
    let made =
        made.with_limits(upstream.timeout, upstream.max_body.0).with_codings(upstream.encodings.clone());
    match &upstream.bearer {
        None => Ok(made),
        Some(secret) => {
            show_bearer(&made, secret)?;
            Ok(made)
        }
    }
}

/// Shows a secret to the upstream from the next request on.
///
/// # Errors
/// Where it cannot be read, or cannot stand in a header.
pub fn show_bearer(upstream: &Upstream, secret: &Secret) -> anyhow::Result<()> {
    upstream.show_bearer(&read_secret(secret)?).context("the bearer token cannot stand in a header")
}

/// Reads a secret; an error names its place only.
///
/// # Errors
/// Where it is not there, is exposed, or is no text.
pub fn read_secret(secret: &Secret) -> anyhow::Result<Zeroizing<String>> {
    match secret {
        Secret::Environment(name) => {
            let text = std::env::var(name).ok();
            // The error of a value that is no text would hold the value.
            let text =
                text.with_context(|| format!("environment variable {name} is not set, or not text"))?;
            Ok(Zeroizing::new(text))
        }
        Secret::File(path) => {
            let bytes = secrets::read(path)?;
            let text =
                str::from_utf8(&bytes).ok().with_context(|| format!("{} is not text", path.display()))?;
            Ok(Zeroizing::new(text.trim_end().to_owned()))
        }
    }
}
