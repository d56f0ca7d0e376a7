//! Pages and what becomes of them.

use super::*;

fn metrics(text: &str) -> Vec<Metric> {
    let second = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let times = Times {
        start: second(1),
        now: second(2),
    };
    let page = Page::read(text, Syntax::Text).unwrap();
    let bytes = encode(&page, times, &[("service.name", "orders".to_owned())]);
    let mut request = ExportRequest::decode(&bytes[..]).unwrap();
    let mut resource = request.resource_metrics.remove(0);
    assert_eq!(
        resource.resource.unwrap().attributes,
        [attribute("service.name", "orders".to_owned())]
    );
    resource.scope_metrics.remove(0).metrics
}

#[test]
fn counters_and_gauges_keep_names_labels_and_values() {
    let text = "# HELP a_seconds_total Said \\\\ so.\n# TYPE a_seconds_total counter\na_seconds_total{x=\"a\\\"\\nb\"} 1.5\n\
                # TYPE empty gauge\nb 7 1700000000000\n";
    let [counter, gauge] = &metrics(text)[..] else {
        panic!("the family without samples is left out");
    };
    assert_eq!(
        (&*counter.name, &*counter.description, &*counter.unit),
        ("a_seconds_total", "Said \\ so.", "s")
    );
    let point = |start, time, attributes, value| NumberPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(Number::Double(value)),
    };
    let sum = Sum {
        data_points: vec![point(
            1_000_000_000,
            2_000_000_000,
            vec![attribute("x", "a\"\nb".to_owned())],
            1.5,
        )],
        aggregation_temporality: CUMULATIVE,
        is_monotonic: true,
    };
    assert_eq!(counter.data, Some(Data::Sum(sum)));
    let data_points = vec![point(0, 1_700_000_000_000_000_000, Vec::new(), 7.0)];
    assert_eq!(gauge.data, Some(Data::Gauge(Gauge { data_points })));
}

#[test]
fn buckets_become_one_data_point_for_each_set_of_labels() {
    let text = "# TYPE h histogram\nh_bucket{x=\"1\",le=\"0.5\"} 2\nh_bucket{x=\"1\",le=\"1\"} 5\nh_bucket{x=\"1\",le=\"+Inf\"} 6\nh_sum{x=\"1\"} 3.5\n\
                h_count{x=\"1\"} 6\nh_bucket{x=\"2\",le=\"+Inf\"} 1\nh_sum{x=\"2\"} 9\nh_count{x=\"2\"} 1\n";
    let Some(Data::Histogram(histogram)) = metrics(text).remove(0).data else {
        panic!("a histogram");
    };
    let [first, second] = &histogram.data_points[..] else {
        panic!("{histogram:?}");
    };
    assert_eq!((first.count, first.sum), (6, Some(3.5)));
    assert_eq!(
        (&first.bucket_counts[..], &first.explicit_bounds[..]),
        (&[2, 3, 1][..], &[0.5, 1.0][..])
    );
    assert_eq!(
        (&second.bucket_counts[..], &second.explicit_bounds[..]),
        (&[1][..], &[][..])
    );
}

#[test]
fn quantiles_become_a_summary() {
    let text =
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.9\"} 2\ns_sum 30\ns_count 20\n";
    let Some(Data::Summary(summary)) = metrics(text).remove(0).data else {
        panic!("a summary");
    };
    let point = &summary.data_points[0];
    assert_eq!(
        (point.count, point.sum, point.quantile_values.len()),
        (20, 30.0, 2)
    );
}

#[test]
fn what_a_collector_rejects_is_said() {
    let response = ExportResponse {
        partial_success: Some(message::PartialSuccess {
            rejected_data_points: 3,
            error_message: "too old".to_owned(),
        }),
    };
    assert_eq!(
        rejected(&response.encode_to_vec()),
        Some((3, "too old".to_owned()))
    );
    assert_eq!(rejected(b""), None);
    assert_eq!(rejected(b"{}"), None);
}
