//! What wraps every request: load is shed, time is bounded, a panic becomes a refusal.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::model::RequestId;
use crate::transport::Peer;

use super::{Arrival, Gateway, Refusal, respond};

/// The bounds on all requests together.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// Requests in work at once.
    pub requests: usize,
    /// For one request, from its head to its last upstream byte.
    pub timeout: Duration,
}

/// The function that the transport calls for each request.
pub fn edge(
    gateway: Arc<Gateway>,
    limits: EdgeLimits,
) -> impl Fn(Arc<Peer>, Request<Incoming>) -> futures_util::future::BoxFuture<'static, Response<Full<Bytes>>>
+ Clone
+ Send
+ Sync
+ 'static {
    let inner = service_fn(move |arrival: Arrival| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, BoxError>(gateway.serve(arrival).await) }
    });
    // From the outside in: what there is no room for is refused at once instead of queued; what is
    // let in has a bounded time.
    let stack = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(limits.requests)
        .timeout(limits.timeout)
        .service(inner);
    move |peer, request| {
        let id = RequestId::new();
        rescue(stack.clone(), Arrival { id, peer, request }).boxed()
    }
}

async fn rescue<S>(stack: S, arrival: Arrival) -> Response<Full<Bytes>>
where
    S: Service<Arrival, Response = Response<Full<Bytes>>, Error = BoxError>,
{
    let id = arrival.id;
    // Nothing that unwinds is looked at again: the request's state goes with it.
    match AssertUnwindSafe(stack.oneshot(arrival)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => respond::refuse(refusal(&error), id),
        Err(_) => respond::refuse(Refusal::Internal, id),
    }
}

fn refusal(error: &BoxError) -> Refusal {
    if error.is::<tower::load_shed::error::Overloaded>() {
        Refusal::Overloaded
    } else if error.is::<tower::timeout::error::Elapsed>() {
        Refusal::RequestTimeout
    } else {
        Refusal::Internal
    }
}
