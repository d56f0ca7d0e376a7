//! The results: tables for a terminal, and an HTML report.

mod html;
mod markdown;
mod page;
mod plot;

use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

use super::Results;

/// Metadata of the figures: origin and how to reproduce them.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// In the order of the report.
    pub facts: Vec<(String, String)>,
}

impl About {
    /// Adds one.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.facts.push((name.to_owned(), value.into()));
    }
}

impl Results {
    /// Writes `report.md`, `report.json` and `report.html` into the folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, about: &About, folder: &Path) -> io::Result<()> {
        let facts: serde_json::Map<_, _> = about
            .facts
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let mut json = self.to_json();
        json["about"] = facts.into();
        fs::write(folder.join("report.json"), format!("{json:#}\n"))?;
        fs::write(folder.join("report.md"), self.to_markdown(about))?;
        fs::write(folder.join("report.html"), self.to_html(about))
    }
}
