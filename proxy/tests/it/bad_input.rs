//! Invalid input: each problem is reported once, clearly, and no listener is left bound. The
//! expected messages are in `tests/golden`; `UPDATE_GOLDEN=1` writes them again.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::support::{
    command,
    live::{free_port, run_to_end},
};

/// Runs a file that must be rejected; returns stderr, with `FILE` for its path and `PORT` for
/// `port`.
fn refused(path: &Path, port: u16) -> String {
    let output = run_to_end(command().arg("run").arg("-c").arg(path));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(output.stdout.is_empty(), "stdout is for the access log");
    let told = told.replace(path.to_str().unwrap(), "FILE");
    if port == 0 {
        told
    } else {
        told.replace(&port.to_string(), "PORT")
    }
}

fn golden(name: &str, told: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(path, told).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        told,
        expected,
        "differs from {} (UPDATE_GOLDEN=1 writes it anew)",
        path.display()
    );
}

/// A file that `run` and `check` reject with the same messages.
fn golden_file(name: &str, path: &Path) {
    let told = refused(path, 0);
    golden(name, &told);
    let check = run_to_end(command().arg("check").arg(path));
    assert_eq!(check.status.code(), Some(2));
    let checked = String::from_utf8(check.stderr)
        .unwrap()
        .replace(path.to_str().unwrap(), "FILE");
    assert_eq!(checked, told, "run and check differ");
}

fn golden_text(name: &str, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outrigger.yaml");
    std::fs::write(&path, text).unwrap();
    golden_file(name, &path);
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_likely_one() {
    golden_text(
        "unknown_key",
        "app: { port: 8080 }\nlisteners:\n  - prot: 8000\n",
    );
}

#[test]
fn a_duplicate_key_is_refused() {
    golden_text(
        "duplicate_key",
        "app: { port: 8080 }\nworkers: 1\napp: { port: 8081 }\n",
    );
}

#[test]
fn a_wrong_unit_is_refused() {
    golden_text(
        "wrong_unit",
        "app: { port: 8080 }\nlisteners: [{ port: 8000, limits: { bodyBytes: 10MB }, timeouts: { idle: 60 } }]\n\
         lifecycle: { shutdownDelay: 5 s }\n",
    );
}

#[test]
fn a_reference_to_nothing_is_refused() {
    golden_text(
        "reference_to_nothing",
        "app: { port: 8080 }\nupstreams: { payments: { endpoints: [{ url: \"http://a:1\" }] } }\n\
         routes: [{ name: a, backendRefs: [payment] }, { name: b, listeners: [egress] }]\n",
    );
}

#[test]
fn an_empty_file_is_refused() {
    golden_text("empty_file", "");
}

#[test]
fn a_file_of_two_mebibytes_is_refused() {
    golden_text("two_mebibytes", &"# as long as a novel\n".repeat(100_000));
}

#[test]
fn a_yaml_bomb_is_refused_at_once() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let all = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{all}]\n"));
    }
    golden_text("yaml_bomb", &bomb);
}

#[test]
fn a_variable_that_is_not_set_is_refused() {
    golden_text(
        "unset_variable",
        "app: { port: \"${env:OUTRIGGER_TEST_UNSET}\" }\n",
    );
}

#[test]
fn every_problem_is_told_in_one_go() {
    golden_text(
        "everything_at_once",
        "verson: 1\napp: { port: 80800 }\nlisteners: [{ port: 8000 }, { port: 8000, name: B }]\n\
         routes: [{ matches: [{ path: x }] }]\nreload: { debounce: 20 }\n",
    );
}

#[test]
fn a_missing_file_a_folder_and_a_device_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    golden_file("missing_file", &folder.path().join("outrigger.yaml"));
    golden_file("directory", folder.path());
    golden_file("device", &PathBuf::from("/dev/null"));
}

#[test]
fn an_unreadable_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outrigger.yaml");
    std::fs::write(&path, "app: { port: 8080 }\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        return eprintln!("SKIPPED an_unreadable_file_is_refused: root reads every file");
    }
    golden_file("unreadable_file", &path);
}

#[test]
fn a_route_in_the_shadow_of_another_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outrigger.yaml");
    let text = "app: { port: 8080 }\nroutes:\n  - { name: a, matches: [{ path: /x }] }\n  - name: b\n    matches: [{ path: /x }]\n";
    std::fs::write(&path, text).unwrap();
    let output = run_to_end(command().arg("check").arg(&path));
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stderr)
        .unwrap()
        .replace(path.to_str().unwrap(), "FILE");
    golden("shadowed_route", &told);
}

#[test]
fn a_port_that_another_process_has_is_refused_and_nothing_is_left_bound() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outrigger.yaml");
    for name in ["listener", "status", "admin"] {
        let at = |which: &str| if which == name { port } else { free_port() };
        let (listener, status, admin) = (at("listener"), at("status"), at("admin"));
        let text = format!(
            "app: {{ port: {} }}\nlisteners: [{{ name: in, address: \"127.0.0.1:{listener}\" }}]\n\
             status: {{ address: \"127.0.0.1:{status}\" }}\nadmin: {{ address: \"127.0.0.1:{admin}\" }}\n",
            free_port()
        );
        std::fs::write(&path, text).unwrap();
        golden(&format!("taken_port_{name}"), &refused(&path, port));
        for free in [listener, status, admin]
            .into_iter()
            .filter(|one| *one != port)
        {
            assert!(
                TcpListener::bind(("127.0.0.1", free)).is_ok(),
                "{free} is still bound"
            );
        }
    }
}

#[test]
fn a_second_proxy_on_the_same_address_is_refused_although_workers_share_ports() {
    let origin = crate::support::origin();
    let first = crate::support::Proxy::in_front_of(&origin);
    let port = first.address("in-0").port();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outrigger.yaml");
    let text = format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: {port} }}]\nstatus: off\nadmin: off\n",
        free_port()
    );
    std::fs::write(&path, text).unwrap();
    golden("taken_by_another_proxy", &refused(&path, port));
}
