//! Which directory entries determine the target of a path.
//!
//! A ConfigMap's file is a link to `..data/NAME`, and `..data` is a link to a dated folder; an
//! update replaces `..data`. So a path is followed link by link, and every entry on the way must be
//! watched.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
};

/// Maximum links that are followed; the kernel's own limit.
const MAX_LINKS: usize = 40;

/// Real directories, and the relevant names in each.
pub(crate) type Entries = BTreeMap<PathBuf, BTreeSet<OsString>>;

/// The resolved path.
#[derive(Debug)]
pub(crate) struct Chain {
    /// Every link on the way, and the file at the end, which need not exist.
    pub(crate) entries: Entries,
    /// The file itself: a path without links.
    pub(crate) end: PathBuf,
}

/// Follows a path; `link` returns the target of a link, `None` when the entry is not a link.
///
/// # Errors
/// The current directory is not known, or there are too many links.
pub(crate) fn follow(
    path: &Path,
    mut link: impl FnMut(&Path) -> Option<PathBuf>,
) -> io::Result<Chain> {
    let mut entries = Entries::new();
    let absolute = std::path::absolute(path)?;
    let mut todo: VecDeque<PathBuf> = parts(&absolute);
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = todo.pop_front() {
        if part == Path::new("/") {
            real = part;
        } else if part == Path::new("..") {
            real.pop();
        } else if let Some(target) = link(&real.join(&part)) {
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::other("too many symbolic links"));
            }
            add(&mut entries, &real, &part);
            let mut rest = parts(&target);
            rest.append(&mut todo);
            todo = rest;
        } else if todo.is_empty() || !real.join(&part).exists() {
            // The file itself, or the missing entry on the way to it.
            add(&mut entries, &real, &part);
            real.push(part);
            real.extend(todo);
            break;
        } else {
            real.push(part);
        }
    }
    Ok(Chain { entries, end: real })
}

fn add(entries: &mut Entries, directory: &Path, name: &Path) {
    entries
        .entry(directory.to_owned())
        .or_default()
        .insert(name.as_os_str().to_owned());
}

fn parts(path: &Path) -> VecDeque<PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| PathBuf::from(part.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn entries(path: &Path) -> io::Result<Entries> {
        follow(path, |link| fs::read_link(link).ok()).map(|chain| chain.entries)
    }

    #[test]
    fn every_link_on_the_way_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("..2024")).unwrap();
        fs::write(root.join("..2024/a.yaml"), "x").unwrap();
        symlink("..2024", root.join("..data")).unwrap();
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();

        let found = entries(&root.join("a.yaml")).unwrap();
        let names = |directory: &Path| -> Vec<String> {
            found[directory]
                .iter()
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names(&root), ["..data", "a.yaml"]);
        assert_eq!(names(&root.join("..2024")), ["a.yaml"]);
        let chain = follow(&root.join("a.yaml"), |link| fs::read_link(link).ok()).unwrap();
        assert_eq!(chain.end, root.join("..2024/a.yaml"));
    }

    #[test]
    fn a_missing_file_is_watched_where_it_would_appear() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let found = entries(&root.join("no/such.yaml")).unwrap();
        assert!(found[&root].contains(&OsString::from("no")));
    }

    #[test]
    fn links_in_a_circle_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        symlink("b", folder.path().join("a")).unwrap();
        assert!(entries(&folder.path().join("a")).is_err());
    }
}
