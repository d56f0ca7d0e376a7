//! One test for each manifest that once broke an injector. Numbers in names are those of issues elsewhere:
//! linkerd2, istio, kubernetes and others.

use crate::golden::{case, golden};

/// The sidecar's text, from its dash to the next container.
fn sidecar(text: &str) -> &str {
    let start = text.find("- name: outrigger").unwrap();
    let rest = &text[start..];
    let end = rest.find("mountPath: /etc/outrigger").unwrap();
    &rest[..end]
}

fn refused(name: &str, expected: &[&str]) {
    let told = golden(name).unwrap_err();
    for words in expected {
        assert!(
            told.contains(words),
            "{name}: {words:?} is missing in\n{told}"
        );
    }
    for line in told.lines() {
        let rest = line.strip_prefix(&format!("{name}.in.yaml:")).unwrap();
        let (number, _) = rest.split_once(": error: ").unwrap();
        number.parse::<usize>().unwrap();
    }
}

#[test]
fn inj_1_a_template_without_metadata_gets_one() {
    let text = golden("inj_1_cron_job_without_metadata").unwrap();
    assert!(text.contains("      template:\n        metadata:\n          annotations:\n            outrigger/injected:"));
}

#[test]
fn inj_2_what_cannot_be_injected_is_never_printed() {
    refused(
        "inj_2_host_network_udp_and_another_sidecar",
        &["Deployment kube-system/dns-cache", "hostNetwork"],
    );
    refused(
        "inj_2_udp_port_and_another_sidecar",
        &[
            "Deployment voice",
            "Istio is already injected",
            "no container declares a TCP port",
        ],
    );
}

#[test]
fn inj_3_capabilities_of_the_app_stay_and_ours_are_dropped() {
    let text = golden("inj_3_capabilities").unwrap();
    assert!(text.contains("add: [NET_RAW, NET_BIND_SERVICE]"));
    assert!(sidecar(&text).contains("capabilities: { drop: [ALL] }"));
}

/// How the proxy answers them is tested in `proxy/tests/it/app_probes.rs`.
#[test]
fn inj_5_probes_go_through_the_status_port_or_are_refused() {
    let text = golden("inj_5_probes_of_each_kind").unwrap();
    for expected in [
        "httpGet: {path: /app/api/readyz, port: 9902}\n            timeoutSeconds: 3\n",
        r#"{"httpGet":{"httpHeaders":[{"name":"X-Probe","value":"yes"}],"path":"/ready?x=1","port":8080},"path":"/app/api/readyz","timeoutSeconds":3}"#,
        r#"{"path":"/app/api/livez","tcpSocket":{"port":8080}}"#,
        r#"{"grpc":{"port":8080},"path":"/app/api/startupz"}"#,
        "httpGet: {path: /, port: metrics}",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(
        golden("inj_5_probes_in_block_style").is_ok() && golden("inj_5_probes_in_json").is_ok()
    );
    refused(
        "inj_5_a_probe_over_https",
        &["livenessProbe of container web speaks HTTPS"],
    );
    refused(
        "inj_5_a_probe_with_two_handlers",
        &["livenessProbe of container web has tcpSocket and httpGet"],
    );
    refused("inj_5_an_aliased_probe", &["within an anchor at line 22"]);
    assert!(golden("inj_5_a_shared_probe_is_only_reported").is_ok());
}

#[test]
fn inj_6_a_hook_to_the_apps_port_is_refused_with_a_reason() {
    refused(
        "inj_6_pre_stop_http_get",
        &[
            "lifecycle.preStop.httpGet of container cart",
            "`exec` or `sleep`",
        ],
    );
    assert!(
        !golden("inj_6_pre_stop_exec_is_kept")
            .unwrap()
            .contains("seconds: 10")
    );
}

#[test]
fn inj_7_a_hook_that_must_end_takes_a_native_sidecar_only() {
    let text = golden("inj_7_helm_hook_job").unwrap();
    assert!(text.contains("restartPolicy: Always"));
    // The ConfigMap must be there when the hook runs.
    assert_eq!(
        text.matches("helm.sh/hook:").count() + text.matches("\"helm.sh/hook\":").count(),
        2,
        "{text}"
    );
    refused(
        "inj_7_helm_hook_job_classic",
        &["never be complete", "leave --classic away"],
    );
    assert!(
        golden("inj_7_argo_hook")
            .unwrap()
            .contains("name: schema-migrate-outrigger")
    );
}

#[test]
fn inj_8_a_classic_sidecar_is_converted_and_not_doubled() {
    let classic = golden("inj_8_classic").unwrap();
    assert_eq!(
        classic,
        case("inj_8_classic_then_native").input.text,
        "copy the one to the other"
    );
    let text = golden("inj_8_classic_then_native").unwrap();
    assert_eq!(
        text.matches("- name: outrigger\n").count(),
        2,
        "container and volume\n{text}"
    );
    assert!(text.contains("initContainers:\n        - name: outrigger\n"));
}

#[test]
fn inj_10_ours_is_first_and_a_flag_puts_it_behind_another() {
    let order = |text: &str| -> Vec<String> {
        let names = ["chown", "fetch-config", "outrigger"]
            .map(|name| (text.find(&format!("- name: {name}")), name));
        let mut names = names.to_vec();
        names.sort();
        names.into_iter().map(|(_, name)| name.to_owned()).collect()
    };
    assert_eq!(
        order(&golden("inj_10_ours_is_first").unwrap()),
        ["outrigger", "chown", "fetch-config"]
    );
    assert_eq!(
        order(&golden("inj_10_behind_a_named_one").unwrap()),
        ["chown", "outrigger", "fetch-config"]
    );
    assert_eq!(
        order(&golden("inj_10_behind_the_annotated_one").unwrap()),
        ["chown", "fetch-config", "outrigger"]
    );
    refused(
        "inj_10_no_such_init_container",
        &["\"chmod\"", "chown, fetch-config"],
    );
}

#[test]
fn inj_11_the_pods_security_context_stays_and_ours_has_its_own_user() {
    let text = golden("inj_11_pod_security_context").unwrap();
    assert!(text.contains("fsGroup: 1000\n        runAsUser: 0\n        runAsNonRoot: true\n"));
    assert!(sidecar(&text).contains(
        "runAsUser: 65532\n            runAsGroup: 65532\n            runAsNonRoot: true"
    ));
    assert!(!sidecar(&text).contains("fsGroup"));
}

#[test]
fn inj_12_a_name_or_number_that_is_taken_names_both() {
    assert!(golden("inj_12_http_and_metrics_are_no_clash").is_ok());
    refused(
        "inj_12_clash_of_a_port_name",
        &[
            "port proxy-http (3000) of container shop",
            "sidecar's port proxy-http (8000)",
        ],
    );
    refused(
        "inj_12_clash_of_a_port_number",
        &[
            "port http (8000) of container shop is also the sidecar's port proxy-http",
            "proxy-status",
            "admin port",
        ],
    );
    refused(
        "inj_12_clash_of_a_container_and_a_volume",
        &["the container outrigger", "the volume outrigger"],
    );
}

#[test]
fn inj_13_a_service_gets_the_number_of_the_proxy() {
    for (name, expected) in [
        (
            "inj_13_named_target_port",
            "targetPort: 8000   # the container's\n",
        ),
        (
            "inj_13_numeric_target_port",
            "    protocol: TCP\n    targetPort: 8000\n",
        ),
        (
            "inj_13_no_target_port",
            "    - port: 8080\n      targetPort: 8000\n      name: http\n    - port: 8443\n      name: https\n",
        ),
        (
            "inj_13_headless",
            "- {name: http, port: 8080, targetPort: 8000}\n",
        ),
        (
            "inj_13_external_name",
            "  ports: [{port: 80, targetPort: 8080}]\n",
        ),
        (
            "inj_13_two_ports",
            "      port: 9100\n      targetPort: metrics\n    - name: udp\n      port: 8080\n      targetPort: 8080\n",
        ),
        ("inj_13_two_templates_that_agree", "targetPort: 8000\n"),
    ] {
        let text = golden(name).unwrap();
        assert!(text.contains(expected), "{name}:\n{text}");
        assert!(!text.contains("targetPort: proxy-http"), "never by name");
    }
    let report = crate::golden::told(&case("inj_13_headless").run());
    assert!(report.contains("warning: it is headless"), "{report}");
    refused(
        "inj_13_ambiguous",
        &["Service web", "Deployment web", "Deployment web-canary"],
    );
    refused(
        "inj_13_ambiguous_because_one_is_skipped",
        &["Deployment web-edge"],
    );
}

#[test]
fn inj_14_a_host_port_of_the_app_leads_past_the_proxy() {
    refused("inj_14_host_port", &["has a hostPort", "past the sidecar"]);
    for case in crate::golden::cases() {
        let Ok(output) = case.run() else { continue };
        let before = case.input.text.matches("hostPort").count();
        assert_eq!(
            output.texts[0].matches("hostPort").count(),
            before,
            "{}: ours has none",
            case.name
        );
    }
}

#[test]
fn inj_15_null_leaves_a_resource_away() {
    let text = golden("inj_15_no_limits").unwrap();
    assert!(
        sidecar(&text).contains("requests: { cpu: \"0\", memory: 24Mi }"),
        "{text}"
    );
    assert!(!sidecar(&text).contains("limits"));
    assert!(text.contains("limits: null\n            requests: {cpu: 0, memory: 16Mi}"));
    assert!(!sidecar(&golden("inj_15_only_requests").unwrap()).contains("limits"));
}

#[test]
fn inj_17_unknown_kinds_pass_untouched_with_a_note() {
    let rollout = case("inj_17_argo_rollout");
    let text = golden("inj_17_argo_rollout").unwrap();
    let (_, unknown) = rollout.input.text.split_once("---\n").unwrap();
    assert!(text.ends_with(unknown), "{text}");
    let report = crate::golden::told(&rollout.run());
    assert!(
        report
            .contains("Rollout api: untouched: Rollout of argoproj.io/v1alpha1 is not known here"),
        "{report}"
    );
    refused(
        "inj_17_only_kinds_that_are_not_known",
        &["there is no workload, only DeploymentConfig, Service"],
    );
    refused("inj_17_list_with_a_bad_item", &["Deployment bad"]);
    assert!(golden("inj_17_replica_set_of_an_unknown_owner").is_ok());
    assert!(golden("inj_17_strimzi").is_ok());
}

#[test]
fn inj_19_what_is_not_touched_keeps_every_byte() {
    let text = golden("inj_19_yaml_1_1_words").unwrap();
    for kept in [
        "\"no\"",
        "'NO'",
        "\"1e3\"",
        "\"0440\"",
        "defaultMode: 0440",
        "value: \"~\"",
        "hostNetwork: no",
    ] {
        assert!(text.contains(kept), "{kept}");
    }
    assert!(text.contains("app: { port: 8080 }"), "0x1F90 is 8080");
    let windows = golden("inj_19_line_ends_of_windows").unwrap();
    assert_eq!(
        windows.matches('\n').count(),
        windows.matches("\r\n").count()
    );
    assert!(
        golden("inj_19_byte_order_mark")
            .unwrap()
            .starts_with("\u{feff}apiVersion")
    );
    for name in ["inj_19_json", "inj_19_json_list"] {
        let text = golden(name).unwrap();
        assert!(
            text.contains("\"initContainers\": [{\"name\": \"outrigger\""),
            "{text}"
        );
    }
    for name in [
        "inj_19_json",
        "inj_19_json_list",
        "json_on_one_line",
        "json_with_tabs",
    ] {
        let text = golden(name).unwrap();
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(list["kind"], "List", "with a ConfigMap beside it");
    }
    for name in [
        "inj_19_markers_in_block_scalars",
        "inj_19_anchors_and_aliases",
        "inj_19_annotation_lists_in_json",
    ] {
        assert!(golden(name).is_ok(), "{name}");
    }
}

#[test]
fn inj_20_the_default_container_is_the_app_unless_the_pod_says_another() {
    let text = golden("inj_20_default_container_is_kept").unwrap();
    assert_eq!(text.matches("default-container").count(), 1);
    let text = golden("inj_20_default_container_is_the_app").unwrap();
    assert!(text.contains("kubectl.kubernetes.io/default-container: app"));
}
