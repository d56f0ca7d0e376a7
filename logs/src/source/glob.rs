//! Which files a source has: patterns, links, and what is skipped.
//!
//! Only directories that a pattern can reach are read. A symbolic link is followed while its target lies below the
//! pattern's own directory, or below one that is allowed: a link that the app can write must not make the shipper read
//! what the app itself may not (`docs/security.md`).

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use globset::{GlobBuilder, GlobMatcher};

use super::identity::FileId;

/// Directories within each other; `**` goes no deeper.
const DEEPEST: usize = 32;

/// The characters that make a pattern.
const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

/// Why a pattern cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It is no pattern.
    #[error("{0}")]
    Malformed(#[from] globset::Error),
    /// A relative path.
    #[error("the path does not begin with /")]
    Relative,
}

/// The patterns of a source.
#[derive(Debug, Clone)]
pub struct Patterns {
    include: Vec<Pattern>,
    exclude: Vec<GlobMatcher>,
    /// Where links may lead besides.
    allowed: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
struct Pattern {
    /// The directory before the first part with a special character.
    base: PathBuf,
    /// How many directories below `base` can matter.
    depth: usize,
    matcher: GlobMatcher,
}

/// A file that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path that matched.
    pub path: PathBuf,
    /// Where the content lies, all links resolved.
    pub real: PathBuf,
    /// Which file it is.
    pub id: FileId,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub modified: i64,
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Each file once, the longest unwritten first.
    pub files: Vec<Found>,
    /// Directories whose events matter.
    pub directories: Vec<PathBuf>,
    /// Paths and directories that may not be read.
    pub denied: Vec<PathBuf>,
    /// Links that lead out of the allowed directories.
    pub outside: Vec<PathBuf>,
}

fn matcher(pattern: &str) -> Result<GlobMatcher, PatternError> {
    if !pattern.starts_with('/') {
        return Err(PatternError::Relative);
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).build()?;
    Ok(glob.compile_matcher())
}

impl Patterns {
    /// From accepted patterns. `allowed` are directories where links may lead.
    ///
    /// # Errors
    /// One is no pattern, or a relative path.
    pub fn new(
        include: &[String],
        exclude: &[String],
        allowed: &[PathBuf],
    ) -> Result<Self, PatternError> {
        Ok(Self {
            include: include
                .iter()
                .map(|text| Pattern::new(text))
                .collect::<Result<_, _>>()?,
            exclude: exclude
                .iter()
                .map(|text| matcher(text))
                .collect::<Result<_, _>>()?,
            allowed: allowed.to_vec(),
        })
    }

    /// Whether a path would be read if it were there.
    pub fn matches(&self, path: &Path) -> bool {
        let included = self.include.iter().any(|one| one.matcher.is_match(path));
        included && !self.exclude.iter().any(|one| one.is_match(path))
    }

    /// Looks for the files that are there now.
    pub fn scan(&self) -> Scan {
        let mut look = Look {
            patterns: self,
            files: BTreeMap::new(),
            scan: Scan::default(),
        };
        for pattern in &self.include {
            let mut roots: Vec<PathBuf> = self
                .allowed
                .iter()
                .filter_map(|path| path.canonicalize().ok())
                .collect();
            roots.extend(pattern.base.canonicalize());
            look.directory(&pattern.base, pattern.depth, &roots);
        }
        let Look {
            files, mut scan, ..
        } = look;
        scan.files = files.into_values().collect();
        scan.files
            .sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        scan.directories.sort();
        scan.directories.dedup();
        scan
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, PatternError> {
        let matcher = matcher(text)?;
        let parts: Vec<&str> = text.split('/').skip(1).collect();
        let plain = parts
            .iter()
            .take_while(|part| !part.contains(SPECIAL))
            .count()
            .min(parts.len() - 1);
        let base = parts[..plain]
            .iter()
            .fold(PathBuf::from("/"), |path, part| path.join(part));
        // A slash within braces makes a pattern deeper than it looks.
        let unbounded = text.contains("**") || parts.iter().any(|part| open_brace(part));
        let depth = if unbounded {
            DEEPEST
        } else {
            parts.len() - 1 - plain
        };
        Ok(Self {
            base,
            depth,
            matcher,
        })
    }
}

fn open_brace(part: &str) -> bool {
    part.matches('{').count() != part.matches('}').count()
}

/// One look at the disk.
struct Look<'a> {
    patterns: &'a Patterns,
    files: BTreeMap<FileId, Found>,
    scan: Scan,
}

impl Look<'_> {
    fn directory(&mut self, directory: &Path, depth: usize, roots: &[PathBuf]) {
        self.scan.directories.push(directory.to_owned());
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    self.scan.denied.push(directory.to_owned());
                }
                return;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let matches = self.patterns.matches(&path);
            if !(matches || depth > 0 && (kind.is_dir() || kind.is_symlink())) {
                continue;
            }
            self.entry(path, kind.is_symlink(), matches, depth, roots);
        }
    }

    fn entry(
        &mut self,
        path: PathBuf,
        is_link: bool,
        matches: bool,
        depth: usize,
        roots: &[PathBuf],
    ) {
        // A dangling link is a file that has not come yet: its directory is looked at again.
        let Ok(metadata) = fs::metadata(&path) else {
            return;
        };
        let Ok(real) = path.canonicalize() else {
            return;
        };
        if is_link && !roots.iter().any(|root| real.starts_with(root)) {
            if matches {
                self.scan.outside.push(path);
            }
            return;
        }
        if metadata.is_dir() {
            if depth > 0 && !(is_link && path.starts_with(&real)) {
                self.directory(&path, depth - 1, roots);
            }
        } else if metadata.is_file() && matches {
            self.file(path, real, is_link, &metadata);
        }
    }

    /// A file with several names is one file; its own name comes before those of links.
    fn file(&mut self, path: PathBuf, real: PathBuf, is_link: bool, metadata: &Metadata) {
        if is_link && let Some(directory) = real.parent() {
            self.scan.directories.push(directory.to_owned());
        }
        let found = Found {
            id: FileId::of(metadata),
            size: metadata.len(),
            modified: modified(metadata),
            path,
            real,
        };
        let better = |known: &Found| {
            let rank = |one: &Found| (one.path != one.real, one.path.clone());
            rank(&found) < rank(known)
        };
        if self.files.get(&found.id).is_none_or(better) {
            self.files.insert(found.id, found);
        }
    }
}

/// A file by its path; `None` for a link, which only a whole look follows.
pub(super) fn found(path: &Path) -> Option<Found> {
    let metadata = fs::symlink_metadata(path).ok()?;
    metadata.is_file().then(|| Found {
        path: path.to_owned(),
        real: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        id: FileId::of(&metadata),
        size: metadata.len(),
        modified: modified(&metadata),
    })
}

/// When a file was last written, in nanoseconds since 1970.
pub(super) fn modified(metadata: &Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}

/// When a file was made, in nanoseconds since 1970, where the file system knows.
pub(super) fn created(metadata: &Metadata) -> Option<i64> {
    let time = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(time.as_nanos()).ok()
}

/// Whether a name is that of a compressed file.
pub fn is_compressed_name(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("gz"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path, include: &[&str], exclude: &[&str], allowed: &[PathBuf]) -> Vec<String> {
        let full = |list: &[&str]| -> Vec<String> {
            list.iter()
                .map(|one| format!("{}/{one}", root.display()))
                .collect()
        };
        let patterns = Patterns::new(&full(include), &full(exclude), allowed).unwrap();
        let mut names: Vec<String> = patterns
            .scan()
            .files
            .iter()
            .map(|one| {
                let inside = one.path.strip_prefix(root).unwrap();
                inside.display().to_string()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn stars_braces_and_exclusions_choose_files() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in [
            "a.log",
            "b.log",
            "b.txt",
            "x/a.log",
            "x/y/a.log",
            "x/y/c.tmp",
        ] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), "x").unwrap();
        }
        for (include, exclude, found) in [
            (&["*.log"][..], &[][..], &["a.log", "b.log"][..]),
            (&["a.log"], &[], &["a.log"]),
            (&["**/*.log"], &["x/y/*"], &["a.log", "b.log", "x/a.log"]),
            (&["{b.*,x/a.log}"], &["*.txt"], &["b.log", "x/a.log"]),
            (&["*/a.log"], &[], &["x/a.log"]),
            (
                &["{x,z}/**/*.{log,tmp}"],
                &[],
                &["x/a.log", "x/y/a.log", "x/y/c.tmp"],
            ),
            (&["missing/*.log"], &[], &[]),
        ] {
            assert_eq!(names(root, include, exclude, &[]), found, "{include:?}");
        }
    }

    #[test]
    fn log_15_a_link_and_its_target_are_one_file_and_links_stay_inside() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("app.log"), "x").unwrap();
        fs::write(elsewhere.path().join("secret.log"), "x").unwrap();
        symlink("app.log", root.join("a-current.log")).unwrap();
        symlink("nowhere", root.join("dangling.log")).unwrap();
        symlink(elsewhere.path().join("secret.log"), root.join("out.log")).unwrap();
        symlink(".", root.join("loop")).unwrap();
        assert_eq!(names(root, &["**/*.log"], &[], &[]), ["app.log"]);
        let allowed = [elsewhere.path().to_owned()];
        assert_eq!(
            names(root, &["*.log"], &[], &allowed),
            ["app.log", "out.log"]
        );
        // A link to a link, as in /var/log/containers.
        symlink("out.log", root.join("link2.log")).unwrap();
        assert_eq!(names(root, &["link2.log"], &[], &allowed), ["link2.log"]);
        assert_eq!(names(root, &["link2.log"], &[], &[]).len(), 0);
    }

    #[test]
    fn relative_and_malformed_patterns_are_refused() {
        for bad in ["app.log", "/a/{b", "/a/[b"] {
            assert!(Patterns::new(&[bad.to_owned()], &[], &[]).is_err(), "{bad}");
        }
    }
}
