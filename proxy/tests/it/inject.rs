//! `outrigger inject` and `outrigger uninject` as a process: streams, exit codes, files and folders.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::support::command;

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web   # the name\nspec:\n  containers:\n    - name: web\n      image: nginx\n      \
                   ports:\n        - containerPort: 8080\n";

/// Exit code, stdout and stderr of a command with this on stdin.
fn piped(arguments: &[&str], stdin: &[u8]) -> (i32, String, String) {
    let mut child = command()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that ends before it has read everything is no failure of the test.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    told(child.wait_with_output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn inject(arguments: &[&str], stdin: &str) -> String {
    let arguments: Vec<&str> = [&["inject"], arguments].concat();
    let (code, out, err) = piped(&arguments, stdin.as_bytes());
    assert_eq!(code, 0, "{err}");
    out
}

/// Exit code 2, nothing on stdout, and one line for each problem, with these words in it.
fn refused(arguments: &[&str], stdin: &[u8], expected: &[&str]) {
    let arguments: Vec<&str> = [&["inject"], arguments].concat();
    let (code, out, err) = piped(&arguments, stdin);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert_eq!(err.lines().count(), expected.len(), "{err}");
    for (line, words) in err.lines().zip(expected) {
        assert!(line.contains(words), "{words:?} is missing in\n{line}");
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_pipe_gets_yaml_on_stdout_and_the_report_on_stderr() {
    let (code, out, err) = piped(&["inject"], POD.as_bytes());
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("restartPolicy: Always") && out.contains("  name: web   # the name\n"),
        "{out}"
    );
    assert_eq!(
        err,
        "stdin:1: Pod web: injected: native sidecar, port 8000 to the app's 8080, configuration of ConfigMap web-outrigger\n\
         stdin:1: ConfigMap web-outrigger: added: the configuration of Pod web\n"
    );
    assert_eq!(inject(&["-"], &out), out, "twice is once");
    let (code, back, err) = piped(&["uninject"], out.as_bytes());
    assert_eq!((code, back.as_str()), (0, POD), "{err}");
    assert!(
        err.contains("Pod web: restored") && err.contains("ConfigMap web-outrigger: removed"),
        "{err}"
    );
}

#[test]
fn what_is_injected_is_a_configuration_that_check_accepts() {
    let out = inject(&["--app-port", "3000"], POD);
    let (_, text) = out.split_once("outrigger.yaml: |\n").unwrap();
    let text: String = text
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    assert!(text.starts_with("app: { port: 3000 }\n"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "outrigger.yaml", &text);
    let (code, _, err) = told(
        command()
            .args(["check", "--strict", &path])
            .output()
            .unwrap(),
    );
    assert_eq!(code, 0, "{err}");
}

#[test]
fn every_flag_has_its_effect() {
    let sleep = inject(&["--app-prestop-sleep", "1m"], POD);
    assert!(
        sleep.contains("seconds: 60") && sleep.contains("terminationGracePeriodSeconds: 82"),
        "{sleep}"
    );
    let classic = inject(&["--classic"], POD);
    assert!(
        !classic.contains("initContainers") && !classic.contains("restartPolicy"),
        "{classic}"
    );
    let set = inject(
        &[
            "--set",
            "image=example.com/o:1",
            "--set",
            "port=9000",
            "--set",
            "resources=null",
        ],
        POD,
    );
    assert!(
        set.contains("image: example.com/o:1") && set.contains("containerPort: 9000"),
        "{set}"
    );
    assert!(!set.contains("resources"));
    let secret = inject(&["--set", "config=secret/mine"], POD);
    assert!(
        secret.contains("secretName: mine") && !secret.contains("kind: ConfigMap"),
        "{secret}"
    );
    let before = POD.replace(
        "  containers:",
        "  initContainers:\n    - {name: a, image: a}\n    - {name: b, image: b}\n  containers:",
    );
    let behind = inject(&["--after-init", "a"], &before);
    let place = |name: &str| behind.find(&format!("name: {name}")).unwrap();
    assert!(
        place("a,") < place("outrigger\n      image")
            && place("outrigger\n      image") < place("b,"),
        "{behind}"
    );
}

#[test]
fn a_configuration_of_ones_own_stands_in_the_config_map_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = "# ours\napp: { port: 8080 }\nlisteners: [{ port: 8443 }]\nstatus: { address: \"[::]:9912\" }\n";
    let path = write(folder.path(), "proxy.yaml", text);
    let out = inject(&["--config", &path], POD);
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    assert!(
        out.ends_with(&format!("  outrigger.yaml: |\n{indented}")),
        "{out}"
    );
    assert!(out.contains("containerPort: 8443") && out.contains("containerPort: 9912"));
}

#[test]
fn a_dry_run_prints_the_report_alone_and_a_diff_can_be_applied() {
    let (code, out, err) = piped(&["inject", "--dry-run"], POD.as_bytes());
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("Pod web: injected"));
    let diff = inject(&["--diff"], POD);
    assert!(diff.starts_with("--- a/stdin\n+++ b/stdin\n@@ "), "{diff}");
    assert!(
        diff.contains("+  initContainers:\n") && !diff.contains('\x1b'),
        "{diff}"
    );
    if Command::new("patch").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no patch on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "pod.yaml", POD);
    let changes = write(folder.path(), "changes", &diff);
    let output = Command::new("patch")
        .args(["--quiet", &path, &changes])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(path).unwrap(), inject(&[], POD));
}

#[test]
fn folders_are_read_whole_and_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n";
    let labelled = POD.replace(
        "  name: web   # the name\n",
        "  name: web\n  labels: {app: web}\n",
    );
    write(folder.path(), "in/base/pod.yml", &labelled);
    write(folder.path(), "in/service.yaml", service);
    write(folder.path(), "in/notes.txt", "not a manifest: [");
    let (input, output) = (path("in"), path("out"));
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
    let (code, out, err) = piped(&["inject", input, "-o", output], b"");
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let service = fs::read_to_string(path("out/service.yaml")).unwrap();
    assert!(
        service.contains("targetPort: 8000"),
        "the pod stands in another file\n{service}"
    );
    assert!(
        fs::read_to_string(path("out/base/pod.yml"))
            .unwrap()
            .contains("initContainers")
    );
    assert!(!path("out/notes.txt").exists());
    // All of it as one stream, which gives the same again.
    let stream = inject(&[input], "");
    assert!(
        stream.starts_with("---\n") && stream.contains("\n---\napiVersion: v1\nkind: Service"),
        "{stream}"
    );
    assert_eq!(inject(&[], &stream), stream);
    // Back in place.
    let (code, _, err) = piped(&["uninject", output, "-o", output], b"");
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        fs::read_to_string(path("out/base/pod.yml")).unwrap(),
        labelled
    );
}

#[test]
fn nothing_is_written_when_one_file_of_several_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in/a.yaml", POD);
    write(folder.path(), "in/b.yaml", "kind: [\n");
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    refused(
        &[input.to_str().unwrap(), "-o", output.to_str().unwrap()],
        b"",
        &["b.yaml:1: error: "],
    );
    assert!(!output.exists());
    refused(
        &["-o", output.to_str().unwrap()],
        POD.as_bytes(),
        &["stdin has no name"],
    );
}

#[test]
fn text_that_is_no_yaml_is_refused() {
    refused(
        &[],
        b"kind: Pod\n  spec: [\n",
        &["stdin:2: error: mapping values are not allowed"],
    );
    refused(
        &[],
        b"a: 1\na: 2\n",
        &["stdin:2: error: the key \"a\" stands in this map twice"],
    );
    refused(
        &[],
        b"a: 1\nb: \xff\n",
        &["stdin:2: error: this is not UTF-8"],
    );
    refused(&[], b"\xff\xfea\0", &["stdin:1: error: this is UTF-16"]);
    refused(
        &["/nowhere/app.yaml"],
        b"",
        &["/nowhere/app.yaml:1: error: cannot read it"],
    );
}

#[test]
fn an_input_without_a_workload_is_refused() {
    let config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    refused(
        &[],
        config_map.as_bytes(),
        &["stdin:1: error: there is no workload, only ConfigMap"],
    );
    refused(&[], b"", &["stdin:1: error: there is no Kubernetes object"]);
    let host = POD.replace("spec:\n", "spec:\n  hostNetwork: true\n");
    refused(
        &[],
        host.as_bytes(),
        &["stdin:1: error: Pod web: it gets no sidecar (hostNetwork"],
    );
    let folder = tempfile::tempdir().unwrap();
    refused(
        &[folder.path().to_str().unwrap()],
        b"",
        &["there is no .yaml, .yml or .json file"],
    );
}

#[test]
fn an_app_port_that_cannot_be_found_is_refused_with_the_candidates() {
    let two = format!("{POD}        - {{name: admin, containerPort: 9000}}\n");
    refused(
        &[],
        two.as_bytes(),
        &[
            "stdin:1: error: Pod web: the app's port is not known: candidates are 8080 of web, admin 9000 of web; name it with --app-port",
        ],
    );
    let none = POD.replace("      ports:\n        - containerPort: 8080\n", "");
    refused(
        &[],
        none.as_bytes(),
        &["stdin:1: error: Pod web: the app's port is not known: no container declares a TCP port"],
    );
    assert_eq!(piped(&["inject", "--app-port", "0"], POD.as_bytes()).0, 2);
}

#[test]
fn a_clash_of_names_ports_or_volumes_names_both() {
    let container = format!("{POD}    - name: outrigger\n      image: mine\n");
    refused(
        &[],
        container.as_bytes(),
        &["stdin:11: error: Pod web: the container outrigger is already there"],
    );
    let volume = format!("{POD}  volumes:\n    - name: outrigger\n      emptyDir: {{}}\n");
    refused(
        &[],
        volume.as_bytes(),
        &["stdin:12: error: Pod web: the volume outrigger is already there"],
    );
    let number = format!("{POD}        - containerPort: 9902\n");
    refused(
        &["--app-port", "8080"],
        number.as_bytes(),
        &[
            "stdin:11: error: Pod web: port 9902 of container web is also the sidecar's port proxy-status",
        ],
    );
    let name = POD.replace(
        "containerPort: 8080",
        "containerPort: 8080\n          name: proxy-http",
    );
    refused(
        &[],
        name.as_bytes(),
        &[
            "stdin:10: error: Pod web: port proxy-http (8080) of container web has the name of the sidecar's port proxy-http (8000)",
        ],
    );
    let config_map =
        format!("{POD}---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web-outrigger\n");
    refused(
        &[],
        config_map.as_bytes(),
        &["stdin:1: error: Pod web: its ConfigMap web-outrigger is already there, at stdin:12"],
    );
}

#[test]
fn a_pod_with_the_sidecar_of_another_tool_is_refused() {
    let istio = format!("{POD}    - name: istio-proxy\n      image: istio/proxyv2\n");
    refused(
        &[],
        istio.as_bytes(),
        &["stdin:11: error: Pod web: Istio is already injected here (container istio-proxy)"],
    );
    let linkerd = POD.replace(
        "  name: web   # the name\n",
        "  name: web\n  annotations: {linkerd.io/proxy-version: edge}\n",
    );
    refused(
        &[],
        linkerd.as_bytes(),
        &["stdin:1: error: Pod web: Linkerd is already injected here"],
    );
}

#[test]
fn a_configuration_that_check_refuses_is_refused_here_too() {
    let folder = tempfile::tempdir().unwrap();
    let bad = write(
        folder.path(),
        "bad.yaml",
        "app: { prot: 8080 }\nworkers: many\n",
    );
    let expected = [
        format!("{bad}:1: error: app"),
        format!("{bad}:1: error: app"),
        format!("{bad}:2: error: workers"),
    ];
    let (_, _, err) = told(command().args(["check", &bad]).output().unwrap());
    let number = err.matches("error: ").count();
    refused(
        &["--config", &bad],
        POD.as_bytes(),
        &expected.iter().map(String::as_str).collect::<Vec<_>>()[3 - number..],
    );
    for (text, words) in [
        (
            "app: { port: 8080 }\nstatus: off\n",
            ":1: error: the kubelet cannot ask the status server",
        ),
        (
            "app: { port: 8080 }\nstatus: { address: \"127.0.0.1:9902\" }\n",
            ":1: error: the kubelet cannot ask the status server",
        ),
        (
            "app: { port: 8080 }\nadmin: off\n",
            ":1: error: `outrigger drain` in the preStop hook cannot reach the admin server",
        ),
        (
            "app: { port: \"${env:HOME_OF_NOTHING}\" }\n",
            ":1: error: app.port",
        ),
    ] {
        let path = write(folder.path(), "proxy.yaml", text);
        refused(&["--config", &path], POD.as_bytes(), &[words]);
    }
    let path = write(folder.path(), "proxy.yaml", "app: { port: 9999 }\n");
    refused(
        &["--config", &path, "--app-port", "8080"],
        POD.as_bytes(),
        &["--app-port says 8080, and the configuration has `app.port: 9999`"],
    );
    refused(
        &["--config", &path, "--set", "port=1"],
        POD.as_bytes(),
        &["--set port and --config exclude each other"],
    );
    refused(
        &["--config", "/nowhere.yaml"],
        POD.as_bytes(),
        &["/nowhere.yaml:1: error: cannot read the file"],
    );
}

#[test]
fn flags_that_do_not_fit_are_refused() {
    refused(
        &["--set", "tag=1", "--set", "port=x"],
        POD.as_bytes(),
        &[
            "error: --set \"tag\" is unknown",
            "error: --set port=x is no port",
        ],
    );
    refused(
        &["--set", "resources.requests.memory=1Gi"],
        POD.as_bytes(),
        &["error: resources.requests.memory is 1Gi, more than resources.limits.memory, 64Mi"],
    );
    refused(
        &["--set", "port=9902"],
        POD.as_bytes(),
        &["error: port 9902, statusPort 9902 and the admin port 9901 must differ"],
    );
    refused(
        &["--after-init", "x"],
        POD.as_bytes(),
        &["--after-init x: no pod has an init container of that name"],
    );
    for arguments in [
        &["--app-prestop-sleep", "10"][..],
        &["--app-prestop-sleep", "2h"],
        &["--diff", "--dry-run"],
        &["--rewrite"],
    ] {
        let (code, out, _) = piped(&[&["inject"], arguments].concat(), POD.as_bytes());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
    }
}

/// kustomize starts a KRM function with a ResourceList on stdin, and takes one from stdout.
#[test]
fn kustomize_takes_it_as_a_transformer() {
    if Command::new("kustomize").arg("version").output().is_err() {
        eprintln!(
            "SKIPPED: there is no kustomize on this machine (kubectl kustomize starts no functions)"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A function is started without arguments.
    let script = write(
        folder.path(),
        "inject.sh",
        &format!(
            "#!/bin/sh\nexec {} inject --app-port 8080\n",
            env!("CARGO_BIN_EXE_outrigger")
        ),
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    write(folder.path(), "pod.yaml", POD);
    write(
        folder.path(),
        "kustomization.yaml",
        "resources: [pod.yaml]\ntransformers: [inject.yaml]\n",
    );
    let transformer = "apiVersion: outrigger/v1\nkind: Inject\nmetadata:\n  name: outrigger\n  annotations:\n    config.kubernetes.io/function: |\n      \
                       exec:\n        path: ./inject.sh\n";
    write(folder.path(), "inject.yaml", transformer);
    let output = Command::new("kustomize")
        .args(["build", "--enable-alpha-plugins", "--enable-exec", "."])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("name: outrigger\n") && out.contains("kind: ConfigMap"),
        "{out}"
    );
}
