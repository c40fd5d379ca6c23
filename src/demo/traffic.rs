//! A day of requests, good and bad, in a minute: so that the ledger has something to show.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use indicatif::{ProgressBar, ProgressStyle};

use crate::transport::{ClientFiles, client_config};

use super::shop::Shop;

/// Requests of the sample day; spread over about a minute.
const REQUESTS: usize = 1200;
/// Orders that ParcelCo works on.
const IN_WORK: usize = 60;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

pub struct Day {
    pub certificates: PathBuf,
    pub gateway: SocketAddr,
    pub shop: Arc<Shop>,
}

type Caller = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

impl Day {
    /// Plays the day, with a progress bar on the terminal.
    ///
    /// # Errors
    /// Where a client cannot be set up or the gateway cannot be reached.
    pub async fn play(&self) -> anyhow::Result<()> {
        let (parcelco, helpdesk) = (self.caller(Some("parcelco"))?, self.caller(Some("helpdesk"))?);
        let stranger = self.caller(None)?;
        let mut ready = self.shop.orders_ready_for("parcelco");
        // A minute with more customers than ParcelCo sees in a day would be a harvest.
        ready.truncate(IN_WORK);
        let others = self.shop.orders_not_ready_for("parcelco");
        let tickets = self.shop.tickets_of("helpdesk", true);
        let bar = ProgressBar::new(REQUESTS as u64).with_style(style()?);
        let mut pace = tokio::time::interval(PAUSE);
        let (mut released, mut refused) = (0, 0);
        for turn in 0..REQUESTS {
            pace.tick().await;
            let pick = |list: &[u64]| list[(turn * 7919) % list.len().max(1)];
            let (caller, method, path) = match turn % 20 {
                0..=9 => (&parcelco, Method::GET, format!("/orders/{}", pick(&ready))),
                10..=14 => (&helpdesk, Method::GET, format!("/tickets/{}", pick(&tickets))),
                15 => (&parcelco, Method::GET, "/orders?limit=50".to_owned()),
                16 => (&parcelco, Method::GET, format!("/orders/{}", pick(&others))),
                17 => (&helpdesk, Method::GET, format!("/orders/{}", pick(&ready))),
                18 => (&parcelco, Method::GET, "/orders?q=phone".to_owned()),
                _ => (&stranger, Method::GET, format!("/orders/{}", pick(&ready))),
            };
            if self.call(caller, method, &path).await? {
                released += 1
            } else {
                refused += 1
            }
            bar.set_message(format!("{released} disclosed, {refused} refused"));
            bar.inc(1);
        }
        bar.finish();
        Ok(())
    }

    /// True where something was disclosed.
    async fn call(&self, caller: &Caller, method: Method, path: &str) -> anyhow::Result<bool> {
        let url = format!("https://localhost:{}{path}", self.gateway.port());
        let request = Request::builder().method(method).uri(url).body(Full::default())?;
        let response = caller.request(request).await.context("the gateway does not answer")?;
        let disclosed = response.status().is_success();
        response.into_body().collect().await?;
        Ok(disclosed)
    }

    fn caller(&self, name: Option<&str>) -> anyhow::Result<Caller> {
        let file = |name: &str| self.certificates.join(name);
        let identity = name.map(|name| (file(&format!("{name}.pem")), file(&format!("{name}.key"))));
        let files = ClientFiles { ca: file("company-ca.pem"), identity, server_name: None };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(client_config(&files)?)
            .https_only()
            .enable_http1()
            .build();
        Ok(Client::builder(TokioExecutor::new()).build(connector))
    }
}

fn style() -> anyhow::Result<ProgressStyle> {
    Ok(ProgressStyle::with_template("{bar:30} {pos}/{len} requests of the day  {msg}")?)
}
