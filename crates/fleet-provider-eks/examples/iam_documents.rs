//! Writes the IAM documents below `deploy/aws`: `cargo run -p fleet-provider-eks --example iam_documents`.

use std::{fs, io, path::Path};

use fleet_provider_eks::policy;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, text) in policy::documents()? {
        fs::write(root.join(file), text)?;
    }
    Ok(())
}
