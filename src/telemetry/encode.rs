//! Series in the OpenMetrics text format.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Histogram;

/// Names and values of labels.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// Writes one metric: its head, then each of its series.
pub fn metric<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, kind)
}

pub fn counter(encoder: &mut MetricEncoder<'_>, labels: Labels, value: u64) -> fmt::Result {
    match labels {
        [] => encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None),
        _ => encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&value, None),
    }
}

pub fn gauge(encoder: &mut MetricEncoder<'_>, labels: Labels, value: i64) -> fmt::Result {
    match labels {
        [] => encoder.encode_gauge(&value),
        _ => encoder.encode_family(&labels)?.encode_gauge(&value),
    }
}

pub fn histogram(encoder: &mut MetricEncoder<'_>, labels: Labels, histogram: &Histogram) -> fmt::Result {
    let reading = histogram.read();
    let (sum, count, buckets) = (reading.sum, reading.count, &reading.buckets);
    match labels {
        [] => encoder.encode_histogram::<NoLabelSet>(sum, count, buckets, None),
        _ => encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, buckets, None),
    }
}
