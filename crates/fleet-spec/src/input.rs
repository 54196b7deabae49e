//! What is read: files of a folder, one file, standard input, each within the limits.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{
    field_path::FieldPath,
    finding::{Code, Finding, Severity},
    limits,
    node::Mark,
};

/// One thing to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file, or a folder whose `*.yaml`, `*.yml` and `*.json` are read with those of the folders in it.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// Bytes that are already at hand.
    Bytes {
        /// What they are called in findings.
        name: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl Input {
    /// A path as the command line gives it; `-` is standard input.
    pub fn from_argument(argument: &str) -> Self {
        if argument == "-" { Self::Stdin } else { Self::Path(PathBuf::from(argument)) }
    }

    /// Text that is already at hand, with what it is called in findings.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Bytes { name: name.into(), bytes: text.into().into_bytes() }
    }
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Where each line begins, in bytes; found when the first finding asks for a line.
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    pub(crate) const fn new(name: String, text: String) -> Self {
        Self { name, text, lines: OnceLock::new() }
    }

    /// A line without its end; lines count from 1.
    pub(crate) fn line(&self, number: usize) -> Option<&str> {
        let starts = self.lines.get_or_init(|| {
            let ends = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            // A source has at most 16 MiB, so every offset fits.
            std::iter::once(0).chain(ends.filter_map(|(at, _)| u32::try_from(at + 1).ok())).collect()
        });
        let start = *starts.get(number.checked_sub(1)?)? as usize;
        let rest = self.text.get(start..)?;
        Some(rest.split('\n').next().unwrap_or(rest).trim_end_matches('\r'))
    }

    /// The text below a mark, as it stands in the file.
    pub(crate) fn raw(&self, at: Mark) -> Option<String> {
        let line = self.line(at.line as usize)?;
        let raw: String =
            line.chars().skip((at.column as usize).checked_sub(1)?).take(at.length as usize).collect();
        Some(raw.trim().to_owned()).filter(|raw| !raw.is_empty())
    }
}

/// Reads every input. What cannot be read is a finding, and the rest is read all the same.
pub(crate) fn read(inputs: &[Input]) -> (Vec<Source>, Vec<Finding>) {
    let mut reader = Reader::default();
    for input in inputs {
        match input {
            Input::Stdin => reader.take("<stdin>", io::stdin().lock()),
            Input::Bytes { name, bytes } => reader.take(name, bytes.as_slice()),
            Input::Path(path) => reader.path(path),
        }
    }
    (reader.sources, reader.findings)
}

/// A finding about a whole file.
pub(crate) fn about_file(code: Code, message: String, hint: Option<String>) -> Finding {
    Finding {
        severity: Severity::Error,
        code,
        place: None,
        object: None,
        path: FieldPath::root(),
        message,
        hint,
        snippet: None,
    }
}

#[derive(Default)]
struct Reader {
    sources: Vec<Source>,
    findings: Vec<Finding>,
    bytes: u64,
    /// Files and folders that were read, so that neither a link nor a second argument brings one twice.
    seen: BTreeSet<PathBuf>,
    /// The limit on all files was met: what follows is not read.
    full: bool,
}

impl Reader {
    fn path(&mut self, path: &Path) {
        match fs::metadata(path) {
            Err(error) => self.unreadable(path, &error),
            Ok(metadata) if metadata.is_dir() => {
                let before = self.sources.len() + self.findings.len();
                self.folder(path, 0);
                if before == self.sources.len() + self.findings.len() {
                    self.findings.push(about_file(
                        Code::NoObjects,
                        format!("no `*.yaml`, `*.yml` or `*.json` in `{}`", path.display()),
                        None,
                    ));
                }
            }
            Ok(_) => self.file(path),
        }
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        if self.full || !self.first_time(folder) {
            return;
        }
        if depth > limits::FOLDER_DEPTH {
            self.too_large(format!(
                "`{}` lies more than {} folders deep",
                folder.display(),
                limits::FOLDER_DEPTH
            ));
            return;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(folder, &error),
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => self.unreadable(folder, &error),
            }
            if paths.len() > limits::FILES {
                self.too_large(format!("`{}` holds more than {} entries", folder.display(), limits::FILES));
                return;
            }
        }
        // The order of a folder differs between file systems; findings must not.
        paths.sort();
        for path in paths {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            match fs::metadata(&path) {
                Err(error) => self.unreadable(&path, &error),
                Ok(metadata) if metadata.is_dir() => self.folder(&path, depth + 1),
                // A pipe or a device in a folder would be waited for without end.
                Ok(metadata) if metadata.is_file() && is_manifest(&path) => self.file(&path),
                Ok(_) => {}
            }
        }
    }

    fn file(&mut self, path: &Path) {
        if self.full || !self.first_time(path) {
            return;
        }
        match File::open(path) {
            Ok(file) => self.take(&path.display().to_string(), file),
            Err(error) => self.unreadable(path, &error),
        }
    }

    /// Reads one source, never more of it than a file may have.
    fn take(&mut self, name: &str, from: impl Read) {
        if self.full {
            return;
        }
        let mut bytes = Vec::new();
        if let Err(error) = from.take(limits::FILE_BYTES + 1).read_to_end(&mut bytes) {
            return self.unreadable(Path::new(name), &error);
        }
        let length = bytes.len() as u64;
        if length > limits::FILE_BYTES {
            self.too_large(format!("`{name}` is larger than {} MiB", limits::FILE_BYTES >> 20));
            return;
        }
        if self.bytes + length > limits::TOTAL_BYTES || self.sources.len() == limits::FILES {
            self.full = true;
            self.too_large(format!(
                "the spec is larger than {} MiB or {} files; `{name}` and what follows was not read",
                limits::TOTAL_BYTES >> 20,
                limits::FILES
            ));
            return;
        }
        self.bytes += length;
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text = match text.strip_prefix('\u{feff}') {
                    Some(rest) => rest.to_owned(),
                    None => text,
                };
                self.sources.push(Source::new(name.to_owned(), text));
            }
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
                self.findings.push(about_file(
                    Code::Unreadable,
                    format!("`{name}` is not UTF-8 text: line {line} holds other bytes"),
                    Some("save the file as UTF-8".to_owned()),
                ));
            }
        }
    }

    fn first_time(&mut self, path: &Path) -> bool {
        // What has no canonical path cannot be opened either, and then says so itself.
        path.canonicalize().map_or(true, |canonical| self.seen.insert(canonical))
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let hint = (error.kind() == io::ErrorKind::NotFound).then(|| "check the path".to_owned());
        self.findings.push(about_file(
            Code::Unreadable,
            format!("`{}` cannot be read: {error}", path.display()),
            hint,
        ));
    }

    fn too_large(&mut self, message: String) {
        self.findings.push(about_file(
            Code::TooLarge,
            message,
            Some("split the spec into smaller files".to_owned()),
        ));
    }
}

/// Kustomize reads its own file beside the manifests; it is none of them.
fn is_manifest(path: &Path) -> bool {
    let known = path
        .extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json");
    known && path.file_stem().is_none_or(|stem| stem != "kustomization")
}
