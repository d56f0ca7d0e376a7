//! Every YAML example loads without an error or a warning.

use std::{fs, path::Path};

use outrigger_config::{load_str, render_text};
use tempfile::TempDir;

use crate::{certificates, files};

/// Folder of the files that examples refer to.
const MOUNT: &str = "/etc/outrigger/";

/// First line of a block that is a part of a file; the rest of the file is added.
const FRAGMENT: &str = "# fragment";

/// First line of a block that is not a configuration of Outrigger.
const MANIFEST: &str = "apiVersion:";

fn environment(name: &str) -> Option<String> {
    (name == "APP_PORT").then(|| "3000".to_owned())
}

/// The files that examples expect at [`MOUNT`].
fn mounted() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(&folder.path().join("tls"), &["public.example.com"]);
    certificates::write_client(&folder.path().join("tls"), "orders");
    certificates::write(&folder.path().join("internal"), &["*.internal.example.com"]);
    certificates::write(&folder.path().join("redis"), &["limits.infra"]);
    fs::write(folder.path().join("redis/password"), "word\n").unwrap();
    fs::create_dir(folder.path().join("elastic")).unwrap();
    fs::write(folder.path().join("elastic/api-key"), "a2V5\n").unwrap();
    folder
}

/// The fenced blocks in `text` with the number of their first line.
pub(crate) fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```yaml" => open = Some((index + 2, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => found.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a fence is never closed");
    found
}

/// The content of each `outrigger.yaml: |` in a manifest.
fn embedded(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let starts = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.trim() == "outrigger.yaml: |");
    starts
        .map(|(start, key)| {
            let body: Vec<&str> = lines[start + 1..]
                .iter()
                .take_while(|line| line.trim().is_empty() || indent(line) > indent(key))
                .copied()
                .collect();
            let cut = body
                .iter()
                .filter(|line| !line.trim().is_empty())
                .map(|line| indent(line))
                .min()
                .unwrap_or(0);
            let text = body
                .iter()
                .map(|line| format!("{}\n", line.get(cut..).unwrap_or("")))
                .collect();
            (start + 2, text)
        })
        .collect()
}

fn wrong(mounted: &TempDir, path: &Path, (line, block): &(usize, String)) -> Option<String> {
    let text = match block.starts_with(FRAGMENT) && !block.contains("\napp:") {
        true => format!("{block}app: {{ port: 8080 }}\n"),
        false => block.clone(),
    };
    let text = text.replace(MOUNT, &format!("{}/", mounted.path().display()));
    let name = format!("{}:{line}", path.display());
    match load_str(&name, &text, &environment) {
        Ok(loaded) if loaded.warnings.is_empty() => None,
        Ok(loaded) => Some(render_text(&loaded.warnings, &text, false)),
        Err(error) => Some(error.render(false)),
    }
}

#[test]
fn every_yaml_block_in_readme_and_docs_loads() {
    let mounted = mounted();
    let mut seen = 0;
    let mut all_wrong = String::new();
    for (path, text) in files(&[".", "docs"], "md") {
        let (manifests, configurations): (Vec<_>, Vec<_>) = blocks(&text)
            .into_iter()
            .partition(|(_, block)| block.starts_with(MANIFEST));
        let inside = manifests
            .iter()
            .flat_map(|(_, manifest)| embedded(manifest));
        for block in configurations.into_iter().chain(inside) {
            seen += 1;
            all_wrong.extend(wrong(&mounted, &path, &block));
        }
    }
    assert!(all_wrong.is_empty(), "{all_wrong}");
    assert!(
        seen >= 8,
        "only {seen} blocks were found; did the fences change?"
    );
}

#[test]
fn every_configuration_in_deploy_loads() {
    let mounted = mounted();
    let mut seen = 0;
    for (path, text) in files(&["deploy"], "yaml") {
        for block in embedded(&text) {
            seen += 1;
            assert_eq!(wrong(&mounted, &path, &block), None);
        }
    }
    assert!(seen >= 1, "no ConfigMap with an outrigger.yaml in deploy/");
}

#[test]
fn ports_and_grace_period_of_a_manifest_fit_its_configuration() {
    for (path, text) in files(&["deploy"], "yaml") {
        for (_, block) in embedded(&text) {
            let config = load_str("outrigger.yaml", &block, &environment)
                .unwrap()
                .config;
            for port in [
                config.status.unwrap().socket.port(),
                config.listeners[0].address.socket.port(),
            ] {
                let wanted = format!("containerPort: {port}");
                assert!(text.contains(&wanted), "{}: no `{wanted}`", path.display());
            }
            // Numbers, not names (`crate::manifests`), so they must match.
            let wanted = format!("targetPort: {} ", config.listeners[0].address.socket.port());
            assert!(text.contains(&wanted), "{}: no `{wanted}`", path.display());
            let grace = text
                .split("terminationGracePeriodSeconds: ")
                .nth(1)
                .unwrap();
            let grace: u64 = grace.lines().next().unwrap().trim().parse().unwrap();
            let life = &config.lifecycle;
            let needed = life.shutdown_delay + life.drain_timeout + life.log_flush_timeout;
            assert!(
                needed.as_secs() < grace,
                "{}: {needed:?} in {grace} s",
                path.display()
            );
        }
    }
}
