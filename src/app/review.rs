//! What the review side has done by the gateway that it is in.

use std::sync::Arc;

use serde_json::Value;

use crate::admin::{EndpointState, Orders, Pending, UpstreamState};
use crate::ledger::{ConsentOrder, OwnKind, SuspensionEvent};
use crate::proxy::Gateway;
use crate::rules::Plan;

use super::control::Hands;

/// The hands that commands use too, and the gateway.
pub struct Inside {
    pub hands: Arc<Hands>,
    pub gateway: Arc<Gateway>,
}

impl Orders for Inside {
    fn record(&self, kind: OwnKind, event: Value) -> Pending<'_, u64> {
        Box::pin(self.hands.record(kind, event))
    }

    fn suspend(&self, event: SuspensionEvent) -> Pending<'_, u64> {
        Box::pin(self.hands.suspend(event))
    }

    fn consent(&self, order: ConsentOrder) -> Pending<'_, usize> {
        Box::pin(self.hands.consent(order))
    }

    fn plan(&self) -> Arc<Plan> {
        self.gateway.plan()
    }

    fn upstreams(&self) -> Vec<UpstreamState> {
        let states = self.gateway.upstreams().map(|(name, upstream)| UpstreamState {
            name: name.to_owned(),
            endpoints: upstream
                .endpoints()
                .states()
                .map(|(url, serves)| EndpointState { url, serves })
                .collect(),
        });
        let mut states: Vec<UpstreamState> = states.collect();
        states.sort_by(|one, other| one.name.cmp(&other.name));
        states
    }
}
