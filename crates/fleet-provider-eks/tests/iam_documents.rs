//! The committed IAM documents are those that follow from the provider's list of operations.

use std::{fs, path::Path};

use fleet_provider_eks::policy;

#[test]
fn the_committed_documents_follow_from_the_operations() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, text) in policy::documents().unwrap() {
        let committed = fs::read_to_string(root.join(file)).unwrap_or_default();
        assert_eq!(committed, text, "{file}: run `cargo run -p fleet-provider-eks --example iam_documents`");
    }
}
