//! Embeds the controller's namespace and permissions, which the sandbox brings to its management cluster. The
//! files are generated, and numbered in the order in which they can be applied.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    // Read when the script runs and not when it is compiled: a shared target folder serves several checkouts.
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo sets CARGO_MANIFEST_DIR"))?;
    let folder = Path::new(&manifest).join("../../deploy/controller");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    // The workload itself is a process of the sandbox's, and needs no Deployment.
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("1-") || name.starts_with("2-")
    });
    if files.is_empty() {
        return Err(io::Error::other(
            "deploy/controller holds no permissions: restore it, then `cargo xtask gen`",
        ));
    }
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        let file = file.canonicalize()?;
        println!("cargo:rerun-if-changed={}", file.display());
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        code.push_str(&format!("    ({name:?}, include_str!({:?})),\n", file.display().to_string()));
    }
    code.push_str("]\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(PathBuf::from(out).join("controller.rs"), code)
}
