//! Reads and writes manifests: stdin, files and folders.

use std::{
    collections::HashSet,
    fs,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use outrigger_inject::Input;

/// Extensions of manifests in a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A manifest and its origin.
pub(super) struct Manifest {
    pub(super) input: Input,
    pub(super) place: Place,
}

/// The origin of a manifest.
pub(super) enum Place {
    Stdin,
    /// The name relative to the given folder; for a given file its own name.
    File(PathBuf),
}

/// Reads all manifests; the error has one line for each that cannot be read.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Manifest>, Vec<String>> {
    let stdin = [PathBuf::from("-")];
    let files = if files.is_empty() { &stdin } else { files };
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for path in files {
        let result = if path.as_os_str() == "-" {
            from_stdin(files.len() == 1).map(|one| found.push(one))
        } else if path.is_dir() {
            from_folder(path, &mut found)
        } else {
            let name = path.file_name().map_or_else(|| path.clone(), PathBuf::from);
            from_file(path, name).map(|one| found.push(one))
        };
        wrong.extend(result.err());
    }
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(wrong)
    }
}

fn from_stdin(alone: bool) -> Result<Manifest, String> {
    let mut stdin = io::stdin().lock();
    if alone && stdin.is_terminal() {
        return Err("error: name manifests, or pipe them in: outrigger inject app.yaml".to_owned());
    }
    let mut bytes = Vec::new();
    stdin
        .read_to_end(&mut bytes)
        .map_err(|error| format!("error: cannot read stdin: {error}"))?;
    Ok(Manifest {
        input: text("stdin".to_owned(), bytes)?,
        place: Place::Stdin,
    })
}

fn from_file(path: &Path, place: PathBuf) -> Result<Manifest, String> {
    let name = path.display().to_string();
    let bytes =
        fs::read(path).map_err(|error| format!("{name}:1: error: cannot read it: {error}"))?;
    Ok(Manifest {
        input: text(name, bytes)?,
        place: Place::File(place),
    })
}

fn from_folder(folder: &Path, found: &mut Vec<Manifest>) -> Result<(), String> {
    let mut paths = Vec::new();
    walk(folder, &mut paths)
        .map_err(|error| format!("{}:1: error: cannot read it: {error}", folder.display()))?;
    paths.sort();
    if paths.is_empty() {
        return Err(format!(
            "{}:1: error: there is no .yaml, .yml or .json file in this folder",
            folder.display()
        ));
    }
    for path in paths {
        let place = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        found.push(from_file(&path, place)?);
    }
    Ok(())
}

/// The manifests of a folder and its subfolders. Links to folders are not followed: they may form a
/// loop.
fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(&path, paths)?;
        } else if path
            .extension()
            .is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
            && path.is_file()
        {
            paths.push(path);
        }
    }
    Ok(())
}

fn text(name: String, bytes: Vec<u8>) -> Result<Input, String> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(format!("{name}:1: error: this is UTF-16; save it as UTF-8"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Input { name, text }),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let before = error.as_bytes()[..valid].iter();
            let line = before.filter(|byte| **byte == b'\n').count() + 1;
            Err(format!(
                "{name}:{line}: error: this is not UTF-8; save it as UTF-8"
            ))
        }
    }
}

/// The path of each file in the folder of `--output`.
pub(super) fn names(found: &[Manifest], folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut names = Vec::new();
    for one in found {
        match &one.place {
            Place::Stdin => {
                return Err(
                    "error: stdin has no name for a file in the folder of --output".to_owned(),
                );
            }
            Place::File(place) => names.push(folder.join(place)),
        }
    }
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        Some(twice) => Err(format!("error: two files would become {}", twice.display())),
        None => Ok(names),
    }
}

/// Writes all files or none: each first with a temporary name, then all are renamed.
pub(super) fn write(names: &[PathBuf], texts: &[String]) -> Result<(), String> {
    let temporary = |name: &Path| name.with_extension("outrigger-tmp");
    let error_line =
        |name: &Path, error: io::Error| format!("cannot write {}: {error}", name.display());
    let written = names.iter().zip(texts).try_for_each(|(name, text)| {
        let parent = name.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(temporary(name), text))
            .map_err(|error| error_line(name, error))
    });
    if let Err(error) = written {
        for name in names {
            let _ = fs::remove_file(temporary(name));
        }
        return Err(error);
    }
    names.iter().try_for_each(|name| {
        fs::rename(temporary(name), name).map_err(|error| error_line(name, error))
    })
}

/// All texts as one stream.
pub(super) fn joined(texts: &[String], places: &[Place]) -> String {
    if let ([text], [_]) = (texts, places) {
        return text.clone();
    }
    let mut out = String::new();
    for text in texts {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        // Before the first text as well: kubectl reads text that begins with `{` as JSON to its
        // end.
        let directive = text.starts_with('%');
        if directive && !out.is_empty() {
            out.push_str("...\n");
        } else if !directive && !text.starts_with("---") {
            out.push_str("---\n");
        }
        out.push_str(text);
    }
    out
}
