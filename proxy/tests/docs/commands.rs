//! The commands in README and docs exist, accept the documented flags, and have the documented exit
//! codes.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

use crate::{pages, read, workspace};

fn outrigger(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    command.env_remove("OUTRIGGER_CONFIG").stdin(Stdio::null());
    command.args(arguments).output().unwrap()
}

fn code(arguments: &[&str]) -> Option<i32> {
    outrigger(arguments).status.code()
}

/// The lines of all `sh` blocks.
fn shell_lines(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

#[test]
fn every_command_that_is_shown_exists_with_its_flags() {
    let mut seen = 0;
    for (page, text) in pages() {
        for line in shell_lines(&text) {
            let line = line.replace("cargo run --release --", "outrigger");
            let words: Vec<&str> = line
                .split(['#', '|'])
                .next()
                .unwrap_or("")
                .split_whitespace()
                .collect();
            let Some((&"outrigger", [subcommand, rest @ ..])) = words.split_first() else {
                continue;
            };
            seen += 1;
            if subcommand.starts_with('-') {
                assert_eq!(code(&[subcommand]), Some(0), "{page}: {line}");
                continue;
            }
            // `logs test`: a command with commands of its own.
            let mut words = vec![*subcommand];
            let help = outrigger(&[subcommand, "--help"]);
            if String::from_utf8_lossy(&help.stdout).contains("<COMMAND>") {
                words.extend(rest.first());
            }
            words.push("--help");
            let help = outrigger(&words);
            assert!(help.status.success(), "{page}: {line}: no such command");
            let help = String::from_utf8(help.stdout).unwrap();
            for flag in rest.iter().filter(|word| word.starts_with('-')) {
                assert!(help.contains(flag), "{page}: {line}: {flag} is unknown");
            }
        }
    }
    assert!(
        seen >= 6,
        "only {seen} commands were found; did the fences change?"
    );
}

#[test]
fn the_readme_sets_up_with_exactly_two_commands() {
    let readme = read("README.md");
    let (_, section) = readme
        .split_once("## Quick start")
        .expect("the section on how to start");
    let block = section.split("```").nth(1).unwrap();
    let commands: Vec<&str> = block
        .lines()
        .skip(1)
        .filter_map(|line| line.split('#').next())
        .map(str::trim)
        .collect();
    assert_eq!(
        commands,
        ["cargo run --release -- demo", "cargo test --workspace"]
    );
}

/// The anchors of a page's headings, as GitHub makes them: lower case, spaces as `-`, no other punctuation than `-` and `_`.
fn anchors(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut anchors = Vec::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if let Some((_, heading)) = line
            .split_once("# ")
            .filter(|(marks, _)| !fenced && marks.bytes().all(|mark| mark == b'#'))
        {
            let kept = heading.to_lowercase();
            let kept = kept
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            anchors.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    anchors
}

#[test]
fn links_to_files_and_headings_of_the_project_resolve() {
    let mut headings = 0;
    for (page, text) in pages() {
        let base = workspace().join(&page);
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .filter(|target| !target.contains("://"))
        {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match path {
                "" => base.clone(),
                path => base.parent().unwrap().join(path),
            };
            assert!(file.exists(), "{page}: {target}: no such file");
            if !anchor.is_empty() && file.extension().is_some_and(|end| end == "md") {
                headings += 1;
                let text = fs::read_to_string(&file).unwrap();
                assert!(
                    anchors(&text).iter().any(|found| found == anchor),
                    "{page}: {target}: no such heading"
                );
            }
        }
    }
    assert!(
        headings > 50,
        "only {headings} links to headings were found"
    );
}

/// `a/{b,c}/d` for every choice in the first braces.
fn expanded(path: &str) -> Vec<String> {
    match path
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        Some((before, (choices, after))) => choices
            .split(',')
            .map(|one| format!("{before}{one}{after}"))
            .collect(),
        None => vec![path.to_owned()],
    }
}

#[test]
fn files_that_are_named_exist() {
    let folders = [
        "config/",
        "filters/",
        "decision/",
        "inject/",
        "proxy/",
        "loadtest/",
        "deploy/",
        "docs/",
        ".ci/",
    ];
    let mut seen = 0;
    for (page, text) in pages() {
        let text = text.replace("```", "");
        let named = text.split('`').skip(1).step_by(2);
        for name in named.filter(|name| folders.iter().any(|folder| name.starts_with(folder))) {
            for path in expanded(name) {
                seen += 1;
                assert!(
                    workspace().join(&path).exists(),
                    "{page}: there is no {path}"
                );
            }
        }
    }
    assert!(seen > 40, "only {seen} files are named");
}

#[test]
fn the_schema_is_json() {
    let schema = outrigger(&["schema"]);
    assert!(schema.status.success());
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["properties"]["app"].is_object());
}

#[test]
fn exit_codes_are_those_of_the_readme() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.yaml", "app: { port: 8080 }\n");
    let bad = file("bad.yaml", "app: { prot: 8080 }\n");
    assert_eq!(code(&["--version"]), Some(0));
    assert_eq!(code(&["check", &good]), Some(0));
    assert_eq!(code(&["check", "--strict", &good]), Some(0));
    assert_eq!(code(&["check", &bad]), Some(2));
    assert_eq!(code(&["check", "--format", "json", &bad]), Some(2));
    assert_eq!(code(&["run", "-c", "/nowhere/outrigger.yaml"]), Some(2));
    assert_eq!(code(&["run", "-c", &bad]), Some(2));
    assert_eq!(code(&["no-such-command"]), Some(2));
    // Port 1 on loopback has no listener.
    assert_eq!(code(&["drain", "--admin", "127.0.0.1:1"]), Some(1));
}

/// A running proxy; killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_curl_commands_work_on_a_running_proxy() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("!!! SKIPPED: there is no curl on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outrigger.yaml");
    let yaml = "app: { port: 8080 }\nlisteners: [{ port: 0 }]\nstatus: off\nadmin: { address: \"127.0.0.1:0\" }\n";
    fs::write(&file, yaml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    command
        .args(["run", "-c"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut proxy = Running(command.spawn().unwrap());
    let mut told = BufReader::new(proxy.0.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let admin =
        told.find_map(|line| Some(line.split_once("name=admin address=")?.1.trim().to_owned()));
    let admin = admin.expect("the proxy tells its admin address");
    let mut seen = 0;
    for (page, text) in pages() {
        for line in shell_lines(&text)
            .iter()
            .filter(|line| line.starts_with("curl "))
        {
            seen += 1;
            let line = line
                .split('#')
                .next()
                .unwrap()
                .replace("localhost:9901", &admin);
            let line = line.replacen(
                "curl",
                "curl --silent --show-error --fail --noproxy '*' --max-time 20",
                1,
            );
            let answer = Command::new("sh")
                .args(["-c", &line])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(
                answer.status.success(),
                "{page}: {line}: {}",
                String::from_utf8_lossy(&answer.stderr)
            );
        }
    }
    assert!(
        seen >= 4,
        "only {seen} curl commands were found; did the fences change?"
    );
}
