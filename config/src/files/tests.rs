use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use crate::{
    block::{SourceText, problem::Place},
    files::*,
};

fn unset(_: &str) -> Option<String> {
    None
}

fn at(path: &str) -> At<String> {
    At {
        value: path.to_owned(),
        place: Place::root(),
    }
}

fn report() -> Report {
    Report::new(SourceText::new("a.yaml", ""))
}

/// Code, message and help of the one problem with a file, or nothing.
fn wrong(folder: &Path, name: &str) -> Option<(&'static str, String, String)> {
    let mut report = report();
    let mut files = Files::of(&folder.join("a.yaml"), &unset);
    let found = files.named(&at(name), &mut report);
    let mut problems = report.finish().0;
    assert_eq!(found.is_some(), problems.is_empty());
    assert!(problems.len() <= 1);
    problems
        .pop()
        .map(|problem| (problem.code, problem.message, problem.help))
}

#[test]
fn each_read_error_has_a_message_and_a_fix() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
    write("good", b"x");
    write("empty", b" \n");
    write("large", &vec![b'x'; MAX + 1]);
    write("largest", &vec![b'x'; MAX]);
    write("secret", b"x");
    fs::set_permissions(folder.path().join("secret"), Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    symlink("loop", folder.path().join("loop")).unwrap();
    const MAX: usize = content::MAX_BYTES;
    for (name, code, message, help) in [
        (
            "none",
            "unreadable-file",
            "cannot read \"none\": no such file",
            "is mounted",
        ),
        (
            "no/such",
            "unreadable-file",
            "no such file",
            "check the path",
        ),
        (
            "dir",
            "unreadable-file",
            "it is a directory",
            "path of a file inside",
        ),
        (
            "/dev/null",
            "unreadable-file",
            "not a regular file",
            "write the path of a regular file",
        ),
        (
            "loop",
            "unreadable-file",
            "too many symbolic links",
            "check the volume",
        ),
        ("empty", "empty-file", "is empty", "with content"),
        (
            "large",
            "file-too-large",
            "larger than 1 MiB",
            "check the path",
        ),
        ("", "bad-path", "the path is empty", "write the path"),
    ] {
        let (found, problem, fix) =
            wrong(folder.path(), name).unwrap_or_else(|| panic!("{name} is fine"));
        assert_eq!(found, code, "{name}");
        assert!(
            problem.contains(message) && fix.contains(help),
            "{name}: {problem}; {fix}"
        );
    }
    assert_eq!(wrong(folder.path(), "good"), None);
    assert_eq!(wrong(folder.path(), "largest"), None);
    // root can read every file.
    if fs::read(folder.path().join("secret")).is_err() {
        assert!(
            wrong(folder.path(), "secret")
                .unwrap()
                .1
                .contains("permission denied")
        );
    }
}

#[test]
fn files_behind_one_link_are_of_one_generation() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (generation, content) in [("..1", "old"), ("..2", "new")] {
        fs::create_dir(root.join(generation)).unwrap();
        for name in ["tls.crt", "tls.key"] {
            fs::write(root.join(generation).join(name), content).unwrap();
        }
    }
    symlink("..1", root.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), root.join(name)).unwrap();
    }
    let mut files = Files::of(&root.join("a.yaml"), &unset);
    let read =
        |files: &mut Files<'_>, name: &str| files.named(&at(name), &mut report()).unwrap().content;
    assert_eq!(&*read(&mut files, "tls.crt"), b"old");
    symlink("..2", root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    assert_eq!(&*read(&mut files, "tls.key"), b"old");
    assert!(!files.torn());

    let mut files = Files::of(&root.join("a.yaml"), &unset);
    assert_eq!(&*read(&mut files, "tls.crt"), b"new");
    assert_eq!(&*read(&mut files, "tls.key"), b"new");
}

#[test]
fn a_vanished_generation_differs_from_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let generation = |name: &str| {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("a"), name).unwrap();
        fs::write(root.join(name).join("b"), name).unwrap();
    };
    generation("..1");
    symlink("..1", root.join("..data")).unwrap();
    for name in ["a", "b", "c"] {
        symlink(format!("..data/{name}"), root.join(name)).unwrap();
    }
    let mut missing = Files::of(&root.join("a.yaml"), &unset);
    assert!(missing.content(&root.join("c")).is_err());
    assert!(!missing.torn());

    let mut files = Files::of(&root.join("a.yaml"), &unset);
    let mut ahead = Files::of(&root.join("a.yaml"), &unset);
    ahead.read_ahead(&[root.join("a").into(), root.join("b").into()]);
    assert!(files.content(&root.join("a")).is_ok());
    generation("..2");
    symlink("..2", root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    fs::remove_dir_all(root.join("..1")).unwrap();
    assert!(files.content(&root.join("b")).is_err());
    assert!(files.torn());
    // With read-ahead both files are available, and only requested files are reported.
    assert_eq!(&*ahead.content(&root.join("b")).unwrap(), b"..1");
    assert!(!ahead.torn());
    assert_eq!(ahead.paths(), [root.join("b").into()]);
}

#[test]
fn a_file_is_read_once_per_load() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "1").unwrap();
    let mut files = Files::of(&folder.path().join("a.yaml"), &unset);
    let first = files.named(&at("a"), &mut report()).unwrap();
    fs::write(folder.path().join("a"), "2").unwrap();
    let again = files.named(&at("./a"), &mut report()).unwrap();
    assert_eq!((&*first.content, &*again.content), (&b"1"[..], &b"1"[..]));
    assert_eq!(files.paths().len(), 1);
    assert!(first.path.is_absolute());
}

#[test]
fn the_fingerprint_depends_on_contents_names_and_missing_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let print = |names: &[&str]| {
        let mut files = Files::of(&root.join("a.yaml"), &unset);
        names
            .iter()
            .for_each(|name| drop(files.content(&root.join(name))));
        files.fingerprint()
    };
    fs::write(root.join("a"), "1").unwrap();
    let mut seen = vec![print(&["a"]), print(&["a", "b"])];
    fs::write(root.join("b"), "").unwrap();
    seen.push(print(&["a", "b"]));
    fs::write(root.join("b"), "1").unwrap();
    seen.extend([print(&["a", "b"]), print(&["b"]), print(&["b", "a"])]);
    fs::remove_file(root.join("a")).unwrap();
    seen.extend([print(&["a", "b"]), print(&[])]);
    fs::create_dir(root.join("a")).unwrap();
    seen.push(print(&["a", "b"]));
    for (index, one) in seen.iter().enumerate() {
        assert!(!seen[..index].contains(one), "{index}");
    }
    assert_eq!(seen[8], print(&["a", "b"]));
}
