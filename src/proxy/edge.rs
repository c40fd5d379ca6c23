//! What wraps every request: load is shed, a panic becomes a refusal. Time is bounded by the stages.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::model::RequestId;
use crate::telemetry::{Outcome, Requests};
use crate::transport::Peer;

use super::{Arrival, Gateway, Outgoing, Refusal, respond};

/// The function that the transport calls for each request; `requests` may be in work at once.
pub fn edge(
    gateway: Arc<Gateway>,
    requests: usize,
) -> impl Fn(Arc<Peer>, Request<Incoming>) -> futures_util::future::BoxFuture<'static, Response<Outgoing>>
+ Clone
+ Send
+ Sync
+ 'static {
    let counted = gateway.requests();
    let inner = service_fn(move |arrival: Arrival| {
        let gateway = Arc::clone(&gateway);
        // It is large, and what wraps it would move it from one to the next.
        Box::pin(async move { Ok::<_, BoxError>(gateway.serve(arrival).await) })
    });
    // What there is no room for is refused at once instead of queued.
    let stack = ServiceBuilder::new().load_shed().concurrency_limit(requests).service(inner);
    move |peer, request| {
        let id = RequestId::new();
        let head = request.method() == Method::HEAD;
        let answer = rescue(stack.clone(), Arrival { id, peer, request }, Arc::clone(&counted));
        answer.map(move |response| if head { respond::without_body(response) } else { response }).boxed()
    }
}

async fn rescue<S>(stack: S, arrival: Arrival, counted: Arc<Requests>) -> Response<Outgoing>
where
    S: Service<Arrival, Response = Response<Outgoing>, Error = BoxError>,
{
    let id = arrival.id;
    let began = Instant::now();
    let refuse = |refusal: Refusal| {
        counted.nobody().ended(Outcome::Refused(refusal.number()), began.elapsed());
        respond::refuse(refusal, id, id.into())
    };
    // Nothing that unwinds is looked at again: the request's state goes with it.
    match AssertUnwindSafe(stack.oneshot(arrival)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => refuse(refusal(&error)),
        Err(_) => refuse(Refusal::Internal),
    }
}

fn refusal(error: &BoxError) -> Refusal {
    if error.is::<tower::load_shed::error::Overloaded>() { Refusal::Overloaded } else { Refusal::Internal }
}
