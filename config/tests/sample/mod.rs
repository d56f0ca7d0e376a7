//! The files that `full.yaml` names.

use std::fs;

use tempfile::TempDir;

use crate::certificates;

/// A folder with them.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(&folder.path().join("tls"), &["public.example.com"]);
    certificates::write(&folder.path().join("int"), &["*.internal.example.com"]);
    certificates::write_client(&folder.path().join("tls"), "orders");
    for (name, content) in [
        ("jwks/partner.json", include_str!("../files/jwks.json")),
        ("secrets/shared.txt", include_str!("../files/secret.txt")),
        ("secrets/token.txt", include_str!("../files/token.txt")),
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}
