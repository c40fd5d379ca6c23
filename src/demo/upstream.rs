//! Puts the sample shop on a socket, as plain HTTP: internal APIs often are.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::shop::Shop;

/// # Errors
/// Where the address is taken; the message names it.
pub fn bind(address: SocketAddr) -> anyhow::Result<std::net::TcpListener> {
    let bound = std::net::TcpListener::bind(address);
    let bound = bound.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    bound.with_context(|| {
        format!("the sample shop cannot listen on {address}; use --shop for another address")
    })
}

/// Serves until the program ends.
pub async fn serve(socket: TcpListener, shop: Arc<Shop>) {
    while let Ok((stream, _)) = socket.accept().await {
        let _ = stream.set_nodelay(true);
        let shop = Arc::clone(&shop);
        let service = service_fn(move |request| answer(Arc::clone(&shop), request));
        // A connection that breaks is the client's business.
        tokio::spawn(async move {
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok()
        });
    }
}

async fn answer(shop: Arc<Shop>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let reply = shop.respond(head.method.as_str(), head.uri.path(), head.uri.query(), &body);
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::from(reply.body)).unwrap_or_default())
}
